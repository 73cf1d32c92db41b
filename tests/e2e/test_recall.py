"""Memory on the real model: what was told is found after a kill -9, and by nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.registry import ModelSettings
from engine.clients.local import LocalClient
from engine.config import Config
from engine.contract import agent0, memory
from engine.contract.base import Empty
from engine.contract.engine import STATUS
from engine.contract.errors import ModelFailed
from engine.core.engine import Engine
from engine.home import Home
from engine.recall import searching
from engine.recall.searching import Searching, Sight
from tests.fakes.house import done
from tests.fakes.recording import RecordingCatalog

pytestmark = pytest.mark.model

FACTS = (
    ("My bike is turquoise.", "What colour is my bike?", ("turquoise",)),
    ("My sister is called Marta.", "What is my sister called?", ("marta",)),
    ("I live in Lisbon.", "In which city do I live?", ("lisbon",)),
    ("My cat weighs seven kilos.", "How much does my cat weigh?", ("seven", "7")),
    ("My favourite food is lasagne.", "What is my favourite food?", ("lasagne",)),
    ("The backup runs every Tuesday.", "When does the backup run?", ("tuesday",)),
    ("My router is named Falcon.", "What is my router named?", ("falcon",)),
    ("I play the cello.", "Which instrument do I play?", ("cello",)),
)
UNRELATED = (
    "Hello there.",
    "Thank you.",
    "It is sunny outside.",
    "Good morning.",
    "That was nice.",
    "Tell a joke.",
    "Well done.",
    "See you later.",
)

_TELLER = """
import asyncio, sys
from arcanum_tui.wiring import connect
from engine.contract import agent0

async def main():
    client = await connect(host="command")
    for line in sys.stdin:
        request = agent0.Ask(session="a", text=line.strip(), max_tokens=8)
        async with client.stream(agent0.ASK, request) as items:
            async for item in items:
                if item.kind == "finished":
                    print(item.turn.id, flush=True)

asyncio.run(main())
"""


async def tell_and_be_killed(lines: Sequence[str]) -> None:
    """A process tells session ``a`` all of this; after its last acknowledgement it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _TELLER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    await process.stdin.drain()
    async with asyncio.timeout(90):
        for _ in lines:
            assert (await process.stdout.readline()).strip().isdigit()
    os.kill(process.pid, signal.SIGKILL)
    await process.communicate()  # To the end, which closes its pipes.


@asynccontextmanager
async def engine_here(home: Home) -> AsyncIterator[tuple[LocalClient, RecordingCatalog]]:
    """A new engine on the same home, whose prompts can be read."""
    home.prepare()
    models = RecordingCatalog(ModelSettings(runtime_dir=home.runtime))
    engine = Engine(home, Config(), models, "command")
    await engine.open()
    try:
        yield LocalClient(engine), models
    finally:
        await engine.stop()


async def ask(client: LocalClient, session: str, question: str) -> str:
    text = ""
    request = agent0.Ask(session=session, text=question, max_tokens=48)
    async with client.stream(agent0.ASK, request) as items:
        async for item in items:
            text += item.text if item.kind == "piece" else ""
    return text


@pytest.mark.slow
async def test_facts_survive_a_kill_and_reach_the_answer(home: Home) -> None:
    await tell_and_be_killed([fact for fact, _, _ in FACTS] + list(UNRELATED))
    right, wrong = 0, []
    async with engine_here(home) as (client, models):
        kept = (await done(client, memory.TURNS, memory.ShowTurns(session="a"))).turns
        told = [turn.question for turn in kept]
        assert told == [fact for fact, _, _ in FACTS] + list(UNRELATED)  # none lost, none doubled
        for fact, question, expected in FACTS:
            answer = await ask(client, "a", question)
            assert models.last.prompts[-1].count(fact) == 1
            if any(word in answer.lower() for word in expected):
                right += 1
            else:
                wrong.append((question, answer))
    assert right >= 5, wrong


def leaks(prompts: Sequence[str], texts: Sequence[str]) -> list[str]:
    return [text for text in texts for prompt in prompts if text in prompt]


async def _told_to_a_asked_in_b(home: Home) -> list[str]:
    """Tells session ``a`` the facts, asks session ``b`` all questions; what leaked."""
    async with engine_here(home) as (client, models):
        for fact, _, _ in FACTS[:3]:
            await ask(client, "a", fact)
        models.last.prompts.clear()
        for _, question, _ in FACTS[:3]:
            await ask(client, "b", question)
        return leaks(models.last.prompts, [fact for fact, _, _ in FACTS])


async def test_another_session_sees_nothing(home: Home) -> None:
    assert await _told_to_a_asked_in_b(home) == []


async def test_the_isolation_test_can_fail(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sight of the first session, whoever asks, the same check finds the leak."""

    async def sight(_self: Searching, _space: int, _last: int | None) -> Sight:
        return Sight(space=1, session=1, last=None)

    async def every(_state: object, _sight: Sight, ids: Sequence[int]) -> set[int]:
        return set(ids)

    monkeypatch.setattr(Searching, "_sight", sight)
    monkeypatch.setattr(searching, "_branch", every)
    assert await _told_to_a_asked_in_b(home) != []


async def test_a_fact_in_sight_is_used_and_stands_once(home: Home) -> None:
    async with engine_here(home) as (client, models):
        await ask(client, "a", "My bike is turquoise.")
        answer = await ask(client, "a", "What colour is my bike?")
        assert models.last.prompts[-1].count("My bike is turquoise.") == 1
    assert "turquoise" in answer.lower()


async def test_stopping_an_answer_keeps_what_came(home: Home) -> None:
    async with engine_here(home) as (client, _models):
        request = agent0.Ask(session="a", text="Tell me a long story about a lighthouse.")
        heard = ""
        async with client.stream(agent0.ASK, request) as items:
            async for item in items:
                heard += item.text if item.kind == "piece" else ""
                if heard.count(" ") > 5:
                    break
        turns = (await done(client, memory.TURNS, memory.ShowTurns(session="a"))).turns
        assert [(turn.status, turn.answer) for turn in turns] == [("stopped", heard)]
        assert await ask(client, "a", "Name a fruit.")  # and the next question works


async def test_a_killed_model_costs_one_answer(home: Home) -> None:
    async with engine_here(home) as (client, models):
        request = agent0.Ask(session="a", text="Tell me a long story about a lighthouse.")
        with pytest.raises(ModelFailed, match="killed"):
            async with client.stream(agent0.ASK, request) as items:
                async for item in items:
                    if item.kind == "piece":
                        pid = models.last.info().pid
                        assert pid is not None
                        os.kill(pid, signal.SIGKILL)
        turns = (await done(client, memory.TURNS, memory.ShowTurns(session="a"))).turns
        assert turns[0].status == "failed"
        assert turns[0].note
        status = await done(client, STATUS, Empty())
        assert [line.subject for line in status.concerns if line.severity == "broken"] == ["model"]
        assert await ask(client, "a", "Name a fruit.")
