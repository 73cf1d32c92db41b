"""kill -9 at random moments of a conversation: no acknowledged turn is lost, none is doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from arcanum_tui.wiring import connect
from engine.contract import memory
from engine.home import Home
from tests.fakes.house import done

ROUNDS = 12

# The scripted model is enough here: what is tested is the conversation, not the answer.
_TALKER = """
import asyncio, itertools
from arcanum_tui.wiring import connect
from engine.contract import agent0, model

async def main():
    client = await connect(host="command")
    await client.call(model.USE, model.UseModel(name="scripted"))
    for number in itertools.count({start}):
        request = agent0.Ask(session="a", text=f"line {{number}}")
        async with client.stream(agent0.ASK, request) as items:
            async for item in items:
                if item.kind == "started":
                    print("asked", number, flush=True)
                elif item.kind == "finished":
                    print("answered", number, flush=True)

asyncio.run(main())
"""


async def talk_until_killed(start: int, after_s: float) -> list[tuple[str, int]]:
    """What was acknowledged before the kill, in order."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _TALKER.format(start=start),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 60)
    asyncio.get_running_loop().call_later(after_s, os.kill, process.pid, signal.SIGKILL)
    rest = await asyncio.wait_for(process.stdout.read(), 60)
    await process.wait()
    whole = [line.split() for line in (first + rest).decode().splitlines(keepends=True)]
    return [(words[0], int(words[1])) for words in whole if len(words) == 2]


@pytest.mark.slow
async def test_no_acknowledged_turn_is_lost_or_doubled(home: Home) -> None:
    chance = random.Random(7)
    start = 0
    for _round in range(ROUNDS):
        heard = await talk_until_killed(start, chance.uniform(0.0, 0.25))
        asked = [number for word, number in heard if word == "asked"]
        answered = {number for word, number in heard if word == "answered"}
        client = await connect(host="command")
        try:
            request = memory.ShowTurns(session="a", limit=500)
            turns = (await done(client, memory.TURNS, request)).turns
        finally:
            await client.close()
        told = [int(turn.question.split()[1]) for turn in turns]
        assert sorted(set(told)) == told, "a turn is doubled or out of order"
        kept = {int(turn.question.split()[1]): turn for turn in turns}
        assert set(asked[-400:]) <= set(kept), "an acknowledged question is lost"
        for number in sorted(answered)[-400:]:
            assert kept[number].status == "done"
            assert kept[number].answer
        assert {turn.status for turn in turns} <= {"done", "interrupted"}
        start = max(told) + 1
