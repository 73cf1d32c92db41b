"""What is told of where files came from: of one file, and of many in numbers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from engine.contract.base import visible
from engine.contract.errors import Invalid, NotFound
from engine.contract.sources import AskSources, SourceCount, SourceReport, SourceSummary
from engine.contract.traits import Provenance
from engine.media.catalogue import Stored
from engine.media.paging import when
from engine.media.survey.process import Target
from engine.media.survey.records import target_of
from engine.store import Database

_MOST = 100
_MOST_COPIES = 5
_COPIED = 0.9
_CAMERA, _APPEARED = 0.7, 0.1

_OWN = """
SELECT source.*, torrent.client, torrent.state, torrent.ratio, torrent.seeding_s,
    torrent.private AS closed, torrent.held
FROM source LEFT JOIN (
    SELECT *, EXISTS (SELECT 1 FROM claim WHERE claim.file = ?1
        AND (claim.client, claim.infohash) = (torrent.client, torrent.infohash)) AS held
    FROM torrent) AS torrent
ON source.kind = 'torrent' AND (torrent.client, torrent.infohash) = (
    SELECT told.client, told.infohash FROM torrent AS told
    LEFT JOIN claim ON claim.file = source.file
        AND (claim.client, claim.infohash) = (told.client, told.infohash)
    WHERE told.infohash = substr(source.origin, 10)
    ORDER BY claim.file IS NULL, told.at DESC LIMIT 1)
WHERE source.file = ?1 ORDER BY confidence DESC, source.id LIMIT ?2
"""
_COPIES = """
SELECT source.*, file.library, file.path FROM file CROSS JOIN source ON source.file = file.id
WHERE file.blake3 = ? AND file.id <> ? ORDER BY confidence DESC, source.id LIMIT ?
"""
_CAMERA_OF = """
SELECT trait.camera, trait.taken_at FROM trait JOIN file ON file.id = trait.file
WHERE file.id = ? AND trait.camera <> ''
    AND trait.size = file.size AND trait.mtime_ns = file.mtime_ns
"""
_COUNTS = """
SELECT {name} AS name, count(DISTINCT source.file) AS files
FROM source JOIN file ON file.id = source.file
WHERE file.library IN ({libraries}) AND {which} GROUP BY 1 ORDER BY files DESC, name LIMIT ?
"""
_CAMERAS = """
SELECT trait.camera AS name, count(*) AS files FROM trait JOIN file ON file.id = trait.file
WHERE file.library IN ({libraries}) AND trait.camera <> ''
GROUP BY 1 ORDER BY files DESC, name LIMIT ?
"""


class Sources:
    """``libraries``: those that there are, by id. ``look``: looks into a file now. Raises
    StoreFailed."""

    def __init__(
        self,
        database: Database,
        libraries: Callable[[], Mapping[int, Stored]],
        look: Callable[[Stored, Target], Awaitable[None]],
    ) -> None:
        self._db, self._libraries, self._look = database, libraries, look

    async def tell(self, request: AskSources) -> SourceReport:
        """Raises NotFound; Invalid for a path without a library."""
        libraries = self._libraries()
        asked = {
            id_: stored
            for id_, stored in libraries.items()
            if request.library in {None, stored.name}
        }
        if request.library is not None and not asked:
            names = ", ".join(sorted(stored.name for stored in libraries.values()))
            known = names or "none yet: arcanum media add PATH"
            raise NotFound(f"There is no library {request.library}.", f"Libraries: {known}.")
        if request.path is None:
            return SourceReport(library=request.library, summary=await self._summary(list(asked)))
        if request.library is None:
            raise Invalid("A path is one of a library.", "Name the library, too.")
        [stored] = asked.values()
        rows = await self._db.read(
            "SELECT * FROM file WHERE library = ? AND path = ?",
            (stored.id, _relative(request, stored.root)),
        )
        if not rows:
            raise NotFound(
                f"There is no file {request.path.display} in the library {stored.name}.",
                f"arcanum media list {stored.name} names its files.",
            )
        if not rows[0]["surveyed"]:
            await self._look(stored, target_of(rows[0]))
        return SourceReport(
            library=stored.name, path=request.path, sources=await self.of_file(rows[0])
        )

    # --- one file -------------------------------------------------------------------------------

    async def of_file(self, file: Any) -> tuple[Provenance, ...]:
        """All evidence of one file, a row of ``file``; the most telling first."""
        found = [self._stored(row, file) for row in await self._db.read(_OWN, (file["id"], _MOST))]
        if file["blake3"] and file["size"]:
            found += await self._copies(file, {one.origin for one in found})
        for row in await self._db.read(_CAMERA_OF, (file["id"],)):
            taken = {"taken": when(row["taken_at"]).isoformat()} if row["taken_at"] else {}
            found.append(_told(file, "camera", _CAMERA, {"camera": row["camera"], **taken}))
        found.append(_told(file, "appeared", _APPEARED, {"told by": "first seen here"}))
        return tuple(sorted(found, key=lambda one: -one.confidence))

    def _stored(self, row: Any, file: Any) -> Provenance:
        evidence = _evidence(row)
        if row["state"] is not None:
            kept = row["held"] or row["state"] == "removed"
            evidence["client"] = row["client"]
            evidence["state"] = row["state"] if kept else "holds another file by now"
            evidence["ratio"] = f"{row['ratio']:.2f}"
            evidence["seeding seconds"] = str(row["seeding_s"])
            if row["closed"] is not None:
                evidence["private"] = "yes" if row["closed"] else "no"
        if row["blake3"] and file["blake3"] and row["blake3"] != file["blake3"]:
            evidence["since then"] = "its bytes were changed"
        return _provenance(row, row["kind"], row["confidence"], evidence)

    async def _copies(self, file: Any, known: set[str]) -> list[Provenance]:
        """What is known of other files with the same bytes holds for these bytes, too."""
        found = []
        libraries = self._libraries()
        rows = await self._db.read(_COPIES, (file["blake3"], file["id"], _MOST))
        for row in rows:
            stored = libraries.get(row["library"])
            if stored is None or row["blake3"] != file["blake3"] or row["origin"] in known:
                continue
            known.add(row["origin"])
            path = visible(row["path"].decode("utf-8", "surrogateescape"))
            where = {"same bytes": f"{stored.name}: {path}", "there": row["kind"]}
            evidence = {**where, **_evidence(row)}
            found.append(_provenance(row, "copy", row["confidence"] * _COPIED, evidence))
            if len(found) == _MOST_COPIES:
                break
        return found

    # --- many files -----------------------------------------------------------------------------

    async def _summary(self, libraries: list[int]) -> SourceSummary:
        """Beside everything else, and of one moment: a million files take seconds."""
        return await self._db.study(lambda db: _count(db, libraries))


def _count(db: sqlite3.Connection, libraries: list[int]) -> SourceSummary:
    here = ",".join("?" * len(libraries))

    def number(sql: str) -> int:
        return int(db.execute(sql, libraries).fetchone()[0])

    def counts(sql: str, **values: str) -> tuple[SourceCount, ...]:
        rows = db.execute(sql.format(libraries=here, **values), (*libraries, _MOST))
        return tuple(SourceCount(name=row["name"], files=row["files"]) for row in rows)

    fetched = "source.kind IN ('url', 'download') AND source.host <> ''"
    seeded = "source.kind = 'torrent' AND source.host <> ''"
    return SourceSummary(
        files=number(f"SELECT coalesce(sum(files), 0) FROM library WHERE id IN ({here})"),  # noqa: S608
        known=number(
            "SELECT count(DISTINCT source.file) FROM source"  # noqa: S608
            f" JOIN file ON file.id = source.file WHERE file.library IN ({here})"
        ),
        waiting=number(
            f"SELECT count(*) FROM file WHERE surveyed = 0 AND library IN ({here})"  # noqa: S608
        ),
        kinds=counts(_COUNTS, name="source.kind", which="1"),
        hosts=counts(_COUNTS, name="source.host", which=fetched),
        trackers=counts(_COUNTS, name="source.host", which=seeded),
        cameras=counts(_CAMERAS),
    )


def _evidence(row: Any) -> dict[str, str]:
    return {key: str(told) for key, told in json.loads(row["evidence"]).items()}


def _provenance(row: Any, kind: str, confidence: float, evidence: dict[str, str]) -> Provenance:
    return Provenance(
        at=when(row["at"]),
        kind=kind,
        origin=row["origin"],
        referrer=row["referrer"],
        confidence=round(confidence, 2),
        evidence=evidence,
    )


def _told(file: Any, kind: str, confidence: float, evidence: dict[str, str]) -> Provenance:
    at = when(file["first_seen_at"])
    return Provenance(
        at=at, kind=kind, origin="", referrer="", confidence=confidence, evidence=evidence
    )


def _relative(request: AskSources, root: bytes) -> bytes:
    assert request.path is not None
    try:
        data = request.path.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    return data.removeprefix(root.rstrip(b"/") + b"/") if data.startswith(b"/") else data
