"""Whoever remembers much at once leaves the event loop to others."""

from __future__ import annotations

import random

from engine.contract import recall
from engine.contract.memories import Note
from tests.fakes.costs import steps
from tests.unit.recall.rooms import Rooms

WORDS = [f"word{number}" for number in range(500)]


async def test_the_event_loop_is_never_held(rooms: Rooms) -> None:
    """The longest step of the loop's own work while 5,000 memories come in, are indexed and
    searched, in CPU time: other programs on the machine do not count.
    """
    chance = random.Random(3)
    texts = [" ".join(chance.choices(WORDS, k=14)) for _ in range(5_000)]
    batches = [
        recall.AddNotes(
            namespace="a", notes=tuple(Note(text=text) for text in texts[at : at + 250])
        )
        for at in range(0, len(texts), 250)
    ]
    await rooms.note("What is loaded at the first use is loaded.")
    await rooms.settled()
    async with steps() as step:
        for batch in batches:
            await rooms.do(recall.ADD, batch)
            await rooms.hits(" ".join(chance.choices(WORDS, k=3)))
    assert step.longest < 0.01
