"""Ten conversations at once on one model, the whole way, beside the binding's own server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import perf_counter

import httpx

from bench.house import House, move_in
from bench.peer import CONTEXT, bare, body, prompt, threads
from bench.table import Aim, Plan, Row, paired
from engine.clients.socket import SocketClient
from engine.contract import agent0, model
from engine.contract.agent0 import AnswerFinished, Ask
from engine.contract.backend import Message

SESSIONS = 10
SLOTS = 4
_TOKENS = 48
_CONFIG = f"[model]\nparallel = {SLOTS}\nthreads = {threads()}\ncontext = {CONTEXT}\n"

Talk = Callable[[int], Awaitable[int]]
"""One conversation with this number; returns how many tokens were written."""


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "parallel", _CONFIG)
    with house.engine():
        return asyncio.run(_measure(plan, house))


async def _measure(plan: Plan, house: House) -> list[Row]:
    turns = 1 if plan.quick else 2
    mine: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    clients = [await SocketClient.connect(house.home.socket) for _ in range(SESSIONS)]
    try:
        await clients[0].call(model.LOAD, model.AnyModel())
        async with (
            bare(plan.scratch, parallel=SLOTS) as peer,
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(peer.socket)),
                headers={"Connection": "close"},  # It ends each after an answer, unasked.
                timeout=300.0,
            ) as http,
        ):
            for number in range(min(plan.rounds, 5)):
                mine.append(await _together(_ours(clients, number, turns)))
                theirs.append(await _together(_theirs(http, number, turns)))
    finally:
        for client in clients:
            await client.close()
    peer_name = "xllamacpp's own server"
    note = f"{SESSIONS} conversations, {SLOTS} slots, {turns} questions each"
    return [
        paired(
            "ten conversations at once, each token",
            "ms",
            [each[0] for each in mine],
            [each[0] for each in theirs],
            peer_name=peer_name,
            aim=Aim(ratio=1.1),
            note=note,
        ),
        paired(
            "ten conversations at once, last done / first done",
            "×",
            [each[1] for each in mine],
            [each[1] for each in theirs],
            peer_name=peer_name,
            aim=Aim(ratio=1.1),
            note="fairness: 1 is all at the same time",
        ),
    ]


async def _together(talk: Talk) -> tuple[float, float]:
    """Milliseconds for each token of all, and how much longer the last took than the first."""
    began = perf_counter()

    async def one(number: int) -> tuple[float, int]:
        tokens = await talk(number)
        return perf_counter() - began, tokens

    ended = await asyncio.gather(*map(one, range(SESSIONS)))
    seconds = [each[0] for each in ended]
    return 1e3 * max(seconds) / sum(each[1] for each in ended), max(seconds) / min(seconds)


def _question(number: int, session: int, turn: int) -> str:
    # A question: what is told would be recalled, and make another prompt of the next one.
    return prompt(
        20, 1_000 * number + 10 * session + turn, "Will you write a long story about the sea?"
    )


def _ours(clients: list[SocketClient], number: int, turns: int) -> Talk:
    async def talk(session: int) -> int:
        tokens = 0
        for turn in range(turns):
            request = Ask(
                text=_question(number, session, turn),
                session=f"talk {number}-{session}",
                max_tokens=_TOKENS,
            )
            async with clients[session].stream(agent0.ASK, request) as items:
                async for item in items:
                    if isinstance(item, AnswerFinished):
                        tokens += item.tokens
        return tokens

    return talk


def _theirs(http: httpx.AsyncClient, number: int, turns: int) -> Talk:
    async def talk(session: int) -> int:
        messages = [Message("system", "You are a helpful assistant.")]
        tokens = 0
        for turn in range(turns):
            messages.append(Message("user", _question(number, session, turn)))
            answer, new = await _stream(http, messages)
            messages.append(Message("assistant", answer))
            tokens += new
        return tokens

    return talk


async def _stream(http: httpx.AsyncClient, messages: list[Message]) -> tuple[str, int]:
    text, new = "", 0
    url = "http://peer/v1/chat/completions"
    async with http.stream("POST", url, json=body(messages, _TOKENS)) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                choices = chunk["choices"]
                text += (choices[0]["delta"].get("content") or "") if choices else ""
                new = (chunk.get("timings") or {}).get("predicted_n", new)
    return text, new
