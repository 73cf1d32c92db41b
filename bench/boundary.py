"""What an answer costs besides the model, on the scripted backend: door, gate, queue, memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from backends.registry import Catalog, ModelSettings
from backends.scripted import Scripted
from backends.wrappers import wrap
from bench.house import House
from bench.table import Aim, Plan, Row, versus
from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.config import Config, ModelConfig
from engine.contract import agent0
from engine.contract.agent0 import AnswerFinished, AnswerPiece, Ask
from engine.contract.backend import Backend, Generation, Message, Observation
from engine.contract.client import EngineClient
from engine.core.engine import Engine
from engine.server.socket import SocketServer

TOKENS = 4_000
_FEW = 8
"""Tokens of an answer to whose first one is measured: no model writes thousands at once."""


def _talkative() -> Scripted:
    """The scripted backend with a reason of as many words as tokens are wanted."""
    return Scripted("no model is wanted here, " + "and so on " * (TOKENS // 3), "read the table")


class _OneModel(Catalog):
    default = "scripted"

    def create(self, name: str) -> Backend:
        return wrap(_talkative(), _unheard)


def _unheard(_seen: Observation) -> None:
    """Nobody watches."""


def measure(plan: Plan) -> list[Row]:
    base = plan.scratch / "boundary"
    base.mkdir()
    house = House(base)
    with house.inside():
        return asyncio.run(_measure(plan, house))


async def _measure(plan: Plan, house: House) -> list[Row]:
    took: dict[str, list[tuple[float, float]]] = {"alone": [], "process": [], "socket": []}
    async with _engine(house) as engine:
        local = LocalClient(engine)
        server = SocketServer(local, house.home.socket)
        await server.start()
        remote = await SocketClient.connect(house.home.socket)
        try:
            for turn in range(plan.rounds + 1):
                found = {
                    "alone": await _alone(),
                    "process": await _ask(local, f"a{turn}"),
                    "socket": await _ask(remote, f"b{turn}"),
                }
                if turn:
                    for name, figures in found.items():
                        took[name].append(figures)
        finally:
            await remote.close()
            await server.stop()
    rows = []
    for name, where in (("process", "in the engine's process"), ("socket", "over the socket")):
        for index, (what, unit, aim) in enumerate(
            (("to the first token", "ms", 5.0), ("for each token", "µs", 200.0))
        ):
            rows.append(
                versus(
                    f"an answer's own cost {what}, {where}",
                    unit,
                    [each[index] for each in took[name]],
                    [each[index] for each in took["alone"]],
                    peer_name="the scripted backend alone",
                    aim=Aim(aim),
                )
            )
    return rows


@asynccontextmanager
async def _engine(house: House) -> AsyncIterator[Engine]:
    home = house.home
    home.prepare()
    settings = Config(model=ModelConfig(max_new_tokens=2 * TOKENS))
    engine = Engine(home, settings, _OneModel(ModelSettings(home.runtime)), "command")
    await engine.open()
    try:
        yield engine
    finally:
        await engine.stop()


async def _alone() -> tuple[float, float]:
    """Milliseconds to the first piece of a short answer, microseconds a token of a long one."""

    async def answer(most: int) -> tuple[float, float]:
        began = perf_counter()
        first, pieces = 0.0, 0
        messages = (Message("user", "Hello?"),)
        async with _talkative().stream(Generation(messages, most)) as stream:
            async for piece in stream:
                if piece.text:
                    first, pieces = first or perf_counter(), pieces + 1
        return _figures(began, first, perf_counter(), pieces)

    return (await answer(_FEW))[0], (await answer(2 * TOKENS))[1]


async def _ask(client: EngineClient, session: str) -> tuple[float, float]:
    async def answer(most: int) -> tuple[float, float]:
        began = perf_counter()
        first, tokens = 0.0, 0
        request = Ask(text="Hello?", session=f"{session} {most}", max_tokens=most)
        async with client.stream(agent0.ASK, request) as items:
            async for item in items:
                if isinstance(item, AnswerPiece):
                    first = first or perf_counter()
                elif isinstance(item, AnswerFinished):
                    tokens = item.tokens
        return _figures(began, first, perf_counter(), tokens)

    return (await answer(_FEW))[0], (await answer(2 * TOKENS))[1]


def _figures(began: float, first: float, ended: float, tokens: int) -> tuple[float, float]:
    return 1e3 * (first - began), 1e6 * (ended - first) / max(1, tokens - 1)
