"""What is known of the libraries' files, in SQLite.

Rows come from a worker as JSON: path as text (see ``frames``), then the identity (dev, ino, size,
mtime_ns, ctime_ns), nlink, and the BLAKE3 in hex or None, then what ``hashes`` were made besides.
"""

from __future__ import annotations

import asyncio
import os
import time
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.contract.base import now, visible
from engine.media.integrity import record
from engine.media.nesting import Nesting, lies_in
from engine.media.root import Root
from engine.store import Database, Transaction
from engine.worker.frames import to_bytes

_CHUNK = 500
_PURGE = 5000

# Of a batch: library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, seen_at.
_UPSERT = """
INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, seen_at,
    first_seen_at, checked_at)
SELECT v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v11, iif(v10 IS NULL, NULL, v11)
FROM temp.batch WHERE true
ON CONFLICT (library, path) DO UPDATE SET
    checked_at = CASE
        WHEN excluded.blake3 IS NULL
            AND (dev, ino, size, mtime_ns, ctime_ns) = (excluded.dev, excluded.ino,
                excluded.size, excluded.mtime_ns, excluded.ctime_ns)
        THEN checked_at ELSE excluded.checked_at END,
    blake3 = CASE
        WHEN excluded.blake3 IS NULL
            AND (dev, ino, size, mtime_ns, ctime_ns) = (excluded.dev, excluded.ino,
                excluded.size, excluded.mtime_ns, excluded.ctime_ns)
        THEN blake3 ELSE excluded.blake3 END,
    damage = CASE
        WHEN damage = 'unread'
            AND (dev, ino, size, mtime_ns, ctime_ns) <> (excluded.dev, excluded.ino,
                excluded.size, excluded.mtime_ns, excluded.ctime_ns)
        THEN '' ELSE damage END,
    dev = excluded.dev, ino = excluded.ino, size = excluded.size,
    mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, nlink = excluded.nlink,
    seen_at = excluded.seen_at
"""
_MOVE = """
UPDATE file SET path = ?, folded = ?, dev = ?, ino = ?, size = ?, mtime_ns = ?, ctime_ns = ?,
    nlink = ?, seen_at = ?
WHERE id = ? AND library = ?
"""
# Of a batch as for _MOVE: files whose row went before it could be moved are new here.
_MOVED_TOO_LATE = """
INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink, seen_at,
    first_seen_at)
SELECT v11, v1, v2, v3, v4, v5, v6, v7, v8, v9, v9 FROM temp.batch
WHERE NOT EXISTS (SELECT 1 FROM file WHERE library = v11 AND path = v1)
"""
_REHOME = "UPDATE file SET library = ?1, path = ?2, folded = ?3 WHERE id = ?4 AND library <> ?1"
# Of a batch: library, the identity, then the hash and when it was made. All names of a hardlinked
# file at once. A file that changed meanwhile matches no more.
_HASH = """
UPDATE file INDEXED BY file_by_inode SET blake3 = v7, checked_at = v8 FROM temp.batch
WHERE library = v1 AND dev = v2 AND ino = v3 AND size = v4 AND mtime_ns = v5 AND ctime_ns = v6
"""
# Few files are in the index of these; without the first condition SQLite would read all the others.
_NUMBERS = """
SELECT library.*, damaged - unread AS damaged, unread, kept FROM library, (
    SELECT count(*) AS damaged, coalesce(sum(damage = 'unread'), 0) AS unread,
        coalesce(sum(damage = 'unread' AND blake3 IS NOT NULL), 0) AS kept
    FROM file INDEXED BY file_damaged WHERE library = ?1 AND damage <> '')
WHERE id = ?1
"""

Placed = Callable[[Transaction, int, Iterable[bytes]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A library as the user's settings hold it."""

    id: int
    name: str
    root: bytes


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the catalogue holds of one library. Sizes in bytes. ``unread``: of the ``unreadable``,
    files that are known. ``since``: it is away since then."""

    state: str = "ok"
    note: str = ""
    files: int = 0
    bytes: int = 0
    pending: int = 0
    unreadable: int = 0
    unread: int = 0
    damaged: int = 0
    drift: int = 0
    scanned_at: datetime | None = None
    changed_at: datetime | None = None
    root: Root | None = None
    since: datetime | None = None


def fold(path: bytes) -> str:
    """The visible text of a path without case, as the filter compares it."""
    text = visible(os.fsdecode(path))
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def fold_text(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


async def _converted(rows: Iterable[Any], convert: Any) -> list[tuple[Any, ...]]:
    """Rows for SQLite, made in steps so that the event loop is never held for long."""
    done: list[tuple[Any, ...]] = []
    for row in rows:
        done.append(convert(row))
        if len(done) % _CHUNK == 0:
            await asyncio.sleep(0)
    return done


class Files:
    """Every method is one transaction or one read. Raises StoreFailed.

    ``hashes``: those of hashlib that are made besides BLAKE3. ``placed`` hears, within the
    transaction, in which library files came to which paths, or changed there. What lies in a
    library within, by ``nesting``, is not taken for one's own, whoever met it before that was one.
    """

    def __init__(
        self,
        database: Database,
        hashes: Sequence[str] = (),
        placed: Placed | None = None,
        nesting: Nesting | None = None,
    ) -> None:
        self._db, self._placed = database, placed
        self._nesting = nesting or Nesting()
        self.hashes = tuple(dict.fromkeys(hashes))

    @property
    def uri(self) -> str:
        """Where a worker reads it."""
        return self._db.path.absolute().as_uri()

    # --- libraries ------------------------------------------------------------------------------

    async def adopt(self, libraries: Sequence[Stored]) -> dict[int, bytes]:
        """Makes room for these libraries; returns those that are the user's no more: id, root."""
        roots = {library.id: library.root for library in libraries}

        async def work(tx: Transaction) -> dict[int, bytes]:
            known = {row["id"]: row["root"] for row in await tx.fetch("SELECT * FROM library")}
            for id_ in roots.keys() - known.keys():
                await tx.execute("INSERT INTO library (id, root) VALUES (?, ?)", (id_, roots[id_]))
            return {id_: root for id_, root in known.items() if roots.get(id_) != root}

        return await self._db.write(work)

    async def purge(self, library: int) -> None:
        """Forgets a library, in steps, so that others may write in between."""

        async def some(tx: Transaction) -> int:
            return await tx.execute(
                "DELETE FROM file WHERE id IN (SELECT id FROM file WHERE library = ? LIMIT ?)",
                (library, _PURGE),
            )

        async def last(tx: Transaction) -> None:
            await tx.execute("DELETE FROM library WHERE id = ?", (library,))

        while await self._db.write(some):
            pass
        await record.forget(self._db, library)
        await self._db.write(last)

    async def forget_old(self, library: int) -> None:
        """Keeps what happened to a library's files within its bound, in steps."""
        await record.forget(self._db, library, record.KEPT)

    async def numbers(self, library: int) -> Numbers:
        rows = await self._db.read(_NUMBERS, (library,))
        if not rows:
            return Numbers()
        row = rows[0]
        return Numbers(
            row["state"],
            row["note"],
            row["files"],
            row["bytes"],
            row["pending"] + row["kept"],
            row["unreadable"] + row["unread"],
            row["unread"],
            row["damaged"],
            row["drift"],
            scanned_at=row["scanned_at"] and datetime.fromisoformat(row["scanned_at"]),
            changed_at=row["changed_at"] and datetime.fromisoformat(row["changed_at"]),
            root=None if row["dev"] is None else Root(*(row[name] for name in Root._fields)),
            since=row["since"] and datetime.fromisoformat(row["since"]),
        )

    async def put_root(self, library: int, old: Root | None, root: Root) -> None:
        """Remembers which folder the root is. A file system mounted anew may have a new number."""

        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE library SET dev = ?, ino = ?, volume = ?, born = ? WHERE id = ?",
                (*root, library),
            )
            if old is not None and old.dev != root.dev:
                await tx.execute(
                    "UPDATE file SET dev = ? WHERE library = ? AND dev = ?",
                    (root.dev, library, old.dev),
                )

        await self._db.write(work)

    async def put_state(
        self,
        library: int,
        state: str,
        note: str,
        *,
        unreadable: int | None = None,
        looked: bool = False,
    ) -> None:
        """``looked``: everything was looked at, now. ``unreadable``: names that could not be
        looked at; None leaves that number."""

        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE library SET since = iif(?1 = 'ok', NULL, coalesce(since, ?2)), state = ?1,"
                " note = ?3, unreadable = coalesce(?4, unreadable),"
                " scanned_at = iif(?5, ?2, scanned_at) WHERE id = ?6",
                (state, now().isoformat(), note, unreadable, looked, library),
            )

        await self._db.write(work)

    async def put_drift(self, library: int, files: int) -> None:
        """So many more changes that no event had told of; 0: a look at everything found none."""
        sql = "UPDATE library SET drift = iif(?1 = 0, 0, drift + ?1) WHERE id = ?2"

        async def work(tx: Transaction) -> None:
            await tx.execute(sql, (files, library))

        await self._db.write(work)

    # --- files ----------------------------------------------------------------------------------

    async def put(self, library: int, rows: Sequence[list[Any]], *, changed: bool = False) -> None:
        """New files, or changed ones."""
        seen = time.time_ns()

        def convert(row: list[Any]) -> tuple[Any, ...]:
            raw = to_bytes(row[0])
            blake3 = bytes.fromhex(row[7]) if row[7] else None
            return (library, raw, fold(raw), *row[1:7], blake3, seen)

        values = await _converted(rows, convert)
        hashed = [value for value in values if value[9] is not None]
        digests = self._digests(
            ((value[:2], row[8:]) for value, row in zip(values, rows, strict=True) if row[8:])
        )

        async def work(tx: Transaction) -> None:
            mine = self._mine(library, values, path=1)
            if changed:
                await record.changed(tx, [(seen, *value[:2], *value[3:8]) for value in mine])
            await tx.batch(mine)
            await tx.execute(_UPSERT)
            await record.put_digests(tx, record.BY_PATH, digests)
            places = [value[:2] for value in hashed]
            hashes = [value[9] for value in hashed]
            await record.was_read(tx, seen, record.BY_PATH, places, hashes)
            await self._tell(tx, library, (value[1] for value in values))

        await self._write(library, work)

    def _mine(
        self, library: int, values: list[tuple[Any, ...]], path: int
    ) -> list[tuple[Any, ...]]:
        """Without what lies in a library within. To be asked in the transaction that writes them:
        whatever is handed over then, is handed over after it, or before."""
        inner = self._nesting.inner(library)
        return [value for value in values if not lies_in(value[path], inner)] if inner else values

    def _digests(
        self, read: Iterable[tuple[tuple[Any, ...], Sequence[str]]]
    ) -> list[tuple[Any, ...]]:
        return [
            (*place, kind, bytes.fromhex(value))
            for place, found in read
            for kind, value in zip(self.hashes, found, strict=True)
        ]

    async def move(self, library: int, rows: Sequence[list[Any]], *, came: bool = False) -> None:
        """Files under a new name: they keep their id and their hash. ``came``: from elsewhere."""
        seen = time.time_ns()

        def convert(row: list[Any]) -> tuple[Any, ...]:
            id_, path, *identity = row
            raw = to_bytes(path)
            return (raw, fold(raw), *identity, seen, id_, library)

        values = await _converted(rows, convert)
        # Another look may have met the new name first.
        clear = "DELETE FROM file WHERE library = ? AND path = ? AND id <> ?"

        async def work(tx: Transaction) -> None:
            mine = self._mine(library, values, path=0)
            await record.moved(tx, [(seen, value[-2], library, value[0]) for value in mine])
            await tx.executemany(clear, [(library, value[0], value[-2]) for value in mine])
            if came:
                await tx.executemany(_REHOME, [(library, *v[:2], v[-2]) for v in mine])
            await tx.executemany(_MOVE, mine)
            await tx.batch(mine)
            await tx.execute(_MOVED_TOO_LATE)
            await self._tell(tx, library, (value[0] for value in values))

        await self._write(library, work)

    async def _tell(self, tx: Transaction, library: int, paths: Iterable[bytes]) -> None:
        if self._placed is not None:
            await self._placed(tx, library, paths)

    async def remove(self, library: int, ids: Sequence[int], before: int) -> None:
        """Files that are gone, unless another look saw them since ``before`` (ns since 1970).
        What a clock that was ahead says to be seen later counts as seen long ago."""
        sql = (
            "DELETE FROM file WHERE id IN (SELECT v1 FROM temp.batch)"
            " AND library = ? AND seen_at NOT BETWEEN ? AND ?"
        )

        async def work(tx: Transaction) -> None:
            at = time.time_ns()  # Not before: what another look wrote meanwhile is past by now.
            await record.gone(tx, [(at, id_, library, before) for id_ in ids])
            await tx.batch([(id_,) for id_ in ids])
            await tx.execute(sql, (library, before, at))

        await self._write(library, work)

    async def put_hashes(self, library: int, rows: Sequence[list[Any]]) -> None:
        """Rows of dev, ino, size, mtime_ns, ctime_ns, BLAKE3 in hex, and the further hashes."""
        at = time.time_ns()
        values = await _converted(rows, lambda row: (library, *row[:5], bytes.fromhex(row[5]), at))
        places, hashes = [value[:6] for value in values], [value[6] for value in values]
        digests = self._digests(zip(places, (row[6:] for row in rows), strict=True))

        async def work(tx: Transaction) -> None:
            await tx.batch(values)
            await tx.execute(_HASH)
            await record.put_digests(tx, record.BY_INODE, digests)
            await record.was_read(tx, at, record.BY_INODE, places, hashes)

        await self._write(library, work)

    async def put_unread(self, library: int, rows: Sequence[list[Any]]) -> None:
        """Rows of path, why it cannot be read, dev, ino, size, mtime_ns, ctime_ns."""
        at = time.time_ns()
        values = [(at, library, *row[2:7], visible(str(row[1]))) for row in rows]

        async def work(tx: Transaction) -> None:
            await record.unread(tx, values)

        await self._write(library, work)

    async def _write(self, library: int, work: Callable[[Transaction], Awaitable[None]]) -> None:
        """Runs it, and says of the library that it changed."""

        async def whole(tx: Transaction) -> None:
            await work(tx)
            await tx.execute(
                "UPDATE library SET changed_at = ? WHERE id = ?", (now().isoformat(), library)
            )

        await self._db.write(whole)

    async def pending(self, library: int) -> tuple[int, int]:
        """Files (each inode once) and bytes that are to be hashed."""
        rows = await self._db.read(
            "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM file"
            " INDEXED BY file_pending WHERE library = ?1 AND blake3 IS NULL GROUP BY dev, ino"
            " UNION ALL SELECT size FROM file INDEXED BY file_damaged WHERE library = ?1"
            " AND damage <> '' AND damage = 'unread' AND blake3 IS NOT NULL GROUP BY dev, ino)",
            (library,),
        )
        return rows[0][0], rows[0][1]
