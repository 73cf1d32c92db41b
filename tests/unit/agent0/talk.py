"""Asking, and a model that can be of any size, told of its usage, and counted on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any

from engine.clients.local import LocalClient
from engine.contract import agent0, memory
from engine.contract.agent0 import TextAttachment
from engine.contract.backend import BackendInfo, Generation, Message, Piece, Usage
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until

LARGE = 2 * 1024**3
SMALL = 100 * 1024**2


async def ask(client: LocalClient, text: str, **more: Any) -> list[Any]:
    request = agent0.Ask(text=text, **more)
    async with client.stream(agent0.ASK, request) as items:
        return [item async for item in items]


async def turns(client: LocalClient, session: str = "main") -> tuple[memory.Turn, ...]:
    found: memory.TurnList = await done(client, memory.TURNS, memory.ShowTurns(session=session))
    return found.turns


async def keep_what_is_saved(home: Home, client: LocalClient) -> None:
    """Copies the data as soon as some of the answer is in it: what a crash then would leave."""

    async def saved() -> bool:
        return (await turns(client))[0].answer != ""

    await until(saved)
    await asyncio.to_thread(shutil.copytree, home.data, home.data.with_name("died"))


def die_as_kept(home: Home) -> None:
    """The data is what was kept."""
    shutil.rmtree(home.data)
    home.data.with_name("died").rename(home.data)


def note(text: str, name: str = "notes.txt") -> TextAttachment:
    return TextAttachment(name=name, text=text)


class SizedBackend(RehearsedBackend):
    """``counted`` holds every prompt whose tokens were asked for; ``usage`` comes at the end."""

    def __init__(
        self,
        reply: str | Callable[[Generation], str] = "As rehearsed.",
        size: int = 0,
        usage: Usage | None = None,
        **more: Any,
    ) -> None:
        super().__init__(reply, **more)
        self.size = size
        self.usage = usage
        self.counted: list[Sequence[Message]] = []

    def info(self) -> BackendInfo:
        return replace(super().info(), size=self.size)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        self.counted.append(messages)
        return await super().count_tokens(messages)

    async def _pieces(self, generation: Generation) -> AsyncGenerator[Piece]:
        async for piece in super()._pieces(generation):
            yield replace(piece, usage=self.usage) if piece.finish else piece

    def texts(self, heard: int = -1) -> list[str]:
        """What the messages of a request say."""
        return [message.content for message in self.heard[heard].messages]
