"""One file, and all that is known of it, for ``media.show``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.errors import Invalid, NotFound
from engine.contract.integrity import Happening, RemoteCopy
from engine.contract.traits import AssetDetail, Elsewhere, OutOfReach, ShowAsset, Traits
from engine.media.catalogue import Stored
from engine.media.integrity.record import damage_of
from engine.media.paging import asset_of, when
from engine.media.source.asking import Sources
from engine.media.survey.process import Target
from engine.media.survey.records import target_of
from engine.media.unseen import Place
from engine.store import Database

_MOST = 50

_NAMES = """
SELECT id, library, path, checked_at FROM file INDEXED BY file_by_inode
WHERE library IN (SELECT id FROM library) AND dev = ? AND ino = ? AND id <> ?
ORDER BY library, path LIMIT ?
"""
_COPIES = """
SELECT id, library, path, checked_at, count(*) OVER () AS total FROM file
WHERE blake3 = ? AND size = ? AND NOT (dev = ? AND ino = ?) AND (damage <> '') = ?
ORDER BY library, path LIMIT ?
"""
# What it held when it was found damaged: since then it may have been written to, and not read yet.
_FOUND = """
SELECT what, size, blake3, note FROM history WHERE file = ? AND what IN ('rotten', 'unreadable')
ORDER BY id DESC LIMIT 1
"""


class Others(NamedTuple):
    """What others know of a file. ``remotes``: those that have its bytes, by its id, BLAKE3, size
    and path. ``out_of_reach``: why it cannot be looked at, by the id of its library and its path.
    ``named``: what happened, with the approvals."""

    remotes: Callable[[int, str | None, int, PathRef], Awaitable[tuple[RemoteCopy, ...]]]
    out_of_reach: Callable[[int, bytes], Place | None]
    named: Callable[[Sequence[Happening]], Awaitable[tuple[Happening, ...]]]


class Showing:
    """``libraries``: those that there are, by id. ``look``: looks into a file now."""

    def __init__(
        self,
        database: Database,
        libraries: Callable[[], Mapping[int, Stored]],
        look: Callable[[Stored, Target], Awaitable[None]],
        others: Others,
    ) -> None:
        self._db, self._libraries, self._look = database, libraries, look
        self._remotes, self._out_of_reach, self._named = others
        self._sources = Sources(database, libraries, look)

    async def show(self, request: ShowAsset, _call: Call) -> AssetDetail:
        """Raises NotFound; Invalid where it is not said which file is meant."""
        row = await self._find(request)
        file, library = row["id"], self._libraries()[row["library"]]
        away = self._out_of_reach(library.id, row["path"])
        if not row["surveyed"] and away is None:
            await self._look(library, target_of(row))
        found = await self._db.read(_FOUND, (file,)) if row["damage"] else []
        held = found[0] if found and found[0]["blake3"] else row
        same, damaged = await self._copies(held, row), await self._copies(held, row, damaged=True)
        names = await self._db.read(_NAMES, (row["dev"], row["ino"], file, _MOST))
        digests = await self._db.read("SELECT kind, value FROM digest WHERE file = ?", (file,))
        blake3 = held["blake3"].hex() if held["blake3"] else None
        history = await self._history(file)
        remotes = await self._remotes(file, blake3, held["size"], PathRef.of(row["path"]))
        return AssetDetail(
            library=library.name,
            asset=asset_of(row),
            first_seen_at=when(row["first_seen_at"]),
            checked_at=when(row["checked_at"]) if row["checked_at"] is not None else None,
            damage=damage_of(row["damage"]),
            reason=_reason(row["damage"], found),
            unreachable=away and _away(library, row, away),
            held=blake3 if row["damage"] else None,
            found=found[0]["note"] if row["damage"] == "rotten" and found else None,
            traits=await self._traits(file),
            hashes={digest["kind"]: digest["value"].hex() for digest in digests},
            sources=await self._sources.of_file(row),
            names=self._elsewhere(names),
            copies=self._elsewhere(same),
            copies_total=same[0]["total"] if same else 0,
            damaged_copies=self._elsewhere(damaged),
            remotes=remotes,
            history=history,
        )

    async def _copies(self, held: Any, row: Any, *, damaged: bool = False) -> list[Any]:
        """Other files with these bytes, of which nothing bad is known; or that had them."""
        if not held["blake3"]:
            return []
        values = (held["blake3"], held["size"], row["dev"], row["ino"], damaged, _MOST)
        return await self._db.read(_COPIES, values)

    async def _find(self, request: ShowAsset) -> Any:
        libraries = self._libraries()
        if request.id is not None:
            rows = await self._db.read("SELECT * FROM file WHERE id = ?", (request.id,))
            shown = f"number {request.id}"
        elif request.library is not None and request.path is not None:
            stored = next((s for s in libraries.values() if s.name == request.library), None)
            if stored is None:
                known = ", ".join(sorted(s.name for s in libraries.values())) or "none yet"
                raise NotFound(f"There is no library {request.library}.", f"Libraries: {known}.")
            rows = await self._db.read(
                "SELECT * FROM file WHERE library = ? AND path = ?",
                (stored.id, _relative(request.path, stored.root)),
            )
            shown = request.path.display
        else:
            raise Invalid("Which file?", "Name its library and its path, or its number (--id).")
        found = [r for r in rows if r["library"] in libraries]
        if request.library is not None:
            found = [r for r in found if libraries[r["library"]].name == request.library]
        if not found:
            where = f" in the library {request.library}" if request.library else ""
            raise NotFound(
                f"There is no file {shown}{where}.",
                f"arcanum media list {request.library or 'LIBRARY'} names its files.",
            )
        return found[0]

    async def _traits(self, file: int) -> Traits | None:
        # What was found of other bytes than it has now says nothing.
        rows = await self._db.read(
            "SELECT trait.* FROM trait JOIN file ON file.id = trait.file"
            " WHERE file.id = ? AND trait.size = file.size AND trait.mtime_ns = file.mtime_ns",
            (file,),
        )
        return traits_of(rows[0]) if rows else None

    async def _history(self, file: int) -> tuple[Happening, ...]:
        rows = await self._db.read(
            "SELECT * FROM history WHERE file = ? ORDER BY id DESC LIMIT ?", (file, _MOST)
        )
        libraries = self._libraries()
        happenings = [
            Happening(
                id=row["id"],
                at=when(row["at"]),
                what=row["what"],
                library=stored.name if (stored := libraries.get(row["library"])) else "",
                path=PathRef.of(row["path"]),
                file=row["file"],
                size=row["size"],
                blake3=row["blake3"] and row["blake3"].hex(),
                note=row["note"],
            )
            for row in rows
        ]
        return await self._named(happenings)

    def _elsewhere(self, rows: list[Any]) -> tuple[Elsewhere, ...]:
        libraries = self._libraries()
        return tuple(
            Elsewhere(
                id=row["id"],
                library=libraries[row["library"]].name,
                path=PathRef.of(row["path"]),
                checked_at=when(row["checked_at"]) if row["checked_at"] is not None else None,
                unreachable=self._out_of_reach(row["library"], row["path"]) is not None,
            )
            for row in rows
            if row["library"] in libraries
        )


def _away(library: Stored, row: Any, place: Place) -> OutOfReach:
    seen = when(row["seen_at"])
    return OutOfReach(
        place=PathRef.of(library.root + b"/" + place.path if place.path else library.root),
        why=place.why,
        since=place.since,
        seen_at=max(seen, place.seen_at or seen),
    )


def _reason(damage: str, found: Sequence[Any]) -> str:
    """What was said of a damaged file when it was found."""
    if not damage or not found:
        return ""
    note: str = found[0]["note"]
    return f"its BLAKE3 is now {note}" if found[0]["what"] == "rotten" else note


def traits_of(row: Any) -> Traits:
    """A row of ``trait``."""
    return Traits(
        kind=row["kind"],
        type=row["type"],
        taken_at=when(row["taken_at"]) if row["taken_at"] is not None else None,
        camera=row["camera"],
        latitude=row["latitude"],
        longitude=row["longitude"],
        width=row["width"],
        height=row["height"],
        duration_ms=row["duration_ms"],
        container=row["container"],
        codecs=row["codecs"],
        details=json.loads(row["details"]),
        problem=row["problem"],
    )


def _relative(path: PathRef, root: bytes) -> bytes:
    """Raises Invalid."""
    try:
        data = path.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    return data.removeprefix(root.rstrip(b"/") + b"/") if data.startswith(b"/") else data
