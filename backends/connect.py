"""The door to a model server. The HTTP stack behind it is imported in a thread, at first use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from backends.address import Address
from backends.plain import plainly
from engine.contract.errors import Failed

if TYPE_CHECKING:
    from backends.chat import ChatServer


class Trouble(Enum):
    """What can happen to a connection."""

    REFUSED = "nobody answers there"
    BROKEN = "the connection broke off"
    SILENT = "nothing came for too long"
    FOREIGN = "what answers there does not speak HTTP"


Explain = Callable[[Trouble, str], Awaitable[Failed]]
"""From trouble with the connection, and its technical detail, to the error that a person meets."""


async def warm_up() -> None:
    """Imports the HTTP stack (80 ms of CPU), so that ``connect`` finds it loaded."""
    await asyncio.to_thread(_import)


async def connect(
    name: str,
    address: Address,
    explain: Explain,
    *,
    key: str = "",
    connect_s: float = 5.0,
    silence_s: float = 300.0,
    control: Iterable[str] = (),
) -> ChatServer:
    """A client for the server; nothing is sent yet. ``control``: the model's control tokens."""

    def build() -> ChatServer:
        return _import()(
            name,
            address,
            explain,
            key=key,
            connect_s=connect_s,
            silence_s=silence_s,
            plain=plainly(control),
        )

    return await asyncio.to_thread(build)


@cache
def _import() -> type[ChatServer]:
    import anyio

    from backends.chat import ChatServer

    # The first request would import the rest of the stack on its event loop.
    anyio.run(anyio.sleep, 0)
    return ChatServer
