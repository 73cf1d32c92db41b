"""What is known of files goes with them from one library to another whose root lies around it, or
in it: the same rows, with all that hangs on them. Nothing is read for it.

It is done in steps, so that others may write in between. Every step is whole by itself, so what was
cut off goes on where it stopped: before the next look at everything, or when the engine starts.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.contract.base import now
from engine.media.catalogue import Stored, fold
from engine.media.nesting import Nesting, lies_in
from engine.store import Database, Transaction

STEP = 1000
HAPPENINGS = 5000
_FOLDED = 250

# Of two rows of one place the older one stays: it is the one with a history.
_NEWER = """
DELETE FROM file WHERE id IN (
    SELECT max(file.id, v1) FROM temp.batch JOIN file ON file.library = ? AND file.path = v2)
"""
_HAND = "UPDATE file SET library = ?, path = v2, folded = v3 FROM temp.batch WHERE file.id = v1"
_EDGE = """
SELECT max(id) FROM (SELECT id FROM history WHERE library = ? AND id > ? ORDER BY id LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class _Way:
    """From ``source`` all rows with paths between ``low`` and ``high`` (None: the end) and, if it
    is not None, of that ``dev``. Of a path ``cut`` bytes are left out, and ``prefix`` is put there.
    """

    source: int
    target: int
    low: bytes
    high: bytes | None
    cut: int = 0
    prefix: bytes = b""
    dev: int | None = None

    def where(self, after: bytes) -> tuple[str, list[Any]]:
        sql, values = "library = ? AND path > ?", list[Any]([self.source, after])
        if self.high is not None:
            sql += " AND path < ?"
            values.append(self.high)
        if self.dev is not None:
            sql += " AND dev = ?"
            values.append(self.dev)
        return sql, values

    def path(self, path: bytes) -> bytes:
        return self.prefix + path[self.cut :]


class Handover:
    """``told`` hears when files were handed over. Raises StoreFailed."""

    def __init__(self, database: Database, nesting: Nesting, told: Callable[[], None]) -> None:
        self._db, self.nesting, self._told = database, nesting, told
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def settle(self, library: Stored) -> None:
        """Takes over what the libraries around this one know of its files.

        What lies there on another file system is not its own: something is mounted over it.
        """
        outer = self.nesting.outer(library.id)
        if not outer:
            return
        async with self._locks[library.id]:
            for source, place in outer.items():
                dev = await self._device(library.id)
                if dev is None:
                    dev = await self._device(source)
                below = place + b"/"
                await self._take(_Way(source, library.id, below, place + b"0", len(below), dev=dev))

    async def leave(self, library: int) -> None:
        """Hands over what a library knows that is none any more to the one around it, where that
        is on the same file system: another it does not enter."""
        target = self.nesting.around(library)
        if target is None or await self._device(library) != await self._device(target):
            return
        place = self.nesting.path(library, target)
        prefix = place + b"/" if place else b""
        await self._take(_Way(library, target, b"", None, prefix=prefix))

    async def _device(self, library: int) -> int | None:
        rows = await self._db.read("SELECT dev FROM library WHERE id = ?", (library,))
        return rows[0]["dev"] if rows else None

    async def _take(self, way: _Way) -> None:
        if not await self._db.write(partial(self._any, way=way)):
            return
        after: int | None = 0  # What happened comes first: files that are left tell that it is due.
        while after is not None:
            after = await self._db.write(partial(self._happenings, way=way, after=after))
        last: bytes | None = way.low
        while last is not None:
            last = await self._db.write(partial(self._files, way=way, after=last))
        self._told()

    @staticmethod
    async def _any(tx: Transaction, way: _Way) -> bool:
        """In a transaction: whatever was to be written before is there."""
        where, values = way.where(way.low)
        return bool(await tx.fetch(f"SELECT 1 FROM file WHERE {where} LIMIT 1", values))  # noqa: S608

    @staticmethod
    async def _happenings(tx: Transaction, way: _Way, after: int) -> int | None:
        """The next of what happened there; returns how far it came."""
        [[edge]] = await tx.fetch(_EDGE, (way.source, after, HAPPENINGS))
        if edge is None:
            return None
        below = "" if way.high is None else " AND path < ?"
        await tx.execute(
            "UPDATE history SET library = ?, path = CAST(? || substr(path, ?) AS BLOB)"  # noqa: S608
            f" WHERE library = ? AND id > ? AND id <= ? AND path > ?{below}",
            (
                *(way.target, way.prefix, way.cut + 1, way.source, after, edge, way.low),
                *(() if way.high is None else (way.high,)),
            ),
        )
        return int(edge)

    async def _files(self, tx: Transaction, way: _Way, after: bytes) -> bytes | None:
        """The next files, by path; returns how far it came."""
        where, values = way.where(after)
        rows = await tx.fetch(
            f"SELECT id, path FROM file WHERE {where} ORDER BY path LIMIT ?",  # noqa: S608
            (*values, STEP),
        )
        if not rows:
            return None
        # What lies in a library within is for that one to take; one that leaves gives all it has.
        inner = self.nesting.inner(way.target) if way.cut else frozenset[bytes]()
        batch = []
        for number, row in enumerate(rows):
            path = way.path(row["path"])
            if not lies_in(path, inner):
                batch.append((row["id"], path, fold(path)))
            if number % _FOLDED == _FOLDED - 1:
                await asyncio.sleep(0)
        if batch:
            await tx.batch(batch)
            await tx.execute(_NEWER, (way.target,))
            await tx.execute(_HAND, (way.target,))
            await tx.execute(
                "UPDATE library SET changed_at = ? WHERE id IN (?, ?)",
                (now().isoformat(), way.source, way.target),
            )
        return bytes(rows[-1]["path"])
