"""What was long unused is archived by itself, and what is beyond the limit: soon, once a day."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.contract import jobs, recall
from engine.home import Home
from engine.recall import book, room
from tests.fakes.waiting import until
from tests.unit.recall.rooms import Rooms, rooms_at

LONG_AGO = datetime(2020, 5, 4, tzinfo=UTC)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that are started from now on look at once, and again and again."""
    monkeypatch.setattr(room, "_SOON_S", 0.0)
    monkeypatch.setattr(room, "_LOOK_S", 0.01)


async def aged(rooms: Rooms, text: str) -> int:
    """A memory that matters little, and that nobody used for years."""
    number = await rooms.note(text, at=LONG_AGO, importance=0.1)
    sql = "UPDATE memory SET added_at = ? WHERE id = ?"
    await rooms.engine.ground.state.write(
        lambda tx: tx.execute(sql, (book.stamp(LONG_AGO), number))
    )
    return number


async def runs(rooms: Rooms) -> int:
    found = (await rooms.do(jobs.LIST, jobs.ListJobs())).jobs
    return sum(job.operation == "recall.archive" for job in found)


async def test_what_was_long_unused_is_archived_soon_and_then_once_a_day(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rooms_at(home) as rooms:
        first = await aged(rooms, "It rains.")
        fresh = await rooms.note("It is dry.", importance=0.1)
    hurry(monkeypatch)
    async with rooms_at(home) as rooms:
        settings: Any = rooms.engine.ground.settings
        get, looks = settings.get, []

        async def noted(name: str) -> Any:
            looks.append(name)
            return await get(name)

        await rooms.state_of(first, "archived")
        assert (await rooms.show(fresh)).state == "live"
        second = await aged(rooms, "It snows.")
        monkeypatch.setattr(settings, "get", noted)
        await until(lambda: looks.count("recall.tended") > 3)
        assert (await runs(rooms), (await rooms.show(second)).state) == (1, "live")
        for hours in (-25, 1):  # A day later, and after a clock was set back.
            late = await aged(rooms, f"It hails {hours}.")
            await settings.put("recall.tended", time.time() + hours * 3_600)
            await rooms.state_of(late, "archived")
        assert (await rooms.show(second)).state == "archived"


async def test_too_many_are_archived_where_age_archives_none(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: dict[str, Any] = {"embedding": "none", "archive_days": 0, "most": 1_000}
    async with rooms_at(home, **limits) as rooms:
        least = await aged(rooms, "It rains.")
        old = await aged(rooms, "It snows in Lisbon.")
        await rooms.notes([f"I have {n} marbles." for n in range(999)], importance=0.9)
        await rooms.do(recall.EDIT, recall.Edit(id=old, importance=0.2))
    hurry(monkeypatch)
    async with rooms_at(home, **limits) as rooms:
        await rooms.state_of(least, "archived")
        assert (await rooms.show(old)).state == "live"
        assert (await rooms.stats()).archived == 1
