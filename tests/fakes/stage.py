"""A backend that plays what a test has written for each request, errors and pauses included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from backends.tokens import estimate_prompt
from engine.contract.backend import (
    BackendInfo,
    Embeds,
    Generation,
    Message,
    ModelState,
    P,
    Piece,
    Usage,
)

Act = Exception | tuple[str | Exception | asyncio.Event, ...]
"""What comes of a request: an error at once, or its pieces, pauses, and maybe an error."""

YES: Act = ("Yes.",)


class Stage:
    """Plays ``acts`` one after another, then what ``write`` makes of a request.

    ``loading`` are the errors of the next loads.
    ``active`` counts the answers that are open, ``most`` how many were at once; ``begun`` holds
    the requests of all there ever were.
    """

    def __init__(self, *acts: Act, parallel: int = 1, loading: Sequence[Exception] = ()) -> None:
        self.acts = list(acts)
        self.write: Callable[[Generation], Act] = lambda _: YES
        self.parallel = parallel
        self.loading = list(loading)
        self.state = ModelState.UNLOADED
        self.active = self.most = self.loads = 0
        self.begun: list[Generation] = []

    def info(self) -> BackendInfo:
        return BackendInfo("stage", "Hamlet", self.state, parallel=self.parallel)

    async def load(self) -> None:
        if self.state is not ModelState.READY:
            self.loads += 1
            await asyncio.sleep(0)
            if self.loading:
                raise self.loading.pop(0)
            self.state = ModelState.READY

    async def unload(self) -> None:
        self.state = ModelState.UNLOADED

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_prompt(messages)

    def extra(self, port: type[P]) -> P | None:
        return self if port is Embeds else None  # type: ignore[return-value]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        await self.load()
        act = self.acts.pop(0) if self.acts else self.write(generation)
        self.begun.append(generation)
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            if isinstance(act, Exception):
                raise act
            async with aclosing(self._pieces(act)) as pieces:
                yield pieces
        finally:
            try:
                await asyncio.sleep(0)  # Closing takes a moment, too.
            finally:
                self.active -= 1

    async def _pieces(
        self, act: tuple[str | Exception | asyncio.Event, ...]
    ) -> AsyncGenerator[Piece]:
        texts = 0
        for each in act:
            if isinstance(each, Exception):
                raise each
            if isinstance(each, asyncio.Event):
                await each.wait()
            else:
                texts += 1
                yield Piece(each)
        yield Piece("", "stop", usage=Usage(9, texts * 2))


class Clock:
    """Time that a test moves. ``slept`` are the waits that were asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
