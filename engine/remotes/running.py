"""An approved transfer while it runs: a few files at a time, journalled, paused and stopped.

What is done with each file is said by who builds on it. What rclone was in the middle of when it
died is done once more.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal, TypeVar

from engine.contract.base import PathRef
from engine.contract.errors import ArcanumError, Unavailable
from engine.contract.ports import Execution
from engine.contract.remotes import Transfer
from engine.remotes.book import Book
from engine.remotes.errors import RcloneGone
from engine.remotes.local import Changed
from engine.remotes.plans import Approved, Item
from engine.remotes.rcd import Rcd
from engine.remotes.target import Target
from engine.remotes.words import size, span

State = Literal["waiting", "sending", "fetching", "paused", "verifying", "deleting", "stopping"]
SENDING, SENT, VERIFIED, WRONG = "sending", "sent", "verified", "wrong"
DELETING, DELETED = "deleting", "deleted"
DONE = frozenset({SENT, VERIFIED, DELETED})
MOVING = frozenset({"sending", "fetching"})
_TELL_S = 0.5
_FAILURES = 3
"""So many files in a row that could not be sent, and the remote is given up."""
_TRIES = 3
_WRITTEN_AT_ONCE = 500
_TINY, _AHEAD = 64 * 1024, 32

T = TypeVar("T")


class GivenUp(Exception):
    """No other item is begun."""


@dataclass(slots=True)
class Report:
    """What was done, by item. ``problems``: what was not, and why."""

    states: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    by_hash: int = 0
    stopped: str = ""


class Running(ABC):
    """One execution. ``number`` is its approval's."""

    def __init__(
        self, number: int, operation: str, plan: Approved, *, rcd: Rcd, book: Book, at_once: int
    ) -> None:
        self.number, self.operation, self.plan = number, operation, plan
        self.report = Report()
        self.state: State = "waiting"
        self._rcd, self._book, self._at_once = rcd, book, at_once
        self._group = f"approval/{number}"
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._stop = asyncio.Event()
        self._now: dict[int, Item] = {}
        self._items: Sequence[Item] = ()
        self._foretold: set[int] = set()
        self._unwritten: dict[int, str] = {}
        self._done = self._verified = 0
        self._bytes = 0
        self._in_flight = 0
        self._rate: float | None = None
        self._failures = 0

    # --- asked from outside ---------------------------------------------------------------------

    def pause(self) -> None:
        """Starts no other file."""
        self._may_run.clear()

    def resume(self) -> None:
        self._may_run.set()

    def stop(self, why: str) -> None:
        """Ends it; the files in flight are broken off."""
        self.report.stopped = self.report.stopped or why
        self._stop.set()
        self._may_run.set()

    def told(self) -> Transfer:
        """How far it is."""
        total = self.plan.total_bytes
        done = min(total, self._bytes + self._in_flight)
        rate = self._rate
        paused = not self._may_run.is_set() and self.state in MOVING
        state: State = "stopping" if self._stop.is_set() else "paused" if paused else self.state
        return Transfer(
            id=self.number,
            operation=self.operation,
            library=self.plan.place.name,
            remote=self.plan.remote,
            state=state,
            done=self._done,
            total=len(self.plan.items),
            bytes=done,
            total_bytes=total,
            rate=rate,
            eta_s=(total - done) / rate if rate else None,
            now=tuple(PathRef.of(item.path) for item in self._now.values()),
        )

    # --- the whole ------------------------------------------------------------------------------

    async def run(self, target: Target, run: Execution) -> Report:
        """Does what was approved, as far as it can. Raises StoreFailed where it cannot journal."""
        watching = asyncio.create_task(self._watch(run))
        working = asyncio.create_task(self._work(target))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()
            with suppress(asyncio.CancelledError, GivenUp):
                await working
        finally:
            for task in (working, watching, stopping):
                task.cancel()
            await asyncio.gather(working, watching, stopping, return_exceptions=True)
        return self.report

    @abstractmethod
    async def _work(self, target: Target) -> None:
        """All of it, from the first file to the last."""

    async def _each(self, items: Sequence[Item], act: Callable[[Item], Awaitable[None]]) -> None:
        """A few at a time, in order. Raises GivenUp."""
        self._failures = 0
        self._items = items

        async def one(item: Item) -> None:
            await self._may_run.wait()
            if self._failures >= _FAILURES:
                raise GivenUp
            await self._one(item, act)

        await self._spread(items, one)

    async def _spread(self, items: Sequence[T], act: Callable[[T], Awaitable[None]]) -> None:
        """So many at a time as the settings say. The first that raises ends all."""
        waiting = iter(items)

        async def work() -> None:
            for item in waiting:
                await act(item)

        workers = [asyncio.create_task(work()) for _ in range(min(self._at_once, len(items)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _one(self, item: Item, act: Callable[[Item], Awaitable[None]]) -> None:
        """A file that cannot be done is named; what is wrong with the remote ends all soon."""
        for attempt in range(1, _TRIES + 1):
            self._now[item.n] = item
            try:
                await act(item)
            except Changed as changed:
                self.report.problems.append(f"{item.shown} {changed}")
                return
            except RcloneGone as error:
                if attempt == _TRIES:
                    self.report.problems.append(f"{item.shown}: {error.message}")
                    raise GivenUp from error
            except ArcanumError as error:
                self.report.problems.append(f"{item.shown}: {error.message}")
                self._failures = _FAILURES if isinstance(error, Unavailable) else self._failures + 1
                return
            else:
                self._failures = 0
                return
            finally:
                self._now.pop(item.n, None)

    async def _begin(self, item: Item, state: str) -> None:
        """Written down before it is begun, with what others came to meanwhile.

        Of tiny files those that are next are written down with it: what a crash finds among them
        is there in part or not at all, too.
        """
        if item.n not in self._foretold:
            ahead = self._next_tiny(item) if state == SENDING else [item.n]
            await self._write_down(*((n, state) for n in ahead))
            self._foretold.update(ahead[1:])
        self.report.states[item.n] = state

    def _next_tiny(self, item: Item) -> list[int]:
        """The item, and those behind it that are as tiny and not begun yet."""
        if item.size > _TINY:
            return [item.n]
        at = bisect_left(self._items, item.n, key=lambda other: other.n)
        some = takewhile(lambda other: other.size <= _TINY, self._items[at + 1 : at + _AHEAD])
        begun = self.report.states
        return [item.n, *(other.n for other in some if other.n not in begun)]

    async def _end(self, item: Item, state: str) -> None:
        """Written down with what is begun next: until then the journal says less than was done."""
        self._done += (state in DONE) - (self.report.states.get(item.n) in DONE)
        self.report.states[item.n] = self._unwritten[item.n] = state
        if len(self._unwritten) >= _WRITTEN_AT_ONCE:
            await self._write_down()

    async def _write_down(self, *more: tuple[int, str]) -> None:
        rows, self._unwritten = [*self._unwritten.items(), *more], {}
        if rows:
            await self._book.act(self.number, rows)

    # --- how far --------------------------------------------------------------------------------

    async def _watch(self, run: Execution) -> None:
        """Tells rate and time left, and hears that the engine wants to stop."""
        began, had = time.monotonic(), 0
        while True:
            if run.stopping():
                self.stop("the engine was stopped")
                return
            if self._now and self.state in MOVING:
                await self._ask_rclone()
            elapsed = time.monotonic() - began
            done = self._bytes + self._in_flight
            if done > had and elapsed > 0:
                self._rate = done / elapsed
            had = done
            told = self.told()
            await run.progress(told.done, told.total, _note(told))
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    await self._stop.wait()
                    return

    async def _ask_rclone(self) -> None:
        with suppress(ArcanumError):
            async with self._rcd.use() as rc:
                found = await rc.ask("core/stats", within_s=5.0, group=self._group)
                flying = found.get("transferring") or ()
                self._in_flight = sum(int(each.get("bytes") or 0) for each in flying)


def _note(told: Transfer) -> str:
    parts = [told.state, f"{size(told.bytes)} of {size(told.total_bytes)}"]
    if told.rate and told.state in MOVING:
        parts.append(f"{size(told.rate)}/s")
        if told.eta_s is not None:
            parts.append(f"ETA {span(told.eta_s)}")
    if told.now:
        parts.append(told.now[0].display)
    return " · ".join(parts)
