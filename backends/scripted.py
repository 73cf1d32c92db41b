"""The labelled stand-in where no model can be used. It never pretends to answer."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from backends.tokens import estimate_prompt
from engine.contract.backend import BackendInfo, Generation, Message, ModelState, P, Piece

_WORD = re.compile(r"\S+\s*|\s+")


class Scripted:
    """The ``Backend`` that says why there is no model, and what to do. A token is a word."""

    def __init__(self, reason: str, advice: str) -> None:
        self._reason = reason
        self._advice = advice
        self._state = ModelState.UNLOADED

    def info(self) -> BackendInfo:
        return BackendInfo(
            backend="scripted",
            model="none",
            state=self._state,
            reason=self._reason,
            simulated=True,
        )

    async def load(self) -> None:
        self._state = ModelState.READY

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        await self.load()
        async with aclosing(self._pieces(generation.max_tokens)) as pieces:
            yield pieces

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_prompt(messages)

    async def unload(self) -> None:
        self._state = ModelState.UNLOADED

    def extra(self, port: type[P]) -> P | None:
        return None

    async def _pieces(self, max_tokens: int) -> AsyncGenerator[Piece]:
        words = _WORD.findall(
            "This is not an answer: no language model is in use, so nobody has read your question. "
            f"Why: {self._reason}. What to do: {self._advice}"
        )
        for word in words[:max_tokens]:
            yield Piece(word)
        yield Piece("", "stop" if len(words) <= max_tokens else "length")
