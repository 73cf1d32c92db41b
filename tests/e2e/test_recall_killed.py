"""``kill -9`` of the whole engine under writes: what was acknowledged is there, once, and found."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from arcanum_tui.wiring import connect
from engine.contract import recall
from engine.contract.base import Empty
from engine.contract.client import EngineClient
from engine.contract.memories import Note
from engine.home import Home
from tests.fakes.house import done

KILLS = 50

_WRITER = """
import asyncio, sys
from arcanum_tui.wiring import connect
from engine.contract import recall
from engine.contract.memories import Note

async def main(start):
    client = await connect(host="command")
    number = start
    while True:
        notes = tuple(Note(text=f"Fact number{n} of the falcon.", ref=f"r{n}", source="test")
                      for n in range(number, number + 3))
        await client.call(recall.ADD, recall.AddNotes(namespace="a", notes=notes))
        print(number + 2, flush=True)
        number += 3
        if number % 4 == 0:
            await client.call(recall.SEARCH, recall.Search(query="falcon", namespace="a"))

asyncio.run(main(int(sys.argv[1])))
"""


async def write_and_be_killed(start: int, chance: random.Random) -> int:
    """The last number that was acknowledged, or one less than ``start``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _WRITER,
        str(start),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    last = int(await process.stdout.readline())
    await asyncio.sleep(chance.uniform(0.0, 0.4))
    os.kill(process.pid, signal.SIGKILL)
    while line := await process.stdout.readline():
        last = int(line)
    await process.wait()
    return last


async def every_ref(client: EngineClient) -> list[str]:
    refs: list[str] = []
    before = None
    while True:
        request = recall.ListMemories(namespace="a", limit=500, before=before)
        page = await done(client, recall.LIST, request)
        refs += [one.ref for one in page.memories]
        if (before := page.next) is None:
            return refs


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_fifty_kills_lose_nothing_that_was_acknowledged(home: Home) -> None:
    home.prepare()
    home.config_file.write_text('[memory]\nembedding = "none"\n')
    chance, acknowledged, start = random.Random(7), set[str](), 0
    for _ in range(KILLS):
        last = await write_and_be_killed(start, chance)
        acknowledged |= {f"r{n}" for n in range(start, last + 1)}
        # What was on its way may be there or not; the next one writes other numbers.
        start = last + 100
    found: list[list[int]] = []
    for _ in range(2):
        client = await connect(host="command")
        try:
            refs = await every_ref(client)
            assert len(refs) == len(set(refs))
            assert acknowledged <= set(refs)
            stats = await done(client, recall.STATS, Empty())
            while stats.waiting:
                stats = await done(client, recall.STATS, Empty())
            some = sorted(acknowledged)[::97]
            for ref in some:
                request = recall.Search(query=f"number{ref[1:]}", namespace="a", limit=1)
                hits = (await done(client, recall.SEARCH, request)).hits
                assert [hit.ref for hit in hits] == [ref]
            request = recall.Search(query="falcon facts", namespace="a", limit=50)
            found.append([hit.id for hit in (await done(client, recall.SEARCH, request)).hits])
            added = await done(
                client,
                recall.ADD,
                recall.AddNotes(namespace="b", notes=(Note(text="Still fine."),)),
            )
            assert added.added == 1
        finally:
            await client.close()
    assert found[0] == found[1]  # and the same after one more restart
