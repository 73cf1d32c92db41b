"""What torrent clients hold, in the catalogue: their torrents, and which files are theirs.

A file is a client's when it is the very inode that the client has, whatever it is called here: so
a copy in a library that is hardlinked to a torrent's file is that torrent's, too. Where the inode
cannot be seen, path and size tell; where the client's paths lead nowhere on this machine, name and
size do, with less confidence: rather one file too many is held back than one too few.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.contract.base import visible
from engine.media.catalogue import Stored
from engine.media.source import book
from engine.media.source.clients.places import HIDDEN, MISSING, THERE
from engine.media.source.ease import eased
from engine.store import Database, Transaction
from engine.worker.frames import to_bytes

KEPT = 10_000
"""Torrents that their clients have no more, of which is known how they ended."""

_STEP = 2000
_ASKED = 300
_SAMPLE = 200
_LEAST_NAMED = 64 * 1024
_MOST_NAMED = 100
_LIKELY = {"inode": 0.98, "path": 0.9, "name": 0.5}
_STATES = frozenset({"seeding", "downloading", "paused", "checking", "failing", "unknown"})

_BY_INODE = """
WITH asked (dev, ino) AS (VALUES {values})
SELECT file.id, file.dev, file.ino, file.size FROM asked CROSS JOIN library
CROSS JOIN file INDEXED BY file_by_inode
    ON file.library = library.id AND file.dev = asked.dev AND file.ino = asked.ino
"""
_BY_SIZE = """
SELECT file.id, file.path FROM library CROSS JOIN file INDEXED BY file_by_size
    ON file.library = library.id AND file.size = ? LIMIT ?
"""
# What an older client tells only with the files is kept when it does not tell it.
_PUT = """
INSERT INTO torrent (client, infohash, name, tracker, category, labels, ratio, seeding_s, private,
    state, added_at, files, missing, example, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (client, infohash) DO UPDATE SET
    name = excluded.name, tracker = iif(excluded.tracker = '', tracker, excluded.tracker),
    category = excluded.category, labels = excluded.labels, ratio = excluded.ratio,
    seeding_s = excluded.seeding_s, private = coalesce(excluded.private, private),
    state = excluded.state, added_at = excluded.added_at, at = excluded.at,
    files = excluded.files, missing = excluded.missing, example = excluded.example
"""
_SAME = """
UPDATE torrent SET name = ?3, tracker = iif(?4 = '', tracker, ?4), category = ?5, labels = ?6,
    ratio = ?7, seeding_s = ?8, private = coalesce(?9, private), state = ?10, added_at = ?11,
    at = ?12
WHERE client = ?1 AND infohash = ?2
"""


@dataclass(slots=True)
class Heard:
    """A torrent as it comes in. ``same``: its files are those of before, and not told again.
    ``ids``: catalogued files of it, and how that is known. ``lost``: its first missing files."""

    told: dict[str, Any]
    same: bool
    files: int = 0
    missing: int = 0
    ids: dict[int, str] = field(default_factory=dict)
    lost: list[tuple[bytes, int]] = field(default_factory=list)

    @property
    def infohash(self) -> str:
        return str(self.told["infohash"])


class Torrents:
    """Every method is one transaction, or reads. Raises StoreFailed.

    ``libraries``: those that there are, by id.
    """

    def __init__(self, database: Database, libraries: Callable[[], Mapping[int, Stored]]) -> None:
        self._db, self._libraries = database, libraries

    async def only(self, clients: Sequence[str]) -> None:
        """What is held by clients that are no more is held no more."""
        those = f"client NOT IN ({','.join('?' * len(clients))})"

        async def work(tx: Transaction) -> None:
            await tx.execute(f"DELETE FROM claim WHERE {those}", clients)  # noqa: S608
            await tx.execute(
                f"UPDATE torrent SET state = 'removed' WHERE state <> 'removed' AND {those}",  # noqa: S608
                clients,
            )

        await self._db.write(work)

    async def mark(self) -> str:
        """Other when files came, went or moved."""
        rows = await self._db.read("SELECT max(changed_at) AS at, sum(files) AS n FROM library")
        newest = await self._db.read("SELECT max(id) AS id FROM file")
        return f"{rows[0]['at']} {rows[0]['n']} {newest[0]['id']}"

    # --- matching -------------------------------------------------------------------------------

    async def match(self, heard: Heard, rows: Sequence[Sequence[Any]]) -> None:
        """Finds these files of a torrent in the catalogue: rows as ``Places.row`` has them."""
        there = {}
        async for place, size, seen, dev, ino in eased(rows):
            heard.files += 1
            if seen == THERE:
                there[dev, ino] = size
            elif seen == HIDDEN:
                await self._by_path(heard, to_bytes(place), size)
            elif seen == MISSING:
                heard.missing += 1
                if len(heard.lost) < _SAMPLE:
                    heard.lost.append((to_bytes(place), size))
        inodes = list(there)
        for start in range(0, len(inodes), _ASKED):
            part = inodes[start : start + _ASKED]
            sql = _BY_INODE.format(values=",".join(["(?,?)"] * len(part)))
            for row in await self._db.read(sql, [number for inode in part for number in inode]):
                if row["size"] == there[row["dev"], row["ino"]]:
                    heard.ids[row["id"]] = "inode"

    async def _by_path(self, heard: Heard, place: bytes, size: int) -> None:
        for library in self._libraries().values():
            root = library.root.rstrip(b"/") + b"/"
            if place.startswith(root):
                found = await self._db.read(
                    "SELECT id FROM file WHERE library = ? AND path = ? AND size = ?",
                    (library.id, place.removeprefix(root), size),
                )
                heard.ids.update({row["id"]: "path" for row in found})

    async def _by_name(self, heard: Heard) -> None:
        """Only where nothing of a torrent is where it should be: then its paths are other ones."""
        for place, size in heard.lost:
            if size < _LEAST_NAMED:
                continue
            name = os.path.basename(place)
            for row in await self._db.read(_BY_SIZE, (size, _MOST_NAMED)):
                if os.path.basename(row["path"]) == name:
                    heard.ids.setdefault(row["id"], "name")

    # --- storing --------------------------------------------------------------------------------

    async def take(self, client: str, at: int, torrents: Sequence[Heard]) -> None:
        """Stores torrents that were heard whole. ``at``: when the asking began."""
        old: list[tuple[str, str, int]] = []
        claims: list[tuple[str, str, str, int]] = []
        evidence: list[tuple[Any, ...]] = []
        for heard in torrents:
            if heard.same:
                continue
            if heard.missing and heard.missing == heard.files:
                await self._by_name(heard)
            gone, new = await self._moved(client, heard)
            old += gone
            claims += [(client, heard.infohash, how, f) async for f, how in eased(new)]
            evidence += await _rows(client, heard.told, new)

        async def work(tx: Transaction) -> None:
            for heard in torrents:
                columns = _columns(client, heard.told, at)
                if heard.same:
                    await tx.execute(_SAME, columns)
                else:
                    example = heard.lost[0][0] if heard.lost else None
                    counted = (heard.files, heard.missing, example, at)
                    await tx.execute(_PUT, (*columns[:-1], *counted))
            await tx.executemany(
                "DELETE FROM claim WHERE client = ? AND infohash = ? AND file = ?", old
            )
            await tx.executemany(
                "INSERT OR REPLACE INTO claim (client, infohash, how, file)"
                " SELECT ?, ?, ?, id FROM file WHERE id = ?",
                claims,
            )
            await book.store(tx, evidence)

        await self._db.write(work)

    async def _moved(
        self, client: str, heard: Heard
    ) -> tuple[list[tuple[str, str, int]], list[tuple[int, str]]]:
        """Claims that hold no longer, and files that are newly held, with how that is known."""
        rows = await self._db.read(
            "SELECT file, how FROM claim WHERE client = ? AND infohash = ?",
            (client, heard.infohash),
        )
        known = {row["file"]: row["how"] async for row in eased(rows)}
        told = heard.ids
        gone = [(client, heard.infohash, file) async for file in eased(known) if file not in told]
        new = [(f, how) async for f, how in eased(told.items()) if known.get(f) != how]
        return gone, new

    async def complete(self, client: str, at: int) -> None:
        """The client was heard to the end: what it did not tell of, it has no more."""

        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE torrent SET state = 'removed' WHERE client = ? AND at < ?", (client, at)
            )
            await tx.execute(
                "DELETE FROM claim WHERE client = ?1 AND infohash IN ("
                " SELECT infohash FROM torrent WHERE client = ?1 AND state = 'removed')",
                (client,),
            )

        await self._db.write(work)

    async def forget_old(self, keep: int = KEPT) -> None:
        """Keeps what is known of torrents that are no more within its bound: the oldest go, in
        steps. What came from them says so all the same."""
        edge = await self._db.read(
            "SELECT at, client, infohash FROM torrent WHERE state = 'removed'"
            " ORDER BY at DESC, client DESC, infohash DESC LIMIT 1 OFFSET ?",
            (keep,),
        )
        if not edge:
            return

        async def some(tx: Transaction) -> int:
            return await tx.execute(
                "DELETE FROM torrent WHERE (client, infohash) IN ("
                " SELECT client, infohash FROM torrent WHERE state = 'removed'"
                " AND (at, client, infohash) <= (?, ?, ?) LIMIT ?)",
                (*edge[0], _STEP),
            )

        while await self._db.write(some):
            pass

    async def numbers(self, client: str) -> dict[str, Any]:
        """What is known of a client's torrents: counts, the last time, an example of a lost one."""
        [row] = await self._db.read(
            "SELECT count(*) AS torrents, coalesce(sum(state = 'seeding'), 0) AS seeding,"
            " coalesce(sum(files > 0 AND missing = files), 0) AS unfound, max(at) AS at,"
            " max(iif(files > 0 AND missing = files, example, NULL)) AS example"
            " FROM torrent WHERE client = ? AND state <> 'removed'",
            (client,),
        )
        [claimed] = await self._db.read(
            "SELECT count(DISTINCT file) AS files FROM claim WHERE client = ?", (client,)
        )
        return {**{name: row[name] for name in row.keys()}, "claimed": claimed["files"]}  # noqa: SIM118

    async def unfound(self, client: str) -> set[str]:
        """Torrents of which something is not where it should be."""
        rows = await self._db.read(
            "SELECT infohash FROM torrent WHERE client = ? AND missing > 0", (client,)
        )
        return {row["infohash"] for row in rows}


def _columns(client: str, told: Mapping[str, Any], at: int) -> tuple[Any, ...]:
    """The process that asked may have been taken over: nothing of it is taken as it comes."""
    state, private = str(told["state"]), told["private"]
    return (
        client,
        str(told["infohash"])[:64],
        *(visible(str(told[name]))[:300] for name in ("name", "tracker", "category", "labels")),
        float(told["ratio"]),
        min(int(told["seeding_s"]), 2**62),
        None if private is None else int(bool(private)),
        state if state in _STATES else "unknown",
        min(int(told["added_s"]), 2**33) * 10**9 or None,
        at,
    )


async def _rows(
    client: str, told: Mapping[str, Any], files: Sequence[tuple[int, str]]
) -> list[tuple[Any, ...]]:
    """Rows for ``book.store``. All files of a torrent have the same evidence."""
    rest: dict[str, tuple[Any, ...]] = {}
    rows = []
    async for file, how in eased(files):
        if how not in rest:
            [made] = await book.prepared({file: [_evidence(client, told, how)]})
            rest[how] = made[1:]
        rows.append((file, *rest[how]))
    return rows


def _evidence(client: str, told: Mapping[str, Any], how: str) -> dict[str, Any]:
    private = {True: "yes", False: "no"}.get(told["private"], "")
    evidence = {
        "client": client,
        "torrent": told["name"],
        "tracker": told["tracker"],
        "category": told["category"],
        "labels": told["labels"],
        "private": private,
        "told by": {
            "inode": "it is the torrent's file",
            "path": "path and size",
            "name": "name and size: the client's path leads nowhere here",
        }[how],
    }
    return {
        "kind": "torrent",
        "origin": f"urn:btih:{told['infohash']}",
        "referrer": "",
        "host": told["tracker"],
        "confidence": _LIKELY[how],
        "evidence": evidence,
    }
