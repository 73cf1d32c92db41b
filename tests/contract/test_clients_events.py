"""Events and snapshots: the same through either client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.contract import approvals, audit, engine, jobs
from engine.contract.errors import (
    NeedsApproval,
)
from engine.contract.events import Event, Resync
from engine.contract.jobs import JobProgressed
from engine.contract.operation import Operation
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.front import Front, reached
from tests.fakes.house import done
from tests.fakes.stores import job_event


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    found = []
    async with asyncio.timeout(10):
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the events ended")


async def tell(engine: Engine, count: int) -> None:
    for number in range(count):
        await engine.ground.state.write(lambda tx, n=number: tx.emit(job_event(n + 1)))  # type: ignore[misc]


async def test_events_go_on_after_a_restart_without_a_gap_and_without_a_double(
    kind: str, home: Home
) -> None:
    async with reached(kind, home) as front:
        await tell(front.engine, 5)
        async with front.client.events() as events:
            await tell(front.engine, 1)
            first = await take(events, 1)
    seen = [event.seq for event in first]
    assert seen == [6]
    async with reached(kind, home) as front:
        await tell(front.engine, 1200)  # More than a page of the replay.
        async with front.client.events(after=seen[-1]) as events:
            telling = asyncio.create_task(tell(front.engine, 50))
            seen += [event.seq for event in await take(events, 1250)]
            await telling
    assert seen == list(range(6, 1257))


async def test_events_without_a_number_begin_now(front: Front) -> None:
    await tell(front.engine, 3)
    async with front.client.events() as events:
        await tell(front.engine, 1)
        (event,) = await take(events, 1)
    assert event.seq == 4


async def test_events_keep_who_what_where_and_when(front: Front) -> None:
    async with front.client.events() as events:
        number = await pending_anything(front)
        (requested,) = await take(events, 1)
        while not isinstance(requested, approvals.ApprovalRequested):
            (requested,) = await take(events, 1)
    assert requested.summary.id == number
    assert requested.machine == front.engine.machine
    assert requested.at.tzinfo is not None


async def pending_anything(front: Front) -> int:
    with pytest.raises(NeedsApproval) as caught:
        async with front.client.stream(example.SEND, example.Send(away=True)):
            pass
    return caught.value.approval_id


@pytest.mark.parametrize("after", [-7, 10_000_000])
async def test_events_that_cannot_be_replayed_are_a_resync(front: Front, after: int) -> None:
    await tell(front.engine, 3)
    async with front.client.events(after=after) as events:
        (event,) = await take(events, 1)
        assert isinstance(event, Resync)
        assert event.upto == 3
        await tell(front.engine, 1)
        (event,) = await take(events, 1)
        assert event.seq == 4


async def test_an_event_that_an_older_version_told_otherwise_is_a_resync(front: Front) -> None:
    await tell(front.engine, 3)
    await front.engine.ground.state.write(
        lambda tx: tx.execute('UPDATE event SET data = \'{"kind": "jobs.changed"}\' WHERE seq = 2')
    )
    async with front.client.events(after=0) as events:
        first, second = await take(events, 2)
        assert first.seq == 1
        assert isinstance(second, Resync)
        await tell(front.engine, 1)
        (event,) = await take(events, 1)
        assert event.seq == 4


async def test_of_transient_events_the_latest_wins(front: Front) -> None:
    """1,000 progress reports while nobody reads are one."""
    last = job_event().job
    async with front.client.events() as events:
        for number in range(1000):
            progress = last.progress.model_copy(update={"done": number})
            last = last.model_copy(update={"progress": progress})
            front.engine.bus.publish(JobProgressed(job=last))
        await tell(front.engine, 1)
        found: list[Event] = []
        while not found or found[-1].seq is None:
            found += await take(events, 1)
    reports = [event.job.progress.done for event in found if isinstance(event, JobProgressed)]
    assert reports == [999]


async def test_a_slow_subscriber_is_told_to_resync_and_the_engine_does_not_wait(
    front: Front,
) -> None:
    async with front.client.events() as events:
        async with asyncio.timeout(30):
            for number in range(6000):
                event = job_event(number).model_copy(update={"seq": number + 1})
                front.engine.bus.publish(event)
                if number % 500 == 0:
                    await done(front.client, example.ECHO, example.Echo())
        seen: list[int | None] = []
        (found,) = await take(events, 1)
        while not isinstance(found, Resync):
            seen.append(found.seq)
            (found,) = await take(events, 1)
        assert found.upto == 6000
        assert seen == list(range(1, len(seen) + 1))  # What came before it, in order.
        front.engine.bus.publish(job_event().model_copy(update={"seq": 6001}))
        (after,) = await take(events, 1)
        assert after.seq == 6001


async def test_a_face_may_call_while_thousands_of_events_wait_for_it(front: Front) -> None:
    async with asyncio.timeout(30), front.client.events() as events:
        for number in range(1900):
            event = job_event(number).model_copy(update={"seq": number + 1})
            front.engine.bus.publish(event)
            await asyncio.sleep(0)
        count = 0
        async for _event in events:
            await done(front.client, example.ECHO, example.Echo())
            count += 1
            if count == 1900:
                break


async def test_a_snapshot_says_which_events_it_includes_and_what_could_not_be_read(
    front: Front,
) -> None:
    await tell(front.engine, 4)
    topics: list[Operation[Any, Any]] = [
        engine.STATUS,
        example.BROKEN,
        jobs.LIST,
        example.MINE,
    ]
    found = await front.client.snapshot(topics)
    assert found.seq == 4
    assert set(found.results) == {"engine.status", "jobs.list", "example.mine"}
    assert isinstance(found.results["jobs.list"], jobs.JobList)
    assert set(found.failures) == {"broken.read"}
    failure = found.failures["broken.read"]
    assert failure.code == "unavailable"
    assert failure.retryable
    assert "The disk is away" in failure.message


async def test_a_snapshot_changes_nothing(front: Front) -> None:
    """A topic that is no read without arguments is a failure of its own, and is not done."""
    topics: list[Operation[Any, Any]] = [
        example.HOLD_WRITE,
        example.ERASE,
        example.COUNT,
        audit.SHOW,
    ]
    async with asyncio.timeout(10):
        found = await front.client.snapshot(topics)
    assert front.room.facts == []
    assert {name: info.code for name, info in found.failures.items()} == {
        "example.hold_write": "invalid",
        "example.erase": "invalid",
        "example.count": "invalid",
    }
    assert found.results["audit.show"].entries == ()


async def test_a_snapshot_of_something_that_needs_arguments_is_a_failure_of_that_topic(
    front: Front,
) -> None:
    found = await front.client.snapshot([approvals.SHOW, jobs.LIST])
    assert found.failures["approvals.show"].code == "invalid"
    assert "id" in found.failures["approvals.show"].message
    assert set(found.results) == {"jobs.list"}
