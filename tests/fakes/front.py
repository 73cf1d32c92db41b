"""The engine through either client: what is tested with it holds for both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.contract.base import Wire
from engine.contract.client import EngineClient
from engine.contract.errors import ArcanumError
from engine.contract.operation import Operation
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.house import opened, room_of, served
from tests.fakes.room import ExampleRoom


@dataclass
class Front:
    """A client, and what is behind it."""

    client: EngineClient
    engine: Engine
    room: ExampleRoom


@asynccontextmanager
async def reached(kind: str, home: Home) -> AsyncIterator[Front]:
    """The engine of this home through a client of this kind."""
    if kind == "local":
        async with opened(home) as behind:
            client: EngineClient = LocalClient(behind)
            yield Front(client, behind, await room_of(behind))
            await client.close()
    else:
        async with served(home) as (behind, _server):
            client = await SocketClient.connect(home.socket)
            yield Front(client, behind, await room_of(behind))
            await client.close()


async def raised(front: Front, operation: Operation[Any, Any], request: Wire) -> ArcanumError:
    with pytest.raises(ArcanumError) as caught:
        await front.client.call(operation, request)
    return caught.value
