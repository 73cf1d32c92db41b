"""Tries again what failed for a moment, as long as nobody has seen anything of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from backends.failures import TryLater
from backends.wrappers.base import Wrapper
from engine.contract.backend import Backend, Generation, Piece
from engine.contract.errors import ArcanumError, Busy, ModelFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try, and how long to wait in between: ``first_s``, then three times as long.

    Between half of that and all of it, by chance; longer where a server says so. No try begins
    later than ``within_s`` after the first.
    """

    tries: int = 3
    first_s: float = 0.1
    within_s: float = 20.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


class Retry(Wrapper):
    """Tries a request again while its errors are retryable, before its first piece.

    Not when somebody has unloaded the model meanwhile; and not a load that ended with
    ModelFailed, which would only fail again, slowly.
    """

    def __init__(self, inner: Backend, patience: Patience | None = None) -> None:
        super().__init__(inner)
        self._patience = patience or Patience()
        self._unloads = 0

    async def load(self) -> None:
        await self._tries().run(self.inner.load, final=(ModelFailed,))

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        tries = self._tries()
        await tries.run(self.inner.load, final=(ModelFailed,))
        async with AsyncExitStack() as stack:
            opening = partial(self._open, generation, stack)
            pieces = await tries.run(opening)
            async with aclosing(_begun(pieces, opening, tries)) as answer:
                yield answer

    async def unload(self) -> None:
        self._unloads += 1
        await self.inner.unload()

    async def _open(self, generation: Generation, stack: AsyncExitStack) -> AsyncIterator[Piece]:
        await stack.aclose()  # What the try before this one left.
        return await stack.enter_async_context(self.inner.stream(generation))

    def _tries(self) -> _Tries:
        unloads = self._unloads
        return _Tries(self._patience, lambda: self._unloads == unloads)


class _Tries:
    """The tries of one request. ``worthwhile``: whether another makes sense at all."""

    def __init__(self, patience: Patience, worthwhile: Callable[[], bool]) -> None:
        self._patience = patience
        self._worthwhile = worthwhile
        self._began = patience.clock()
        self._made = 0

    async def run(
        self, what: Callable[[], Awaitable[T]], final: tuple[type[ArcanumError], ...] = ()
    ) -> T:
        """Does it until it works. Raises its error when that is ``final``, or the last try's."""
        while True:
            try:
                return await what()
            except ArcanumError as error:
                if isinstance(error, final):
                    raise
                await self.wait(error)

    async def wait(self, error: ArcanumError) -> None:
        """Returns when the next try may begin. Raises ``error`` where there is to be none."""
        patience = self._patience
        self._made += 1
        delay = patience.first_s * 3 ** (self._made - 1) * (1 + patience.chance()) / 2
        if isinstance(error, TryLater) and error.after_s is not None:
            delay = max(delay, error.after_s)
        in_time = patience.clock() - self._began + delay <= patience.within_s
        again = error.retryable and not isinstance(error, Busy) and self._worthwhile()
        if not again or not in_time or self._made >= patience.tries:
            raise error
        await patience.sleep(delay)


async def _begun(
    pieces: AsyncIterator[Piece],
    opening: Callable[[], Awaitable[AsyncIterator[Piece]]],
    tries: _Tries,
) -> AsyncGenerator[Piece]:
    """An answer, opened anew while it breaks off before its first piece."""
    begun = False
    while not begun:
        try:
            first = await anext(pieces, None)
        except ArcanumError as error:
            await tries.wait(error)
            pieces = await tries.run(opening)
            continue
        begun = True
        if first is not None:
            yield first
    async for piece in pieces:
        yield piece
