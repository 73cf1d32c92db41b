"""One SQLite file: a single writer that takes whole transactions, and readers beside it.

A write is a coroutine function that gets a ``Transaction``. It runs alone, between BEGIN IMMEDIATE
and COMMIT, in the writer's own task: a caller that is cancelled meanwhile neither tears it nor
takes it back. When ``write`` returns, it is committed.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from engine.contract.base import visible
from engine.contract.errors import Internal, StoreFailed
from engine.contract.events import Event
from engine.store import schema

T = TypeVar("T")
Row = sqlite3.Row
Work = Callable[["Transaction"], Awaitable[Any]]

_QUEUE_BOUND = 1024
_READERS = 2
_MIN_FREE = 64 * 1024


def explain(error: sqlite3.Error, path: Path) -> StoreFailed:
    """The error that a user can act on."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where = f"{path}: {visible(str(error))}"
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreFailed(
            f"The disk is full. {where}.", "Free some space; nothing that was saved is lost."
        )
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreFailed(
            f"The database cannot be written. {where}.",
            "Make the folder writable, or move the data with ARCANUM_HOME.",
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return schema.damaged(path, str(error))
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreFailed(
            f"The database could not be read or written. {where}.",
            "Look at the disk's free space and health, then try again.",
        )
    return StoreFailed(
        f"The database refused a statement. {where}.", "This is a defect: report it."
    )


def _is_full(path: Path) -> bool:
    """SQLite calls it an input/output error where its shared memory found no room."""
    try:
        return shutil.disk_usage(path.parent).free < _MIN_FREE
    except OSError:
        return False


class Transaction:
    """What a write may do. Valid only inside the function that it was given to."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.events: list[Event] = []

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Runs one statement; returns the number of rows that it changed."""
        async with self._connection.execute(sql, values) as cursor:
            return cursor.rowcount

    async def insert(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Runs one INSERT; returns the new row's id."""
        async with self._connection.execute(sql, values) as cursor:
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Runs one statement for many rows in one step; returns the rows changed."""
        async with self._connection.executemany(sql, rows) as cursor:
            return cursor.rowcount

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return list(await self._connection.execute_fetchall(sql, values))

    async def emit(self, event: Event) -> None:
        """Tells a durable fact: stored with this transaction, published after its commit."""
        data = event.model_dump(mode="json", exclude={"seq"})
        seq = await self.insert(
            "INSERT INTO event (at, kind, data) VALUES (?, ?, ?)",
            (data["at"], event.kind, json.dumps(data, ensure_ascii=False)),
        )
        self.events.append(event.model_copy(update={"seq": seq}))


class Database:
    """``publish`` receives the events of a transaction, in order, once it is committed."""

    def __init__(
        self,
        path: Path,
        kind: str,
        *,
        durable: bool,
        publish: Callable[[Event], None] | None = None,
    ) -> None:
        self.path = path
        self._kind = kind
        self._durable = durable
        self._publish = publish or (lambda _event: None)
        self._queue: asyncio.Queue[tuple[Work, asyncio.Future[Any]]] = asyncio.Queue(_QUEUE_BOUND)
        self._writer: asyncio.Task[None] | None = None
        self._connection: aiosqlite.Connection | None = None
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._open_readers: list[aiosqlite.Connection] = []
        self._closing = False
        self.last_commit_s = 0.0

    @property
    def depth(self) -> int:
        """Transactions that wait."""
        return self._queue.qsize()

    bound = _QUEUE_BOUND

    async def open(self) -> None:
        """Verifies, migrates and opens. Raises StoreFailed and leaves a refused file untouched.

        Where the caller is cancelled, the file is let go before it returns: no thread may still
        work on what somebody else opens next.
        """
        opening = asyncio.ensure_future(self._open())
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.gather(opening, return_exceptions=True)
            await self.close()
            raise

    async def _open(self) -> None:
        try:
            await asyncio.to_thread(schema.prepare, self.path, self._kind)
            self._connection = await self._connect(writer=True)
            for _ in range(_READERS):
                reader = await self._connect(writer=False)
                self._open_readers.append(reader)
                self._readers.put_nowait(reader)
        except BaseException as error:
            await self.close()
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path) from error
            if isinstance(error, OSError):
                raise StoreFailed(
                    f"{self.path}: {error.strerror or error}.",
                    "Make the folder writable, or move the data with ARCANUM_HOME.",
                ) from error
            raise
        self._writer = asyncio.create_task(self._write_forever(), name=f"store:{self._kind}")

    async def _connect(self, *, writer: bool) -> aiosqlite.Connection:
        connection = aiosqlite.connect(self.path, isolation_level=None, timeout=10)
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
            if not writer:
                await connection.execute("PRAGMA query_only = ON")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Finishes what waits and refuses what comes later, then closes. Safe to call twice."""
        self._closing = True
        if self._writer is not None:
            await self._queue.join()
            self._writer.cancel()
            await asyncio.wait([self._writer])
            self._writer = None
        while self._open_readers:
            reader = await self._readers.get()
            self._open_readers.remove(reader)
            await reader.close()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _closed(self) -> StoreFailed:
        return StoreFailed(f"{self.path} is closed.", "Start the engine again.")

    # --- reading --------------------------------------------------------------------------------

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[aiosqlite.Connection]:
        if self._connection is None or self._closing:
            raise self._closed()
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

    # --- writing --------------------------------------------------------------------------------

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs ``work`` as one transaction; returns its result once it is committed.

        Raises what ``work`` raises (everything is rolled back), or StoreFailed.
        """
        if self._writer is None or self._closing:
            raise self._closed()
        if asyncio.current_task() is self._writer:
            raise Internal("A transaction was asked for inside a transaction.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put((work, future))
        return await asyncio.shield(future)

    async def _write_forever(self) -> None:
        assert self._connection is not None
        while True:
            work, future = await self._queue.get()
            started = time.perf_counter()
            try:
                result = await self._transact(self._connection, work)
            except asyncio.CancelledError:
                future.cancel()
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # The writer is to end; else the work awaited something cancelled.
            except Exception as error:  # noqa: BLE001 - handed to the caller
                if not future.cancelled():
                    future.set_exception(error)
                    future.exception()  # A caller that left is no "never retrieved" warning.
            else:
                if not future.cancelled():
                    future.set_result(result)
            finally:
                self.last_commit_s = time.perf_counter() - started
                self._queue.task_done()

    async def _transact(self, connection: aiosqlite.Connection, work: Work) -> Any:
        transaction = Transaction(connection)
        try:
            await connection.execute("BEGIN IMMEDIATE")
            try:
                result = await work(transaction)
                await connection.commit()
            except BaseException:
                # SQLite has rolled back by itself after some errors (a full disk, for one).
                if connection.in_transaction:
                    await connection.rollback()
                raise
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        for event in transaction.events:
            self._publish(event)
        return result
