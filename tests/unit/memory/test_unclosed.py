"""An answer whose end found the disk full is written down as soon as there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.contract.errors import StoreFailed
from engine.home import Home
from engine.memory import unclosed
from tests.fakes.waiting import until
from tests.unit.memory.conftest import House, house_at

LONG = "x" * 40_000


@asynccontextmanager
async def full_disk(house: House) -> AsyncIterator[None]:
    connection = house.engine.ground.state._connection
    assert connection is not None
    (pages,) = next(iter(await connection.execute_fetchall("PRAGMA page_count")))
    await connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    await connection.execute("PRAGMA max_page_count = 100000")


async def test_it_is_closed_while_the_engine_runs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unclosed, "_AGAIN_S", 0.01)
    turn = await house.ask("a", "Tell me all.")
    async with full_disk(house):
        with pytest.raises(StoreFailed, match="full"):
            await house.log.close(turn, "done", LONG, "", "rehearsed")
        assert [each.status for each in await house.turns("a")] == ["open"]

    async def is_closed() -> bool:
        (closed,) = await house.turns("a")
        return (closed.status, closed.answer) == ("done", LONG)

    await until(is_closed)


async def test_it_is_closed_when_the_engine_ends(home: Home) -> None:
    async with house_at(home) as house:
        turn = await house.ask("a", "Tell me all.")
        async with full_disk(house):
            with pytest.raises(StoreFailed):
                await house.log.close(turn, "done", LONG, "", "rehearsed")
    async with house_at(home) as house:
        (closed,) = await house.turns("a")
        assert (closed.status, closed.answer) == ("done", LONG)
