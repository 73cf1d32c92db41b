"""Lists, however narrowed, show what is there, and what is counted is what is there."""

from __future__ import annotations

import random
from itertools import product
from typing import Any, get_args

import pytest

from engine.contract import recall
from engine.contract.base import Empty
from engine.contract.memories import MemoryKind, MemoryState
from tests.unit.recall.rooms import Rooms

NAMESPACES = ("a", "b", "c")
KINDS, STATES = get_args(MemoryKind), get_args(MemoryState)
_ADD = (
    "INSERT INTO memory (namespace_id, kind, state, pinned, at, added_at, text)"
    " SELECT id, ?, ?, ?, ?, ?, ? FROM namespace WHERE name = ?"
)


async def changed_at_random(rooms: Rooms, chance: random.Random) -> None:
    """Rows of every kind and state come, change and go, also several in one statement."""

    def values() -> tuple[str, str, int]:
        return chance.choice(KINDS), chance.choice(STATES), chance.randrange(2)

    async def work(tx: Any) -> None:
        for number in range(120):
            at = f"2026-01-{chance.randrange(1, 29):02}T10:00:00.000000+00:00"
            name = chance.choice(NAMESPACES)
            await tx.execute(_ADD, (*values(), at, at, f"Line {number}.", name))
        for _ in range(40):
            await tx.execute(
                "UPDATE memory SET kind = ?, state = ?, pinned = ? WHERE id % 60 = ?",
                (*values(), chance.randrange(60)),
            )
        await tx.execute("DELETE FROM memory WHERE id % 10 = ?", (chance.randrange(10),))
        await tx.execute("DELETE FROM memory WHERE namespace_id = 3 AND kind = 'turn'")

    await rooms.engine.ground.state.write(work)


async def listed(rooms: Rooms, limit: int, **only: Any) -> tuple[list[int], int]:
    """What the pages show, one after another, and how many there are said to be."""
    found: list[int] = []
    before = None
    while True:
        request = recall.ListMemories(limit=limit, before=before, **only)
        page: recall.MemoryPage = await rooms.do(recall.LIST, request)
        found += [one.id for one in page.memories]
        if (before := page.next) is None:
            return found, page.total


@pytest.mark.parametrize("seed", range(3))
async def test_every_list_is_that_of_the_rows(rooms: Rooms, seed: int) -> None:
    chance = random.Random(seed)
    for each in NAMESPACES:
        await rooms.note("First.", each)
    await changed_at_random(rooms, chance)
    rows = await rooms.engine.ground.state.read(
        "SELECT memory.*, namespace.name AS namespace FROM memory"
        " JOIN namespace ON namespace.id = memory.namespace_id ORDER BY at DESC, memory.id DESC"
    )
    for name, kind, state, pinned in product(
        (None, *NAMESPACES), (None, *KINDS), (None, *STATES), (False, True)
    ):
        wanted = [
            row["id"]
            for row in rows
            if name in {None, row["namespace"]}
            and kind in {None, row["kind"]}
            and state in {None, row["state"]}
            and (row["pinned"] or not pinned)
        ]
        only = {"namespace": name, "kind": kind, "state": state, "pinned": pinned}
        limit = chance.choice((7, 40, 500))
        assert await listed(rooms, limit, **only) == (wanted, len(wanted)), only

    stats = await rooms.stats()
    assert (stats.memories, stats.pinned) == (len(rows), sum(row["pinned"] for row in rows))
    for each in STATES:
        assert getattr(stats, each) == sum(row["state"] == each for row in rows)
    told = {one.name: one for one in (await rooms.do(recall.NAMESPACES, Empty())).namespaces}
    for each in NAMESPACES:
        of_it = [row for row in rows if row["namespace"] == each]
        pinned_of_it = sum(row["pinned"] for row in of_it)
        assert (told[each].memories, told[each].pinned) == (len(of_it), pinned_of_it)
        assert told[each].last_at is not None
        assert told[each].last_at.isoformat()[:10] == of_it[0]["at"][:10]
    kept = await rooms.engine.ground.state.read("SELECT min(memories) AS least FROM memory_count")
    assert kept[0]["least"] > 0  # what is empty says nothing
