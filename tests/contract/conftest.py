from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from engine.clients import wire
from engine.home import Home
from tests.fakes.front import Front, reached
from tests.fakes.house import room_of, served
from tests.fakes.peer import Peer


@pytest.fixture(params=["local", "socket"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def front(kind: str, home: Home) -> AsyncIterator[Front]:
    async with reached(kind, home) as found:
        yield found


@pytest.fixture
async def peer(home: Home) -> AsyncIterator[Peer]:
    async with served(home) as (engine, server):
        reader, writer = await asyncio.open_unix_connection(home.socket, limit=wire.MAX_LINE)
        hello = json.loads(await reader.readline())
        assert hello["method"] == "$/hello"
        yield Peer(reader, writer, await room_of(engine), server, engine)
        writer.close()
