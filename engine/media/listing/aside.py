"""A connection apart, for what takes a while: nobody who reads a page waits for it.

SQLite works in a thread and lets Python go on meanwhile. Whoever leaves stops the work within a few
milliseconds, so that of the words typed into a filter only the last is looked for.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from engine.contract.errors import StoreFailed
from engine.store.writer import explain

T = TypeVar("T")

_STEPS = 50_000
"""Instructions of SQLite's between two looks at whether it is still wanted: about a millisecond."""
_AT_ONCE = 5_000
_LETTERS = 32_000
"""Of a list of ids are read at once: less than half a millisecond."""
_TURN_S = 0.0001
"""And then others have their turn."""
_CACHE_KIB = 16 * 1024


class StoppedError(Exception):
    """The work is no longer wanted."""


class Reading:
    """One piece of work on the connection, in its thread."""

    def __init__(self, connection: sqlite3.Connection, stop: threading.Event) -> None:
        self._connection, self._stop = connection, stop

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
        """Batches of rows. Raises StoppedError, sqlite3.Error."""
        if self._stop.is_set():  # SQLite looks at it within one statement alone.
            raise StoppedError
        try:
            found = self._connection.execute(sql, values)
            while batch := found.fetchmany(_AT_ONCE):
                yield batch
        except sqlite3.OperationalError as error:
            if self._stop.is_set():
                raise StoppedError from error
            raise

    def ids(self, sql: str, values: tuple[Any, ...] = ()) -> array[int]:
        """The first column of a SELECT, as numbers, in its order. Handed over as one text: a
        million steps from row to row would keep the event loop from its turn."""
        [[text]] = self.all(f"SELECT group_concat(id) FROM ({sql})", values)  # noqa: S608
        found: array[int] = array("q")
        at = 0
        while text and at < len(text):
            end = text.find(",", at + _LETTERS)
            end = len(text) if end < 0 else end
            found.extend(json.loads(f"[{text[at:end]}]"))
            at = end + 1
            time.sleep(_TURN_S)
        return found

    def all(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return [row for batch in self.rows(sql, values) for row in batch]


class Aside:
    """One user at a time. The connection is opened when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._lock = asyncio.Lock()
        self._stop: threading.Event | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether who comes now has to wait."""
        return self._lock.locked()

    async def run(self, work: Callable[[Reading], T]) -> T:
        """Does it in a thread. Raises StoreFailed, and what ``work`` raises."""
        async with self._lock:
            self._stop = stop = threading.Event()
            task = asyncio.ensure_future(asyncio.to_thread(self._work, work, stop))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                stop.set()
                await asyncio.gather(task, return_exceptions=True)
                raise

    def _work(self, work: Callable[[Reading], T], stop: threading.Event) -> T:
        try:
            connection = self._opened()
            connection.set_progress_handler(stop.is_set, _STEPS)
            connection.execute("BEGIN")  # All that it asks is of the same moment.
            try:
                return work(Reading(connection, stop))
            finally:
                connection.rollback()
        except StoppedError as stopped:
            raise self._shut() from stopped
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise self._shut()
        if self._connection is None:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return self._connection

    def _shut(self) -> StoreFailed:
        return StoreFailed(f"{self._path} is closed.", "Start the engine again.")

    async def version(self) -> int:
        """A number that is another one as soon as anything in the file was changed."""
        found = await self.run(lambda reading: reading.all("PRAGMA data_version"))
        return int(found[0][0])

    async def close(self) -> None:
        """Ends what is at work, too."""
        self._closed = True
        if self._stop is not None:
            self._stop.set()
        async with self._lock:
            if self._connection is not None:
                await asyncio.to_thread(self._connection.close)
                self._connection = None
