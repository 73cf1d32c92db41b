"""A backend whose answers a test has written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from backends.tokens import estimate_prompt
from engine.contract.backend import BackendInfo, Generation, Message, ModelState, P, Piece
from engine.contract.errors import ArcanumError


class RehearsedBackend:
    """Answers with ``reply`` (a text, or a function of the request), word by word.

    ``heard`` holds every request. ``hold``: the answer waits for it before its third word.
    ``error`` is raised after the second word. ``left`` counts answers that were broken off.
    """

    def __init__(
        self,
        reply: str | Callable[[Generation], str] = "As rehearsed.",
        *,
        context: int = 4096,
        local: bool = True,
        hold: asyncio.Event | None = None,
        error: ArcanumError | None = None,
    ) -> None:
        self.reply = reply
        self.context = context
        self.local = local
        self.hold = hold
        self.error = error
        self.heard: list[Generation] = []
        self.left = 0
        self.state = ModelState.UNLOADED

    def info(self) -> BackendInfo:
        return BackendInfo(
            "rehearsed", "rehearsed", self.state, context=self.context, local=self.local
        )

    async def load(self) -> None:
        self.state = ModelState.READY

    async def unload(self) -> None:
        self.state = ModelState.UNLOADED

    def extra(self, port: type[P]) -> P | None:
        return None

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_prompt(messages)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        await self.load()
        self.heard.append(generation)
        async with aclosing(self._pieces(generation)) as pieces:
            yield pieces

    async def _pieces(self, generation: Generation) -> AsyncGenerator[Piece]:
        text = self.reply if isinstance(self.reply, str) else self.reply(generation)
        words = text.split(" ")
        try:
            for number, word in enumerate(words[: generation.max_tokens]):
                if number == 2 and self.hold is not None:
                    await self.hold.wait()
                if number == 2 and self.error is not None:
                    raise self.error
                yield Piece(word if number == 0 else f" {word}")
            yield Piece("", "stop" if len(words) <= generation.max_tokens else "length")
        except (GeneratorExit, asyncio.CancelledError):
            self.left += 1
            raise
