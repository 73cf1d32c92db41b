"""Transactions that wait together reach the disk together, and fail alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiosqlite
import pytest

from engine.contract.errors import StoreFailed
from engine.contract.events import Event
from engine.home import Home
from engine.store import Database, Transaction
from tests.fakes.stores import job_event, opened


@pytest.fixture
def published() -> list[Event]:
    return []


@pytest.fixture
async def state(home: Home, published: list[Event]) -> AsyncIterator[Database]:
    async with opened(home.state_file, publish=published.append) as database:
        yield database


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each trip to the disk."""
    made: list[None] = []
    commit = aiosqlite.Connection.commit

    async def counted(connection: aiosqlite.Connection) -> None:
        await commit(connection)
        made.append(None)

    monkeypatch.setattr(aiosqlite.Connection, "commit", counted)
    return made


def put(name: str) -> Callable[[Transaction], Awaitable[int]]:
    return lambda tx: tx.execute("INSERT INTO setting VALUES (?, '1')", (name,))


async def names(state: Database) -> list[str]:
    return [row["name"] for row in await state.read("SELECT name FROM setting ORDER BY name")]


async def test_what_waits_together_is_committed_together(
    state: Database, commits: list[None]
) -> None:
    await asyncio.gather(*(state.write(put(f"{number:03}")) for number in range(200)))
    assert len(await names(state)) == 200
    assert len(commits) <= 5


async def test_one_that_fails_takes_none_of_the_others_along(
    state: Database, published: list[Event]
) -> None:
    async def fails(tx: Transaction) -> None:
        await put("half")(tx)
        await tx.emit(job_event(13))
        raise LookupError("no more")

    async def tells(tx: Transaction) -> None:
        await tx.emit(job_event(7))

    outcomes = await asyncio.gather(
        *(state.write(work) for work in (put("a"), fails, put("a"), tells, put("b"))),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in outcomes] == [
        "int", "LookupError", "IntegrityError", "NoneType", "int",
    ]  # fmt: skip
    assert await names(state) == ["a", "b"]
    assert [event.job.id for event in published] == [7]  # type: ignore[attr-defined]


async def test_a_listener_that_fails_stops_no_write(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def listen(event: Event) -> None:
        heard.append(event.job.id)  # type: ignore[attr-defined]
        if len(heard) == 1:
            raise LookupError("deaf")

    async with opened(home.state_file, publish=listen) as database:
        for number in (1, 2):
            await database.write(lambda tx, number=number: tx.emit(job_event(number)))  # type: ignore[misc]
    assert heard == [1, 2]
    assert "deaf" in caplog.text


async def test_what_sqlite_took_back_is_acknowledged_to_nobody(
    state: Database, published: list[Event]
) -> None:
    """As after an error over which SQLite rolls a whole transaction back: a full disk, for one."""

    async def tells(tx: Transaction) -> None:
        await tx.emit(job_event(1))

    async def loses(tx: Transaction) -> None:
        await tx.execute("ROLLBACK")
        await tx.execute("SELECT nothing FROM nowhere")

    outcomes = await asyncio.gather(
        *(state.write(work) for work in (put("a"), tells, loses)), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [StoreFailed] * 3
    assert await names(state) == []
    assert published == []
    await state.write(put("b"))
    assert await names(state) == ["b"]
