"""A backend whose answers a test has written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from backends.tokens import estimate_prompt
from engine.contract.backend import (
    BackendInfo,
    Generation,
    KeepsState,
    Message,
    ModelState,
    P,
    Piece,
)
from engine.contract.errors import ArcanumError, Unavailable


class RehearsedBackend:
    """Answers with ``reply`` (a text, or a function of the request), word by word.

    ``heard`` holds every request. ``hold``: the answer waits for it before its third word.
    ``error`` is raised after the second word. ``left`` counts answers that were broken off.
    ``load_hold``, ``unload_hold`` and ``save_hold``: loading, unloading and saving wait for them.
    ``load_error`` is what loading raises. ``keeps``: it keeps state. ``deeds`` tells what was done
    to it, in order; an answer ends when it is unloaded.
    """

    def __init__(
        self,
        reply: str | Callable[[Generation], str] = "As rehearsed.",
        *,
        context: int = 4096,
        local: bool = True,
        hold: asyncio.Event | None = None,
        error: ArcanumError | None = None,
        load_hold: asyncio.Event | None = None,
        unload_hold: asyncio.Event | None = None,
        save_hold: asyncio.Event | None = None,
        load_error: ArcanumError | None = None,
        keeps: bool = False,
    ) -> None:
        self.reply = reply
        self.context = context
        self.local = local
        self.hold = hold
        self.error = error
        self.heard: list[Generation] = []
        self.left = 0
        self.load_hold = load_hold
        self.unload_hold = unload_hold
        self.save_hold = save_hold
        self.load_error = load_error
        self.keeps = keeps
        self.deeds: list[str] = []
        self.state = ModelState.UNLOADED

    def info(self) -> BackendInfo:
        return BackendInfo(
            "rehearsed", "rehearsed", self.state, context=self.context, local=self.local
        )

    async def load(self) -> None:
        if self.state is ModelState.READY:
            return
        self.deeds.append("load")
        if self.load_hold is not None:
            await self.load_hold.wait()
        if self.load_error is not None:
            raise self.load_error
        self.state = ModelState.READY

    async def unload(self) -> None:
        if self.state is not ModelState.READY:
            return
        self.deeds.append("unload")
        if self.unload_hold is not None:
            await self.unload_hold.wait()
        self.state = ModelState.UNLOADED

    async def save(self) -> None:
        assert self.state is ModelState.READY
        self.deeds.append("save")
        if self.save_hold is not None:
            await self.save_hold.wait()

    async def warm(self, messages: Sequence[Message]) -> None:
        await self.load()
        self.deeds.append("warm")

    def extra(self, port: type[P]) -> P | None:
        # What is asked for is a type, so what is found is of that type.
        return self if self.keeps and port is KeepsState else None  # type: ignore[return-value]

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimate_prompt(messages)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        await self.load()
        self.deeds.append("stream")
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
                if self.state is not ModelState.READY:
                    raise Unavailable("It was unloaded while it was asked.", "Ask again.")
                yield Piece(word if number == 0 else f" {word}")
            yield Piece("", "stop" if len(words) <= generation.max_tokens else "length")
        except (GeneratorExit, asyncio.CancelledError):
            self.left += 1
            raise
