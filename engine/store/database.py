"""One SQLite file: a single writer that takes whole transactions, and readers beside it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from engine.contract.errors import StoreFailed
from engine.contract.events import Event
from engine.store import schema
from engine.store.reserve import Reserve
from engine.store.writer import QUEUE_BOUND, TOGETHER, DiskFull, Transaction, Writer, explain

_log = logging.getLogger("arcanum.store")
T = TypeVar("T")
Row = sqlite3.Row

_READERS = 2
_TIMEOUT_S = 10
_TRIES = 5
_HELD_BACK_MS = 1_000
_STEPS = 50_000
_LAX_KIB, _LAX_PAGES = 32 * 1024, 16_384
_STUDY_KIB = {"main": 8 * 1024, "temp": 16 * 1024}


class Database:
    """It is opened by whoever first reads or writes, if not before; where that fails, the next one
    tries again. ``publish`` receives the events of a transaction, in order, once it is committed.
    ``reserve`` is let go of where the disk is too full to open it.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        *,
        durable: bool,
        publish: Callable[[Event], None] | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        self.path = path
        self._reserve = reserve
        self._kind = kind
        self._durable = durable
        self._publish = publish or (lambda _event: None)
        self._writer: Writer | None = None
        self._connection: aiosqlite.Connection | None = None
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._open_readers: list[aiosqlite.Connection] = []
        self._studies: dict[asyncio.Future[Any], threading.Event] = {}
        self._opening = asyncio.Lock()
        self._closing = False

    @property
    def depth(self) -> int:
        """Transactions that wait."""
        return 0 if self._writer is None else self._writer.depth

    @property
    def last_commit_s(self) -> float:
        """How long the last commit took, with what went into it."""
        return 0.0 if self._writer is None else self._writer.last_commit_s

    bound = QUEUE_BOUND

    async def open(self) -> None:
        """Verifies, migrates and opens. Raises StoreFailed and leaves a refused file untouched.

        Where the caller is cancelled, the file is let go before it returns: no thread may still
        work on what somebody else opens next.
        """
        async with self._opening:
            if self._closing or self._writer is not None:
                return
            opening = asyncio.ensure_future(self._open_with_reserve())
            try:
                await asyncio.shield(opening)
            except asyncio.CancelledError:
                await asyncio.gather(opening, return_exceptions=True)
                await self._let_go()
                raise

    async def _open_with_reserve(self) -> None:
        reserve = self._reserve
        try:
            await self._open()
        except DiskFull:
            if reserve is None or not await asyncio.to_thread(reserve.let_go):
                raise
            _log.warning("the disk is full: the reserve was let go of")
            await self._open()
        else:
            if reserve is not None:
                await asyncio.to_thread(reserve.keep)

    async def _open(self) -> None:
        try:
            await asyncio.to_thread(schema.prepare, self.path, self._kind)
            self._connection = await self._connect(writer=True)
            for _ in range(_READERS):
                reader = await self._connect(writer=False)
                self._open_readers.append(reader)
                self._readers.put_nowait(reader)
        except BaseException as error:
            await self._let_go()
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path) from error
            if isinstance(error, OSError):
                raise StoreFailed(
                    f"{self.path}: {error.strerror or error}.",
                    "Make the folder writable, or move the data with ARCANUM_HOME.",
                ) from error
            raise
        # What need not reach the disk gains nothing by going there together.
        together = TOGETHER if self._durable else 1
        self._writer = Writer(self._connection, self.path, self._publish, together)

    async def _opened(self) -> Writer:
        """The writer. Raises StoreFailed where it is closed, or cannot be opened."""
        if self._writer is None and not self._closing:
            await self.open()
        if self._writer is None or self._closing:
            raise self._closed()
        return self._writer

    def _closed(self) -> StoreFailed:
        return StoreFailed(f"{self.path} is closed.", "Start the engine again.")

    async def _connect(self, *, writer: bool) -> aiosqlite.Connection:
        connection = aiosqlite.connect(self.path, isolation_level=None, timeout=_TIMEOUT_S)
        # A process that ends without closing must end all the same: by itself aiosqlite's thread
        # would keep it for ever. What was acknowledged is committed; the rest rolls back.
        connection._thread.daemon = True  # noqa: SLF001 - there is no public way
        try:
            await connection
            connection.row_factory = sqlite3.Row
            await connection.execute("PRAGMA foreign_keys = ON")
            # FULL: what was acknowledged survives a power cut. NORMAL: only what can be rebuilt.
            await connection.execute(
                f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}"
            )
            if writer and self._durable:
                # What was deleted or overwritten is not left in the file's free space.
                # It answers, and an answer that nobody takes would be in the way of a scrub.
                await connection.execute_fetchall("PRAGMA secure_delete = ON")
            if writer and not self._durable:
                # It takes millions of rows whose keys are in no order: a page that several batches
                # change is kept, and goes from the log into the file once for all of them.
                await connection.execute(f"PRAGMA cache_size = -{_LAX_KIB}")
                await connection.execute_fetchall(f"PRAGMA wal_autocheckpoint = {_LAX_PAGES}")
            if not writer:
                await connection.execute("PRAGMA query_only = ON")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Finishes what waits and refuses what comes later, then closes. Safe to call twice."""
        self._closing = True
        for stop in self._studies.values():
            stop.set()
        await asyncio.gather(*self._studies, return_exceptions=True)
        async with self._opening:
            await self._let_go()

    async def _let_go(self) -> None:
        if self._writer is not None:
            await self._writer.stop()
            self._writer = None
        while self._open_readers:
            reader = await self._readers.get()
            self._open_readers.remove(reader)
            await reader.close()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    # --- reading --------------------------------------------------------------------------------

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[aiosqlite.Connection]:
        await self._opened()
        reader = await self._readers.get()
        try:
            yield reader
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        finally:
            self._readers.put_nowait(reader)

    async def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of one SELECT, as it is now. The statement bounds how many."""
        async with self._reader() as reader:
            return list(await reader.execute_fetchall(sql, values))

    async def study(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs ``work`` in a thread, on a connection of its own, in one read transaction: all that
        it asks is of the same moment. It may make temporary tables, and takes as long as it takes;
        a cancelled caller ends it. Raises what ``work`` raises, or StoreFailed."""
        await self._opened()
        # Its progress handler ends it within some thousand steps, whatever it does just then.
        stop = threading.Event()
        task = asyncio.ensure_future(asyncio.to_thread(_study, self.path, work, stop.is_set))
        self._studies[task] = stop
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.gather(task, return_exceptions=True)
            raise
        except sqlite3.Error as error:
            if stop.is_set():
                raise self._closed() from error
            raise explain(error, self.path) from error
        finally:
            del self._studies[task]

    # --- writing --------------------------------------------------------------------------------

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs ``work`` as one transaction; returns its result once it is committed.

        Raises what ``work`` raises (everything is rolled back), or StoreFailed.
        """
        return await (await self._opened()).write(work)

    async def scrub(self) -> bool:
        """Leaves nothing in the file, or in its log, of what was deleted from it.

        ``secure_delete`` alone does not: SQLite leaves copies of rows behind where it moved them
        from one page to another. So the whole file is written anew, and the log emptied. Writes
        wait meanwhile. False where somebody read for so long that the log could not be emptied.
        Raises StoreFailed.
        """
        return await (await self._opened()).write(_scrub, alone=True)


def _study(path: Path, work: Callable[[sqlite3.Connection], T], stopped: Callable[[], bool]) -> T:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_TIMEOUT_S)) as own:
        own.row_factory = sqlite3.Row
        own.set_progress_handler(stopped, _STEPS)
        # What is beyond this goes through a file: many millions of rows take no more memory.
        for schema_, kib in _STUDY_KIB.items():
            own.execute(f"PRAGMA {schema_}.cache_size = -{kib}")
        own.execute("BEGIN")
        return work(own)


async def _scrub(outside: Transaction) -> bool:
    await outside.execute("VACUUM")
    await outside.fetch(f"PRAGMA busy_timeout = {_HELD_BACK_MS}")
    try:
        for _ in range(_TRIES):
            if not (await outside.fetch("PRAGMA wal_checkpoint(TRUNCATE)"))[0]["busy"]:
                return True
        return False
    finally:
        await outside.fetch(f"PRAGMA busy_timeout = {_TIMEOUT_S * 1000}")
