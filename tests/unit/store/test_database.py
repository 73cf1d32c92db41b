"""Transactions: whole, in order, durable, and no caller can tear one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.contract.errors import ArcanumError, Internal, StoreFailed
from engine.contract.events import Event
from engine.home import Home
from engine.store import Database, StoredSettings, Transaction
from tests.fakes.stores import job_event, opened
from tests.fakes.waiting import until


@pytest.fixture
def published() -> list[Event]:
    return []


@pytest.fixture
async def state(home: Home, published: list[Event]) -> AsyncIterator[Database]:
    async with opened(home.state_file, publish=published.append) as database:
        yield database


def put(name: str, value: str = "1") -> Callable[[Transaction], Awaitable[int]]:
    return lambda tx: tx.execute(
        "INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        (name, value),
    )


async def names(state: Database) -> list[str]:
    return [row["name"] for row in await state.read("SELECT name FROM setting ORDER BY name")]


async def test_a_failing_transaction_leaves_nothing_and_the_next_one_works(state: Database) -> None:
    async def half(tx: Transaction) -> None:
        await put("a")(tx)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await state.write(half)
    await state.write(put("b"))
    assert await names(state) == ["b"]


async def test_transactions_of_many_callers_do_not_mix(state: Database) -> None:
    """Each moves one unit between two accounts in two steps; half of them change their mind."""
    await state.write(put("x", "100"))
    await state.write(put("y", "100"))

    async def move(number: int) -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute("UPDATE setting SET value = value - 1 WHERE name = 'x'")
            await asyncio.sleep(0)
            if number % 2:
                raise LookupError
            await tx.execute("UPDATE setting SET value = value + 1 WHERE name = 'y'")

        await state.write(work)

    results = await asyncio.gather(*(move(n) for n in range(60)), return_exceptions=True)
    assert sum(isinstance(r, LookupError) for r in results) == 30
    rows = await state.read("SELECT name, CAST(value AS INTEGER) AS v FROM setting")
    assert {row["name"]: row["v"] for row in rows} == {"x": 70, "y": 130}


async def test_a_cancelled_caller_neither_tears_a_transaction_nor_takes_it_back(
    state: Database,
) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def work(tx: Transaction) -> None:
        await put("first")(tx)
        inside.set()
        await go_on.wait()
        await put("second")(tx)

    caller = asyncio.create_task(state.write(work))
    await inside.wait()
    waiting = asyncio.create_task(state.write(put("third")))
    await asyncio.sleep(0)
    for task in (caller, waiting):
        task.cancel()
    results = await asyncio.gather(caller, waiting, return_exceptions=True)
    assert all(isinstance(r, asyncio.CancelledError) for r in results)
    go_on.set()
    await state.write(put("fourth"))
    found = await names(state)
    assert {"first", "second", "fourth"} <= set(found)  # Begun: whole. "third": whole or not there.


async def test_work_that_awaits_something_cancelled_does_not_stop_the_writer(
    state: Database,
) -> None:
    async def work(tx: Transaction) -> None:
        await put("a")(tx)
        gone = asyncio.ensure_future(asyncio.Event().wait())
        gone.cancel()
        await gone

    with pytest.raises(asyncio.CancelledError):
        await state.write(work)
    async with asyncio.timeout(5):
        await state.write(put("b"))
    assert await names(state) == ["b"]


async def test_a_transaction_inside_a_transaction_is_refused_instead_of_waiting_for_itself(
    state: Database,
) -> None:
    async def work(_tx: Transaction) -> None:
        await state.write(put("inner"))

    async with asyncio.timeout(5):
        with pytest.raises(Internal, match="inside a transaction"):
            await state.write(work)


async def test_events_are_numbered_in_order_and_published_after_the_commit_only(
    state: Database, published: list[Event]
) -> None:
    async def told(tx: Transaction) -> None:
        await tx.emit(job_event(1))
        await tx.emit(job_event(2))
        assert len(published) == before

    async def failing(tx: Transaction) -> None:
        await tx.emit(job_event(3))
        raise LookupError

    before = 0
    await state.write(told)
    with pytest.raises(LookupError):
        await state.write(failing)
    before = 2
    await state.write(told)
    assert [event.seq for event in published] == [1, 2, 3, 4]
    rows = await state.read("SELECT seq FROM event ORDER BY seq")
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]


async def test_a_sequence_number_is_never_used_again_not_even_after_old_events_are_gone(
    home: Home, state: Database
) -> None:
    await state.write(lambda tx: tx.emit(job_event()))
    await state.write(lambda tx: tx.emit(job_event()))
    await state.write(lambda tx: tx.execute("DELETE FROM event"))
    await state.close()
    numbers: list[int | None] = []
    async with opened(home.state_file, publish=lambda event: numbers.append(event.seq)) as again:
        await again.write(lambda tx: tx.emit(job_event()))
    assert numbers == [3]


async def test_close_finishes_what_waits_and_refuses_what_comes_later(
    home: Home, state: Database
) -> None:
    writes = [asyncio.create_task(state.write(put(f"n{n:03}"))) for n in range(50)]
    reads = [asyncio.create_task(state.read("SELECT 1")) for _ in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(state.close())
    await asyncio.sleep(0)
    late = [
        asyncio.create_task(late())
        for late in (lambda: state.write(put("late")), lambda: state.read("SELECT 1"))
    ]
    async with asyncio.timeout(10):
        await asyncio.gather(*writes, *reads, closing)
        refused = await asyncio.gather(*late, return_exceptions=True)
    assert all(isinstance(r, StoreFailed) and "is closed" in r.message for r in refused)
    async with opened(home.state_file) as again:
        assert len(await names(again)) == 50
    await again.close()


async def test_more_writes_than_the_queue_holds_are_all_committed(state: Database) -> None:
    count = state.bound + 200
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(
                state.write(lambda tx: tx.execute("UPDATE setting SET value = 1"))
                for _ in range(count)
            )
        )
    assert state.depth == 0


async def test_a_reader_cannot_write(state: Database) -> None:
    with pytest.raises(StoreFailed):
        await state.read("INSERT INTO setting VALUES ('a', '1')")
    assert await names(state) == []


async def test_an_interrupted_open_leaves_no_thread_behind(home: Home) -> None:
    """A thread of the database's that nobody closes keeps the process from ending."""
    before = threading.active_count()
    for steps in (1, 20, 60, 100, 200, 400, 800):
        database = Database(home.state_file, "state", durable=True)
        opening = asyncio.create_task(database.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        try:
            await opening
        except asyncio.CancelledError:
            pass
        else:
            await database.close()
    pool = {thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")}
    await until(lambda: threading.active_count() - len(pool) <= before)


async def test_settings_are_kept_by_name(home: Home, state: Database) -> None:
    settings = StoredSettings(state)
    assert await settings.get("colour") is None
    await settings.put("colour", {"name": "türkis", "n": 1})
    await settings.put("colour", {"name": "türkis", "n": 2})
    assert await StoredSettings(state).get("colour") == {"name": "türkis", "n": 2}


async def test_every_sqlite_error_becomes_one_that_a_user_can_act_on(state: Database) -> None:
    with pytest.raises(ArcanumError) as caught:
        await state.write(lambda tx: tx.execute("SELECT nonsense FROM nowhere"))
    assert str(state.path) in caught.value.message
    assert caught.value.hint


async def test_a_folder_where_a_file_should_be_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("a file")
    with pytest.raises(StoreFailed) as caught:
        await Database(path / "arcanum.db", "state", durable=True).open()
    assert "taken" in caught.value.message


async def test_a_batch_is_what_one_statement_works_on(state: Database) -> None:
    async def work(tx: Transaction) -> list[tuple[str, str]]:
        await tx.batch([("old", "0", "more than is asked for next")])
        await tx.batch([("a", "1"), ("b", "2")])
        await tx.execute("INSERT INTO setting SELECT v1, v2 FROM temp.batch WHERE v3 IS NULL")
        await tx.batch([])
        await tx.execute("INSERT INTO setting SELECT v1, v2 FROM temp.batch")
        return [tuple(row) for row in await tx.fetch("SELECT * FROM setting ORDER BY name")]

    assert await state.write(work) == [("a", "1"), ("b", "2")]


async def test_a_batch_goes_with_its_transaction(state: Database) -> None:
    async def half(tx: Transaction) -> None:
        await tx.batch([("a", "1")])
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await state.write(half)

    async def whole(tx: Transaction) -> None:
        await tx.batch([("b", "2")])
        await tx.execute("INSERT INTO setting SELECT v1, v2 FROM temp.batch")

    await state.write(whole)
    assert await names(state) == ["b"]
