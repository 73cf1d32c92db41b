"""The files of a remembered folder in the database: each as a whole, passage by passage.

A passage that says what it said before keeps its row, and with it its number, its pin and its uses.
What replaced or took in another memory and goes sets that one free again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.contract.base import PathRef, now
from engine.contract.memories import Unread
from engine.recall import book
from engine.store import Database, Transaction

TOGETHER = 200
"""Passages from which on files are written in one transaction."""
AGAIN = -1
"""The size of a file that is to be read again, whatever it looks like."""
TOLD = 20
"""Files that could not be read are named, so many of a folder."""

_PAGE = 500
_AT_ONCE = 500
"""Passages after which others have a turn: comparing a long text takes a while."""
_GONE_TOGETHER = 2_000
_SOURCE = 200
_LATEST = 253_402_300_799  # The end of the year 9999.


@dataclass(frozen=True, slots=True)
class Home:
    """A folder, as its passages know it."""

    id: int
    namespace_id: int
    namespace: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a file. ``passages`` None: it could not be read, what was known stays.

    ``size`` AGAIN: it is to be read again. ``problem``: what could not be read, and why.
    """

    path: bytes
    size: int
    mtime_ns: int
    digest: bytes = b""
    problem: str = ""
    passages: Sequence[str] | None = None

    @property
    def source(self) -> str:
        """The path as text, of a long one the end."""
        shown = PathRef.of(self.path).display
        return shown if len(shown) <= _SOURCE else f"…{shown[1 - _SOURCE :]}"

    @property
    def at(self) -> str:
        """When it was written."""
        seconds = min(max(self.mtime_ns // 1_000_000_000, 0), _LATEST)
        return book.stamp(datetime.fromtimestamp(seconds, UTC))


@dataclass(slots=True)
class Count:
    """``problems``: the first of those that could not be read, with the reasons."""

    files: int = 0
    passages: int = 0
    unread: int = 0
    problems: tuple[Unread, ...] = ()


class Documents:
    def __init__(self, database: Database, machine: str) -> None:
        self._db, self._machine = database, machine

    async def known(self, folder: int) -> AsyncIterator[list[Any]]:
        """The files of a folder, page by page: id, path, size, mtime_ns, problem."""
        after = b""
        while page := await self._db.read(
            "SELECT id, path, size, mtime_ns, problem FROM document"
            " WHERE folder_id = ? AND path > ? ORDER BY path LIMIT ?",
            (folder, after, _PAGE),
        ):
            yield page
            after = page[-1]["path"]

    async def count(self, folder: int) -> Count:
        """What there is of a folder. A file that gave no passage is none of its files."""
        [row] = await self._db.read(
            "SELECT count(DISTINCT document_id) AS files, count(*) AS passages FROM memory"
            " WHERE document_id IN (SELECT id FROM document WHERE folder_id = ?)",
            (folder,),
        )
        unread = await self._db.read(
            "SELECT path, problem, count(*) OVER () AS every FROM document"
            " WHERE folder_id = ? AND problem != '' ORDER BY path LIMIT ?",
            (folder, TOLD),
        )
        return Count(
            row["files"],
            row["passages"],
            unread[0]["every"] if unread else 0,
            tuple(Unread(path=PathRef.of(one["path"]), why=one["problem"]) for one in unread),
        )

    # --- keeping in step ------------------------------------------------------------------------

    async def store(self, home: Home, readings: Sequence[Reading]) -> int:
        """Writes files down, each as it was read. Returns how many memories came or went."""

        async def work(tx: Transaction) -> int:
            [last] = await tx.fetch("SELECT coalesce(max(id), 0) AS id FROM memory")
            moved = 0
            for reading in readings:
                moved += await _store(tx, home, reading)
            if moved:
                new = await tx.fetch(
                    "SELECT id FROM memory WHERE id > ? ORDER BY id LIMIT 100", (last["id"],)
                )
                await self._tell(tx, home, [row["id"] for row in new], moved)
            return moved

        return await self._db.write(work)

    async def remove(self, home: Home, documents: Sequence[int]) -> int:
        """Takes files out, with what they said. Returns how many memories went."""
        gone = 0
        async for batch in self._batches(documents):

            async def work(tx: Transaction, batch: list[int] = batch) -> int:
                which = book.numbers(batch)
                ids = await tx.fetch(
                    "SELECT id FROM memory"
                    " WHERE document_id IN (SELECT value FROM json_each(?)) ORDER BY id",
                    (which,),
                )
                await _delete(tx, [row["id"] for row in ids])
                await tx.execute(
                    "DELETE FROM document WHERE id IN (SELECT value FROM json_each(?))", (which,)
                )
                if ids:
                    await self._tell(tx, home, [row["id"] for row in ids], len(ids))
                return len(ids)

            gone += await self._db.write(work)
        return gone

    async def _batches(self, documents: Sequence[int]) -> AsyncIterator[list[int]]:
        """So many files that a transaction is short."""
        for start in range(0, len(documents), _PAGE):
            rows = await self._db.read(
                "SELECT value AS id,"
                " (SELECT count(*) FROM memory WHERE document_id = value) AS size"
                " FROM json_each(?)",
                (book.numbers(documents[start : start + _PAGE]),),
            )
            batch: list[int] = []
            size = 0
            for row in rows:
                batch.append(row["id"])
                size += row["size"]
                if size >= _GONE_TOGETHER:
                    yield batch
                    batch, size = [], 0
            if batch:
                yield batch

    async def _tell(self, tx: Transaction, home: Home, ids: list[int], count: int) -> None:
        await book.told(tx, "documents", ids, self._machine, home.namespace, count=count)


async def _store(tx: Transaction, home: Home, reading: Reading) -> int:
    read = reading.passages is not None
    # What could not be read is still known by what it said when it could.
    kept = "digest" if not read else "excluded.digest"
    await tx.execute(
        "INSERT INTO document (folder_id, path, size, mtime_ns, digest, problem, read_at)"  # noqa: S608
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (folder_id, path) DO UPDATE SET"
        f" size = excluded.size, mtime_ns = excluded.mtime_ns, digest = {kept},"
        " problem = excluded.problem, read_at = excluded.read_at",
        (
            home.id,
            reading.path,
            reading.size,
            reading.mtime_ns,
            reading.digest,
            reading.problem,
            book.stamp(now()),
        ),
    )
    if reading.passages is None:
        return 0
    [document] = await tx.fetch(
        "SELECT id FROM document WHERE folder_id = ? AND path = ?", (home.id, reading.path)
    )
    return await _passages(tx, home, reading, document["id"], reading.passages)


async def _passages(
    tx: Transaction, home: Home, reading: Reading, document: int, passages: Sequence[str]
) -> int:
    """Makes the file's memories what it says now; returns how many came or went."""
    there: dict[str, list[Any]] = {}
    for row in await tx.fetch(
        "SELECT id, ref, text FROM memory WHERE document_id = ? ORDER BY id DESC", (document,)
    ):
        there.setdefault(row["text"], []).append(row)
    fresh, moved = [], []
    for number, text in enumerate(passages, 1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        ref = f"{document}:{number}"
        if not (same := there.get(text)):
            fresh.append((ref, text))
        elif (row := same.pop())["ref"] != ref:
            moved.append((ref, row["id"]))
    gone = [row["id"] for rows in there.values() for row in rows]
    await _delete(tx, gone)
    if moved:  # Through nothing: a number may still be another's.
        await _unnumber(tx, [number for _ref, number in moved])
        await tx.executemany("UPDATE memory SET ref = ? WHERE id = ?", moved)
    present = book.stamp(now())
    fixed = (home.namespace_id, document, home.pinned, reading.at, present, reading.source)
    await tx.executemany(
        "INSERT INTO memory (namespace_id, kind, document_id, pinned, at, added_at, source, ref,"
        " text) VALUES (?, 'document', ?, ?, ?, ?, ?, ?, ?)"
        # A copy of it that was imported becomes the file's own.
        " ON CONFLICT (namespace_id, source, ref) WHERE ref != '' DO UPDATE SET"
        " kind = 'document', document_id = excluded.document_id, text = excluded.text,"
        " state = 'live', replaced_by = NULL, archive_id = NULL",
        [(*fixed, ref, text) for ref, text in fresh],
    )
    return len(fresh) + len(gone)


async def _unnumber(tx: Transaction, ids: Iterable[int]) -> None:
    await tx.execute(
        "UPDATE memory SET ref = '' WHERE id IN (SELECT value FROM json_each(?))",
        (book.numbers(ids),),
    )


async def _delete(tx: Transaction, ids: Sequence[int]) -> None:
    if not ids:
        return
    which = book.numbers(ids)
    await tx.execute(
        "UPDATE memory SET replaced_by = NULL,"
        " state = CASE WHEN state IN ('merged', 'replaced') THEN 'live' ELSE state END"
        " WHERE replaced_by IN (SELECT value FROM json_each(?))",
        (which,),
    )
    await tx.execute("DELETE FROM memory WHERE id IN (SELECT value FROM json_each(?))", (which,))
