"""A catalogue whose models are real, and which keeps every prompt that they were asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from backends.registry import Catalog
from engine.contract.backend import Backend, BackendInfo, Generation, Message, P, Piece


class RecordingBackend:
    """Passes everything on to ``inner``; ``prompts`` holds the text of each whole prompt."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.prompts: list[str] = []

    def info(self) -> BackendInfo:
        return self._inner.info()

    async def load(self) -> None:
        await self._inner.load()

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        self.prompts.append("\n".join(message.content for message in generation.messages))
        return self._inner.stream(generation)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return await self._inner.count_tokens(messages)

    async def unload(self) -> None:
        await self._inner.unload()

    def extra(self, port: type[P]) -> P | None:
        return self._inner.extra(port)


class RecordingCatalog(Catalog):
    """``last`` is the backend that was made last."""

    last: RecordingBackend

    def create(self, name: str) -> Backend:
        self.last = RecordingBackend(super().create(name))
        return self.last
