"""The labelled stand-in where no model can be used. It never pretends to answer."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from backends.tokens import estimate_prompt
from engine.contract.backend import BackendInfo, Generation, Message, ModelState, P, Piece, Usage

# It costs nothing to repeat.
_PARALLEL = 16
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
            library="scripted",
            parallel=_PARALLEL,
        )

    async def load(self) -> None:
        self._state = ModelState.READY

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        await self.load()
        async with aclosing(self._pieces(generation)) as pieces:
            yield pieces

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_prompt(messages)

    async def unload(self) -> None:
        self._state = ModelState.UNLOADED

    def extra(self, port: type[P]) -> P | None:
        return None

    async def _pieces(self, generation: Generation) -> AsyncGenerator[Piece]:
        words = _WORD.findall(
            "This is not an answer: no language model is in use, so nobody has read your question. "
            f"Why: {self._reason}. What to do: {self._advice}"
        )
        said = words[: generation.max_tokens]
        for word in said:
            yield Piece(word)
        usage = Usage(estimate_prompt(generation.messages), len(said))
        yield Piece("", "stop" if said == words else "length", usage=usage)
