"""Tells an observer of every request: how long, how many tokens, how it ended. Never a word."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager

from backends.wrappers.base import Wrapper
from backends.wrappers.waiting import Waited, waited
from engine.contract.backend import (
    Backend,
    Embeds,
    Generation,
    Message,
    ModelState,
    Observation,
    Observer,
    P,
    Piece,
)
from engine.contract.errors import ArcanumError, Internal

Clock = Callable[[], float]


class _Request:
    """One request while it is under way. ``outcome`` is that of one which is left now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock()
        self.queue = Waited()
        self.outcome = "left"
        self.first_s: float | None = None
        self.tokens = 0

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Notes how what is done within fails."""
        try:
            yield
        except Exception as error:
            self.outcome = error.code if isinstance(error, ArcanumError) else Internal.code
            raise


class Traced(Wrapper):
    """Tells ``observer`` of every load, stream, count and embedding when it has ended.

    All times are from the call, the wait for its turn included. A load that finds the model ready
    is none, and those who wait for the same load make one.
    """

    def __init__(self, inner: Backend, observer: Observer, clock: Clock = time.monotonic) -> None:
        super().__init__(inner)
        self._observer = observer
        self._clock = clock
        self._loading = False

    async def load(self) -> None:
        if self._loading or self.inner.info().state is ModelState.READY:
            await self.inner.load()
            return
        self._loading = True
        try:
            with self.observed("load"):
                await self.inner.load()
        finally:
            self._loading = False

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        request = _Request(self._clock)
        try:
            async with AsyncExitStack() as stack:
                with request.noting():
                    # Before its turn: a model says only when it is loaded how many it can serve.
                    await self.load()
                    mine = waited.set(request.queue)
                    try:
                        answer = self.inner.stream(generation)
                        pieces = await stack.enter_async_context(answer)
                    finally:
                        waited.reset(mine)
                async with aclosing(_watched(pieces, request)) as watched:
                    yield watched
        finally:
            self._tell("stream", request)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        with self.observed("count") as request:
            request.tokens = await self.inner.count_tokens(messages)
        return request.tokens

    def extra(self, port: type[P]) -> P | None:
        if port is not Embeds:
            return self.inner.extra(port)  # noqa: S610 - no database here
        embeds = self.inner.extra(Embeds)  # type: ignore[type-abstract]  # noqa: S610
        return None if embeds is None else _TracedEmbeds(embeds, self)  # type: ignore[return-value]

    @contextmanager
    def observed(self, what: str) -> Iterator[_Request]:
        """Tells of what is done within."""
        request = _Request(self._clock)
        try:
            with request.noting():
                yield request
            request.outcome = "ok"
        finally:
            self._tell(what, request)

    def _tell(self, what: str, request: _Request) -> None:
        info = self.inner.info()
        self._observer(
            Observation(
                model=info.model,
                backend=info.backend,
                what=what,
                seconds=request.seconds,
                outcome=request.outcome,
                waited_s=request.queue.seconds,
                first_s=request.first_s,
                tokens=request.tokens,
            )
        )


async def _watched(pieces: AsyncIterator[Piece], request: _Request) -> AsyncGenerator[Piece]:
    with request.noting():
        async for piece in pieces:
            if piece.text:
                if not request.tokens:
                    request.first_s = request.seconds
                request.tokens += 1
            if piece.finish is not None:
                request.outcome = "ok"
                if piece.usage is not None:
                    request.tokens = piece.usage.new_tokens
            yield piece


class _TracedEmbeds:
    def __init__(self, inner: Embeds, traced: Traced) -> None:
        self._inner = inner
        self._traced = traced

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        with self._traced.observed("embed"):
            return await self._inner.embed(texts)
