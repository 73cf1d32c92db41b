"""What a reading found, into the catalogue; and what is known there of damaged files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from engine.contract.base import PathRef
from engine.contract.integrity import Damage, Damaged, DamagedPage, GoodCopy
from engine.media.integrity import record
from engine.media.paging import when
from engine.store import Database, Transaction
from engine.worker.frames import to_bytes

_COPIES = 5

# A good hash is never replaced by what was found: every statement asks for it.
_CHECKED = """
UPDATE file INDEXED BY file_by_inode SET checked_at = ?, damage = ''
WHERE library = ? AND dev = ? AND ino = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?
    AND blake3 = ?
"""
_MENDED = """
INSERT INTO history (at, library, file, what, path, size, blake3)
SELECT ?, library, id, 'mended', path, size, blake3 FROM file INDEXED BY file_by_inode
WHERE library = ? AND dev = ? AND ino = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?
    AND blake3 = ? AND damage <> ''
"""
_FOUND = """
INSERT INTO history (at, library, file, what, path, size, blake3, note)
SELECT ?, library, id, ?, path, size, blake3, ? FROM file INDEXED BY file_by_inode
WHERE library = ? AND dev = ? AND ino = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?
    AND blake3 = ? AND damage <> ?
"""
_DAMAGED = """
UPDATE file INDEXED BY file_by_inode SET damage = ?
WHERE library = ? AND dev = ? AND ino = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?
    AND blake3 = ?
"""
_LIST = """
SELECT file.id, library, path, dev, ino, size, blake3, damage FROM file
WHERE damage IN ('rotten', 'unreadable') AND {where} ORDER BY file.id LIMIT ?
"""
_SINCE = """
SELECT at, size, blake3, note FROM history WHERE file = ? AND what IN ('rotten', 'unreadable')
ORDER BY id DESC LIMIT 1
"""
_GOOD = """
SELECT library, path, checked_at FROM file
WHERE blake3 = ? AND size = ? AND damage = '' AND (dev <> ? OR ino <> ?)
ORDER BY checked_at DESC LIMIT ?
"""


class Checks:
    """Every method is one transaction, or reads. Raises StoreFailed.

    ``hashes``: those that were made besides BLAKE3, in the order of the rows.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    async def intact(
        self, library: int, rows: Sequence[list[Any]], hashes: Sequence[str], mending: bool
    ) -> int:
        """Rows of path, identity, BLAKE3, further hashes. Returns how many names were mended;
        they are looked for where ``mending`` says that some may be."""
        at = time.time_ns()
        places = [(library, *row[1:6]) for row in rows]
        good = [bytes.fromhex(row[6]) for row in rows]
        checked = [(*place, value) for place, value in zip(places, good, strict=True)]
        digests = [
            (*place, kind, bytes.fromhex(value))
            for place, row in zip(places, rows, strict=True)
            for kind, value in zip(hashes, row[7:], strict=True)
            if kind in {"md5", "sha1", "sha256"}
        ]

        async def work(tx: Transaction) -> int:
            mended = 0
            if mending:
                mended = await tx.executemany(_MENDED, [(at, *value) for value in checked])
            await tx.executemany(_CHECKED, [(at, *value) for value in checked])
            await record.put_digests(tx, record.BY_INODE, digests)
            return mended

        return await self._db.write(work)

    async def damaged(self, library: int, damage: Damage, rows: Sequence[list[Any]]) -> None:
        """Rows of path, identity, BLAKE3 that it had, and what was found, or why it is unread."""
        at = time.time_ns()
        values = [((library, *row[1:6], bytes.fromhex(row[6])), str(row[7])) for row in rows]

        async def work(tx: Transaction) -> None:
            found = [(at, damage, note, *value, damage) for value, note in values]
            await tx.executemany(_FOUND, found)
            await tx.executemany(_DAMAGED, [(damage, *value) for value, _note in values])

        await self._db.write(work)

    async def any_damaged(self, library: int) -> bool:
        rows = await self._db.read(
            "SELECT 1 FROM file WHERE library = ? AND damage IN ('rotten', 'unreadable') LIMIT 1",
            (library,),
        )
        return bool(rows)

    async def digests(self, file: int) -> dict[str, str]:
        """The further hashes of what a file held, in hex by kind."""
        rows = await self._db.read("SELECT kind, value FROM digest WHERE file = ?", (file,))
        return {row["kind"]: row["value"].hex() for row in rows}

    async def page(
        self, names: dict[int, str], library: int | None, limit: int, after: int
    ) -> DamagedPage:
        """Damaged files by their ids, with the good copies that the catalogue knows."""
        of = list(names) if library is None else [library]
        asked = f"library IN ({','.join('?' * len(of))})"
        rows = await self._db.read(
            _LIST.format(where=f"{asked} AND file.id > ?"), (*of, after, limit + 1)
        )
        [count] = await self._db.read(
            f"SELECT count(*) FROM file WHERE damage IN ('rotten', 'unreadable') AND {asked}",  # noqa: S608
            of,
        )
        more = len(rows) > limit
        found = [await self._damaged(names, row) for row in rows[:limit]]
        return DamagedPage(
            damaged=tuple(found), total=count[0], next=found[-1].id if more else None
        )

    async def named(
        self, names: dict[int, str], library: int, paths: Sequence[bytes]
    ) -> tuple[Damaged, ...]:
        """Those of these paths that are damaged."""
        found = []
        for path in paths:
            rows = await self._db.read(
                _LIST.format(where="library = ? AND path = ?"), (library, path, 1)
            )
            found += [await self._damaged(names, row) for row in rows]
        return tuple(found)

    async def _damaged(self, names: dict[int, str], row: Any) -> Damaged:
        since = await self._db.read(_SINCE, (row["id"],))
        was = since[0] if since else row  # It may have been written to since, and not read yet.
        good = await self._db.read(
            _GOOD, (was["blake3"], was["size"], row["dev"], row["ino"], _COPIES)
        )
        note = since[0]["note"] if since else ""
        rotten = row["damage"] == "rotten"
        return Damaged(
            library=names[row["library"]],
            id=row["id"],
            path=PathRef.of(row["path"]),
            size=was["size"],
            damage=row["damage"],
            blake3=was["blake3"].hex() if was["blake3"] else "",
            reason=f"its BLAKE3 is now {note}" if rotten and note else note,
            since=when(since[0]["at"]) if since else None,
            copies=tuple(
                GoodCopy(
                    library=names[copy["library"]],
                    path=PathRef.of(copy["path"]),
                    checked_at=None if copy["checked_at"] is None else when(copy["checked_at"]),
                )
                for copy in good
                if copy["library"] in names
            ),
        )


def paths_of(rows: Sequence[list[Any]]) -> list[bytes]:
    return [to_bytes(row[0]) for row in rows]
