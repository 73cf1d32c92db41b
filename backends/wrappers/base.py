"""What every wrapper is: a ``Backend`` that asks another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from engine.contract.backend import Backend, BackendInfo, Generation, Message, P, Piece


class Wrapper:
    """A ``Backend`` that is ``inner`` in everything that a subclass does not do otherwise."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def info(self) -> BackendInfo:
        return self.inner.info()

    async def load(self) -> None:
        await self.inner.load()

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        return self.inner.stream(generation)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return await self.inner.count_tokens(messages)

    async def unload(self) -> None:
        await self.inner.unload()

    def extra(self, port: type[P]) -> P | None:
        return self.inner.extra(port)  # noqa: S610 - no database here
