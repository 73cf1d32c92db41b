"""Carrying out an approved copy or sync: file by file, each looked at again just before its act.

Files are sent a few at a time; then all that was sent is verified; deletes come last, and only
where everything else is right: the last copy of something must not go before the new one is there.
What rclone was in the middle of when it died is looked at again, and sent once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from engine.contract.base import PathRef
from engine.contract.errors import ArcanumError, NotFound, Unavailable
from engine.contract.ports import Execution
from engine.contract.remotes import Transfer
from engine.remotes import comparing, local
from engine.remotes.book import Book
from engine.remotes.errors import RcloneGone
from engine.remotes.local import Changed, Source
from engine.remotes.plans import Approved, Item
from engine.remotes.rc import Rc
from engine.remotes.rcd import Rcd
from engine.remotes.target import Target
from engine.remotes.words import size, span

State = Literal["waiting", "sending", "paused", "verifying", "deleting", "stopping"]
SENDING, SENT, VERIFIED, WRONG = "sending", "sent", "verified", "wrong"
DELETING, DELETED = "deleting", "deleted"
DONE = frozenset({SENT, VERIFIED, DELETED})
_TELL_S = 0.5
_FAILURES = 3
"""So many files in a row that could not be sent, and the remote is given up."""
_TRIES = 3


class _GivenUp(Exception):
    """No other item is begun."""


@dataclass(slots=True)
class Report:
    """What was done, by item. ``problems``: what was not, and why."""

    states: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    by_hash: int = 0
    stopped: str = ""


class Sending:
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
        paused = not self._may_run.is_set() and self.state == "sending"
        state: State = "stopping" if self._stop.is_set() else "paused" if paused else self.state
        return Transfer(
            id=self.number,
            operation=self.operation,
            library=self.plan.place.name,
            remote=self.plan.remote,
            state=state,
            done=self._done(),
            total=len(self.plan.items),
            bytes=done,
            total_bytes=total,
            rate=rate,
            eta_s=(total - done) / rate if rate else None,
            now=tuple(PathRef.of(item.path) for item in self._now.values()),
        )

    def _done(self) -> int:
        return sum(state in DONE for state in self.report.states.values())

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
            with suppress(asyncio.CancelledError, _GivenUp):
                await working
        finally:
            for task in (working, watching, stopping):
                task.cancel()
            await asyncio.gather(working, watching, stopping, return_exceptions=True)
        return self.report

    async def _work(self, target: Target) -> None:
        sends = [item for item in self.plan.items if item.act != "delete"]
        deletes = [item for item in self.plan.items if item.act == "delete"]
        self.state = "sending"
        with suppress(_GivenUp):  # What came there is verified all the same.
            await self._each(sends, lambda item: self._send(target, item))
        self.state = "verifying"
        sent = [item for item in sends if self.report.states.get(item.n) == SENT]
        await self._each(sent, lambda item: self._verify(target, item))
        # At once: whoever reads it after a crash takes what is missing there for not verified.
        await self._book.act(self.number, [(i.n, self.report.states[i.n]) for i in sent])
        if deletes and any(self.report.states.get(item.n) != VERIFIED for item in sends):
            self.report.problems.append(
                f"nothing was deleted there: not all of the {len(sends):,} files were sent"
            )
            return
        self.state = "deleting"
        await self._each(deletes, lambda item: self._delete(target, item))

    async def _each(self, items: Sequence[Item], act: Callable[[Item], Awaitable[None]]) -> None:
        """A few at a time, in order. Raises _GivenUp."""
        waiting: Iterator[Item] = iter(items)
        self._failures = 0

        async def work() -> None:
            for item in waiting:
                await self._may_run.wait()
                if self._failures >= _FAILURES:
                    raise _GivenUp
                await self._one(item, act)

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
                    raise _GivenUp from error
            except ArcanumError as error:
                self.report.problems.append(f"{item.shown}: {error.message}")
                self._failures = _FAILURES if isinstance(error, Unavailable) else self._failures + 1
                return
            else:
                self._failures = 0
                return
            finally:
                self._now.pop(item.n, None)

    async def _put(self, item: Item, state: str) -> None:
        await self._book.act(self.number, [(item.n, state)])
        self.report.states[item.n] = state

    # --- one file -------------------------------------------------------------------------------

    async def _send(self, target: Target, item: Item) -> None:
        assert item.here is not None
        place = self.plan.place
        held = await asyncio.to_thread(local.source, place.path, place.root, item.path, item.here)
        try:
            async with self._rcd.use() as rc:
                await self._send_held(rc, target, item, held)
        finally:
            held.close()

    async def _send_held(self, rc: Rc, target: Target, item: Item, held: Source) -> None:
        again = self.report.states.get(item.n) == SENDING
        there = await comparing.stat(rc, target, item.name, self._cheap_hash(target))
        if again and there is not None and there.size <= held.identity.size:
            pass  # Ours, from before rclone died: whole or in part, it is sent once more.
        elif item.there is None and there is not None:
            raise Changed("is there by now, and was not when the plan was made")
        elif item.there is not None and (moved := item.there.differs(there)):
            raise Changed(moved)
        await self._put(item, SENDING)
        try:
            await rc.ask(
                "operations/copyfile",
                target.fs,
                srcFs=held.fs,
                srcRemote=held.remote,
                dstFs=target.fs,
                dstRemote=item.name,
                _group=self._group,
            )
            held.still()
        except RcloneGone:
            raise
        except (ArcanumError, Changed):
            self.report.states.pop(item.n, None)
            raise
        self._bytes += item.size
        await self._put(item, SENT)

    def _cheap_hash(self, target: Target) -> str:
        return "" if target.slow_hash else self.plan.hash

    async def _verify(self, target: Target, item: Item) -> None:
        """What is there now is what is here now, as far as the remote can tell."""
        assert item.here is not None
        plan, wrong = self.plan, ""
        async with self._rcd.use() as rc:
            there = await comparing.stat(rc, target, item.name, plan.hash)
            if there is None or there.size not in {-1, item.here.size}:
                wrong = "is not there as it was sent"
            elif plan.hash and there.hash is not None:
                ours = item.hash or await local.hash_of(
                    rc, plan.place, item.path, item.here, plan.hash
                )
                wrong = "" if ours == there.hash else f"has another {plan.hash} there than here"
                self.report.by_hash += not wrong
        self.report.states[item.n] = WRONG if wrong else VERIFIED
        if wrong:
            raise Changed(wrong)

    async def _delete(self, target: Target, item: Item) -> None:
        assert item.there is not None
        if not (await self.plan.place.absent([item.name]))[0]:
            raise Changed("is here again: it was not deleted there")
        async with self._rcd.use() as rc:
            there = await comparing.stat(rc, target, item.name, self._cheap_hash(target))
            if there is None and self.report.states.get(item.n) == DELETING:
                await self._put(item, DELETED)  # Before rclone died.
                return
            if moved := item.there.differs(there):
                raise Changed(moved)
            await self._put(item, DELETING)
            with suppress(NotFound):
                await rc.ask("operations/deletefile", target.fs, fs=target.fs, remote=item.name)
        await self._put(item, DELETED)

    # --- how far --------------------------------------------------------------------------------

    async def _watch(self, run: Execution) -> None:
        """Tells rate and time left, and hears that the engine wants to stop."""
        began, had = time.monotonic(), 0
        while True:
            if run.stopping():
                self.stop("the engine was stopped")
                return
            if self._now and self.state == "sending":
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
    if told.rate and told.state == "sending":
        parts.append(f"{size(told.rate)}/s")
        if told.eta_s is not None:
            parts.append(f"ETA {span(told.eta_s)}")
    if told.now:
        parts.append(told.now[0].display)
    return " · ".join(parts)
