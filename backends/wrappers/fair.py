"""As many answers at a time as a model can give, and a fair queue for the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial

from backends.wrappers.base import Wrapper
from backends.wrappers.breakable import Breakable
from backends.wrappers.waiting import FairQueue, Waiter, waited
from engine.contract.backend import Backend, Generation, Piece, Priority
from engine.contract.errors import Busy

MOST_WAITING = 64
MOST_OF_A_SESSION = 16


class FairLimit(Wrapper):
    """At most ``info().parallel`` answers at once. The others wait, in the order of ``FairQueue``.

    Where a model can give several answers, one place is never a background answer's; and where a
    person waits and every place is taken, the youngest background answer gives way. Raises Busy
    where too many wait, and to an answer that gives way.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        most_waiting: int = MOST_WAITING,
        most_of_a_session: int = MOST_OF_A_SESSION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._most_waiting = most_waiting
        self._most_of_a_session = most_of_a_session
        self._clock = clock
        self._queue = FairQueue()
        self._running: list[Waiter] = []
        self._background: dict[Waiter, Breakable] = {}
        self._giving_way: set[Waiter] = set()

    @property
    def running(self) -> int:
        """Answers under way."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._queue)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        mine = await self._turn(generation)
        try:
            answer = self.inner.stream(generation)
            if mine.priority is Priority.BACKGROUND:
                answer = self._breakable(answer, mine)
            async with answer as pieces:
                # Only now is it surely loaded, and says how many answers it can give.
                self._admit()
                yield pieces
        finally:
            self._end(mine)

    @asynccontextmanager
    async def _breakable(
        self, answer: AbstractAsyncContextManager[AsyncIterator[Piece]], mine: Waiter
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        if mine in self._giving_way:
            raise self._gave_way()
        self._background[mine] = running = Breakable(answer, partial(self._end, mine))
        try:
            await running.opened()
            async with aclosing(running.pieces()) as pieces:
                yield pieces
        finally:
            await running.close()

    # --- turns ---

    async def _turn(self, generation: Generation) -> Waiter:
        """Waits until this request may begin. Raises Busy where too many wait."""
        began = self._clock()
        turn = asyncio.get_running_loop().create_future()
        mine = Waiter(generation.session, generation.priority, turn)
        self._queue.add(mine)
        self._admit()
        if not turn.done():
            self._bound(mine)
            self._make_way()
        try:
            await turn
        except asyncio.CancelledError:
            self._queue.remove(mine)
            if not turn.cancelled() and turn.exception() is None:
                self._end(mine)  # Its turn had come in the same moment.
            raise
        finally:
            if (wait := waited.get()) is not None:
                wait.seconds = self._clock() - began
        return mine

    def _admit(self) -> None:
        """Lets begin whoever can."""
        while (lines := self._lines()) and (waiter := self._queue.next(*lines)) is not None:
            if not waiter.turn.done():
                self._running.append(waiter)
                waiter.turn.set_result(None)

    def _lines(self) -> tuple[Priority, ...]:
        """The priorities for which there is a place."""
        parallel = max(self.inner.info().parallel, 1)
        if len(self._running) >= parallel:
            return ()
        background = sum(each.priority is Priority.BACKGROUND for each in self._running)
        if parallel > 1 and background >= parallel - 1:
            return (Priority.INTERACTIVE, Priority.COUNCIL)
        return tuple(Priority)

    def _bound(self, mine: Waiter) -> None:
        """Keeps the queue short: at the cost of who matters least. Raises Busy if that is ours."""
        model = self.inner.info().model
        if (own := self._queue.of(mine.session)) > self._most_of_a_session:
            self._queue.remove(mine)
            raise Busy(
                f"This conversation has {own - 1} requests waiting for {model} already",
                "Wait for their answers, or stop them.",
            )
        if (waiting := len(self._queue)) <= self._most_waiting:
            return
        full = Busy(
            f"{model} has {len(self._running)} answers under way and {waiting - 1} requests "
            "waiting, which is the most",
            "Ask again in a moment, or use another model: arcanum model list",
        )
        last = self._queue.last_below(mine.priority)
        self._queue.remove(last or mine)
        if last is None:
            raise full
        if not last.turn.done():
            last.turn.set_exception(full)

    def _make_way(self) -> None:
        """Breaks off as many background answers as persons wait for."""
        wanted = self._queue.waiting(Priority.INTERACTIVE) - len(self._giving_way)
        young = [
            each
            for each in reversed(self._running)
            if each.priority is Priority.BACKGROUND and each not in self._giving_way
        ]
        for each in young[: max(wanted, 0)]:
            self._giving_way.add(each)
            if (answer := self._background.get(each)) is not None:
                answer.break_off(self._gave_way())

    def _gave_way(self) -> Busy:
        return Busy(
            f"This background answer of {self.inner.info().model} gave way to a person's question",
            "It can be asked for again.",
        )

    def _end(self, mine: Waiter) -> None:
        """Its place is free. Safe to call again."""
        if mine in self._running:
            self._running.remove(mine)
            self._background.pop(mine, None)
            self._giving_way.discard(mine)
            self._admit()
