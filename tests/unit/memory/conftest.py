"""The memory room in a real engine, spoken to as the other rooms and the faces do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from engine.clients.local import LocalClient
from engine.config import Config
from engine.contract import memory, recall
from engine.contract.base import Wire
from engine.contract.call import Call
from engine.contract.memories import RecallHit
from engine.contract.memory import SessionSummary, Turn, TurnStatus
from engine.contract.operation import Operation
from engine.contract.ports import Attached, Recall, TurnLog
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import RehearsedCatalog


@dataclass(frozen=True)
class House:
    """``log`` is what other rooms use, ``client`` what faces use."""

    client: LocalClient
    log: TurnLog
    models: RehearsedCatalog
    engine: Engine

    async def ask(
        self,
        session: str,
        text: str,
        *,
        after: int | None = None,
        attached: Sequence[Attached] = (),
    ) -> Turn:
        """A question whose answer is still being written."""
        return await self.log.open(session, text, Call(), after=after, attached=attached)

    async def say(
        self,
        session: str,
        text: str,
        answer: str = "Noted.",
        *,
        after: int | None = None,
        status: TurnStatus = "done",
    ) -> Turn:
        """A question and its answer."""
        turn = await self.ask(session, text, after=after)
        return await self.log.close(turn, status, answer, "", "rehearsed")

    async def do(self, operation: Operation[Any, Any], request: Wire) -> Any:
        return await done(self.client, operation, request)

    async def turns(self, session: str, **fields: Any) -> list[Turn]:
        found = await self.do(memory.TURNS, memory.ShowTurns(session=session, **fields))
        return list(found.turns)

    async def questions(self, session: str) -> list[str]:
        """Of the current branch, in order."""
        return [turn.question for turn in await self.turns(session, limit=500)]

    async def sessions(self, **fields: Any) -> list[SessionSummary]:
        found = await self.do(memory.SESSIONS, memory.ListSessions(**fields))
        return list(found.sessions)

    async def names(self, **fields: Any) -> list[str]:
        return [session.name for session in await self.sessions(**fields)]

    async def found(self, session: str, query: str) -> list[str]:
        request = recall.Search(namespace=session, query=query)
        return [hit.text for hit in (await self.do(recall.SEARCH, request)).hits]

    async def recall(
        self, session: str, query: str, limit: int, *, last: int | None = None
    ) -> list[RecallHit]:
        """What a question would be told."""
        await self.engine.lifecycle.ensure("recall")
        port = self.engine.ground.use(Recall)  # type: ignore[type-abstract]
        return (await port.recall(session, query, limit, last=last)).hits

    async def exported(self, session: str) -> list[Turn]:
        request = memory.OneSession(session=session)
        async with self.client.stream(memory.EXPORT, request) as items:
            return [turn async for turn in items]


@asynccontextmanager
async def house_at(home: Home) -> AsyncIterator[House]:
    home.prepare()
    models = RehearsedCatalog({})
    engine = Engine(home, Config(), models, "command")
    await engine.open()
    try:
        await engine.lifecycle.ensure("memory")
        log = engine.ground.use(TurnLog)  # type: ignore[type-abstract]
        yield House(LocalClient(engine), log, models, engine)
    finally:
        await engine.stop()


@pytest.fixture
async def house(home: Home) -> AsyncIterator[House]:
    async with house_at(home) as opened:
        yield opened
