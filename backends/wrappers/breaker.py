"""A backend that fails again and again is left alone for a while, and then tried once."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import replace

from backends.failures import TryLater
from backends.wrappers.base import Wrapper
from engine.contract.backend import (
    Backend,
    BackendInfo,
    Generation,
    Message,
    ModelState,
    Piece,
)
from engine.contract.errors import ArcanumError, ModelFailed, Unavailable


class Breaker(Wrapper):
    """Opens after ``failures`` in a row, none later than ``within_s`` after the one before.

    It then answers at once with TryLater, for ``rest_s``; after that lets one request through, and
    with the first piece of its answer all others. Failures are those of the backend (it does not
    answer, crashes, breaks off): not a prompt that is too long, nor a caller that leaves. Requests
    that fail together, in one crash, are one failure.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        failures: int = 3,
        within_s: float = 60.0,
        rest_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._most = failures
        self._within_s = within_s
        self._rest_s = rest_s
        self._clock = clock
        self._failures = 0
        self._since = ""
        self._failed_at = -math.inf
        self._last = ""
        self._trying = False

    def info(self) -> BackendInfo:
        info = self.inner.info()
        if self._failures < self._most or info.state is ModelState.LOADING:
            return info
        return replace(info, state=ModelState.FAILED, reason=self._why())

    async def load(self) -> None:
        self._check()
        with self._counting():
            await self.inner.load()

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        self._check()
        tries = self._failures >= self._most
        self._trying = self._trying or tries
        try:
            async with AsyncExitStack() as stack:
                with self._counting() as began:
                    pieces = await stack.enter_async_context(self.inner.stream(generation))
                async with aclosing(self._watched(pieces, began)) as watched:
                    yield watched
        finally:
            if tries:
                self._trying = False

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        self._check()
        with self._counting():
            return await self.inner.count_tokens(messages)

    async def unload(self) -> None:
        await self.inner.unload()
        # A person starts anew; and what that broke off is no failure.
        self._failures, self._failed_at = 0, self._clock()

    # --- below ---

    async def _watched(self, pieces: AsyncIterator[Piece], began: float) -> AsyncGenerator[Piece]:
        with self._counting(began):
            async for piece in pieces:
                if self._failures:
                    self._revive(piece)
                yield piece

    def _revive(self, piece: Piece) -> None:
        """It speaks: others may ask again. That it ends what it began makes all good."""
        if piece.finish is not None:
            self._failures = 0
        elif self._failures >= self._most:
            self._failures = self._most - 1

    @contextmanager
    def _counting(self, began: float | None = None) -> Iterator[float]:
        """Counts how what is done within fails; gives the time at which the request began."""
        began = self._clock() if began is None else began
        try:
            yield began
        except (Unavailable, ModelFailed) as error:
            if error.retryable and not isinstance(error, TryLater) and began >= self._failed_at:
                self._count(error)
            raise

    def _count(self, error: ArcanumError) -> None:
        now = self._clock()
        if self._failures < self._most and now - self._failed_at > self._within_s:
            self._failures = 0
        if not self._failures:
            self._since = time.strftime("%H:%M:%S")
        self._failures += 1
        self._failed_at, self._last = now, error.message

    def _check(self) -> None:
        """Raises TryLater where it is to be left alone, or is being tried."""
        if self._failures >= self._most and (self._rests_s > 0 or self._trying):
            raise TryLater(
                f"{self._name()} is left alone: {self._why()}",
                "Wait, or use another model: arcanum model list",
                max(self._rests_s, 0.0),
            )

    def _name(self) -> str:
        """What people call it: some servers name a model by the whole path of its file."""
        info = self.inner.info()
        return info.model.rstrip("/").rpartition("/")[2] or info.backend

    @property
    def _rests_s(self) -> float:
        return self._failed_at + self._rest_s - self._clock()

    def _why(self) -> str:
        if self._trying:
            then = "is being tried again now"
        else:
            then = f"is tried again in {max(math.ceil(self._rests_s), 0)} s"
        return f"it failed {self._failures} times since {self._since} and {then}. {self._last}"
