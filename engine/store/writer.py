"""The one writer of a file: whole transactions, one after another, several to a commit.

A write is a coroutine function that gets a ``Transaction``. It runs alone, in the writer's own
task: a caller that is cancelled meanwhile neither tears it nor takes it back. When ``write``
returns, it is committed.

Group commit: a trip to the disk takes longer than anything else here, so what waits by the time
that a transaction has run joins it, behind a savepoint of its own, and all are committed together.
Nobody waits for others to come: who is alone commits at once.

What SQLite does outside of any transaction runs in the same order, alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from engine.contract.base import visible
from engine.contract.errors import Internal, StoreFailed
from engine.contract.events import Event
from engine.store import schema

_log = logging.getLogger("arcanum.store")
T = TypeVar("T")
Row = sqlite3.Row
Work = Callable[["Transaction"], Awaitable[Any]]

QUEUE_BOUND = 1024
TOGETHER = 64
"""Transactions in one commit at most."""

_MIN_FREE = 64 * 1024
_WIDEST = 16
_BATCH = f"CREATE TEMP TABLE IF NOT EXISTS batch ({', '.join(f'v{n + 1}' for n in range(_WIDEST))})"


class DiskFull(StoreFailed):
    """There is no room for what was to be written, or to read."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"The disk is full. {where}.", "Free some space; nothing that was saved is lost."
        )


def explain(error: sqlite3.Error, path: Path) -> StoreFailed:
    """The error that a user can act on."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where = f"{path}: {_told(error)}"
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return DiskFull(where)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreFailed(
            f"The database cannot be written. {where}.",
            "Make the folder writable, or move the data with ARCANUM_HOME.",
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return schema.damaged(path, _told(error))
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreFailed(
            f"The database could not be read or written. {where}.",
            "Look at the disk's free space and health, then try again.",
        )
    return StoreFailed(
        f"The database refused a statement. {where}.", "This is a defect: report it."
    )


def _told(error: sqlite3.Error) -> str:
    """What SQLite says. What the driver says of a text that it cannot read quotes that text."""
    if isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode"):
        return "a text in it is damaged"
    return visible(str(error))


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

    async def batch(self, rows: Sequence[Sequence[Any]]) -> None:
        """Makes ``rows``, all of one width, the temporary table ``batch`` with columns v1, v2, ….

        One statement over it is two to three times as fast as one for each row where a table has
        triggers: for every such statement SQLite keeps what the pages held that it touches.
        """
        await self.execute(_BATCH)
        await self.execute("DELETE FROM temp.batch")
        if rows:
            width = len(rows[0])
            columns = ", ".join(f"v{n + 1}" for n in range(width))
            marks = ", ".join("?" * width)
            await self.executemany(f"INSERT INTO temp.batch ({columns}) VALUES ({marks})", rows)  # noqa: S608

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


@dataclass(slots=True)
class _Job:
    """A transaction that somebody waits for. ``alone``: it is none, and shares no commit."""

    work: Work
    outcome: asyncio.Future[Any]
    transaction: Transaction
    alone: bool = False
    result: Any = None

    def fail(self, error: BaseException) -> None:
        """Tells whoever waits, unless it was told already."""
        if self.outcome.done():
            return
        if isinstance(error, asyncio.CancelledError):
            self.outcome.cancel()
            return
        self.outcome.set_exception(error)
        self.outcome.exception()  # A caller that left is no "never retrieved" warning.

    def succeed(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(self.result)


class Writer:
    """``publish`` receives the events of each transaction, in order, once it is committed.

    ``together``: so many transactions go into one commit at most.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        path: Path,
        publish: Callable[[Event], None],
        together: int,
    ) -> None:
        self._connection = connection
        self._path = path
        self._publish = publish
        self._together = together
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(QUEUE_BOUND)
        self._next: _Job | None = None  # Taken from the queue already; it shares no commit.
        self._task = asyncio.create_task(self._run(), name=f"store:{path.stem}")
        self.last_commit_s = 0.0

    @property
    def depth(self) -> int:
        """Transactions that wait."""
        return self._queue.qsize()

    async def stop(self) -> None:
        """Finishes what waits."""
        await self._queue.join()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def write(self, work: Callable[[Transaction], Awaitable[T]], *, alone: bool = False) -> T:
        """Runs ``work`` as one transaction; returns its result once it is committed.

        ``alone``: outside of any, between those before it and those that come later. Raises what
        ``work`` raises (everything is rolled back), or StoreFailed.
        """
        if asyncio.current_task() is self._task:
            raise Internal("A transaction was asked for inside a transaction.")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Job(work, outcome, Transaction(self._connection), alone))
        return await asyncio.shield(outcome)

    async def _run(self) -> None:
        while True:
            jobs = [self._next or await self._queue.get()]
            self._next = None
            started = time.perf_counter()
            try:
                await self._commit(jobs)
            except asyncio.CancelledError as error:
                self._fail(jobs, error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # The writer is to end; else the work awaited something cancelled.
            except Exception as error:  # noqa: BLE001 - handed to the callers
                self._fail(jobs, error)
            else:
                for job in jobs:
                    if not job.outcome.done():  # Done already: it failed, and is in no commit.
                        self._tell(job.transaction.events)
                    job.succeed()
            finally:
                self.last_commit_s = time.perf_counter() - started
                for _ in jobs:
                    self._queue.task_done()

    def _tell(self, events: Sequence[Event]) -> None:
        """A listener that fails costs neither the writer nor whoever waits: it is committed."""
        for event in events:
            try:
                self._publish(event)
            except Exception:  # noqa: BLE001 - a listener's own
                _log.exception("%s #%s was not told", event.kind, event.seq)

    def _fail(self, jobs: Sequence[_Job], error: BaseException) -> None:
        for job in jobs:
            job.fail(self._explained(error))

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            told = explain(error, self._path)
            told.__cause__ = error
            return told
        return error

    async def _commit(self, jobs: list[_Job]) -> None:
        """Commits the first of ``jobs`` and whatever waits by then, which is added to them."""
        connection = self._connection
        if jobs[0].alone:
            jobs[0].result = await jobs[0].work(jobs[0].transaction)
            return
        await connection.execute("BEGIN IMMEDIATE")
        try:
            jobs[0].result = await jobs[0].work(jobs[0].transaction)
            while len(jobs) < self._together and not self._queue.empty():
                job = self._queue.get_nowait()
                if job.alone:
                    self._next = job
                    break
                jobs.append(job)
                await self._join(job)
            await connection.commit()
        except BaseException:
            # SQLite has rolled back by itself after some errors (a full disk, for one).
            if connection.in_transaction:
                await connection.rollback()
            raise

    async def _join(self, job: _Job) -> None:
        """Runs it after those before it. Where it fails, it alone is taken back."""
        connection = self._connection
        await connection.execute("SAVEPOINT joined")
        try:
            job.result = await job.work(job.transaction)
        except BaseException as error:
            if not connection.in_transaction:
                raise  # Nothing is left of those before it either.
            await connection.execute("ROLLBACK TO joined")
            job.fail(self._explained(error))
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        await connection.execute("RELEASE joined")
