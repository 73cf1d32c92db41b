"""The bus: bounded, in order, never waiting for a listener."""

from __future__ import annotations

import asyncio

import pytest

from engine.bus import Bus, Subscription
from engine.contract.events import Event, Resync
from engine.contract.jobs import JobProgressed
from tests.fakes.stores import job_event


def durable(seq: int) -> Event:
    return job_event(seq).model_copy(update={"seq": seq})


def progress(job: int, done: int) -> JobProgressed:
    found = job_event(job).job
    return JobProgressed(
        job=found.model_copy(update={"progress": found.progress.model_copy(update={"done": done})})
    )


async def taken(subscription: Subscription) -> list[Event]:
    """What waits now."""
    found: list[Event] = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                found.append(await anext(subscription))
        except (TimeoutError, StopAsyncIteration):
            return found


async def test_every_listener_hears_every_durable_event_in_order() -> None:
    bus = Bus()
    with bus.subscribe() as one, bus.subscribe() as other:
        for seq in range(1, 6):
            bus.publish(durable(seq))
        assert [event.seq for event in await taken(one)] == [1, 2, 3, 4, 5]
        assert [event.seq for event in await taken(other)] == [1, 2, 3, 4, 5]
    assert bus.last_seq == 5
    assert bus.subscribers == 0


async def test_the_latest_of_a_key_takes_the_place_of_the_older() -> None:
    bus = Bus()
    with bus.subscribe() as listener:
        for event in (progress(1, 1), progress(2, 1), durable(1), progress(1, 2), progress(1, 3)):
            bus.publish(event)
        found = await taken(listener)
    assert [getattr(event, "job").id if event.seq is None else "seq" for event in found] == [  # noqa: B009
        1,
        2,
        "seq",
    ]
    assert isinstance(found[0], JobProgressed)
    assert found[0].job.progress.done == 3


async def test_who_falls_behind_loses_what_waited_and_is_told_once() -> None:
    bus = Bus()
    with bus.subscribe(bound=10) as slow, bus.subscribe() as fast:
        for seq in range(1, 31):
            bus.publish(durable(seq))
        found = await taken(slow)
        assert len(found) == 1
        assert isinstance(found[0], Resync)
        assert found[0].upto == 30
        bus.publish(durable(31))
        assert [event.seq for event in await taken(slow)] == [31]
        assert len(await taken(fast)) == 31


async def test_gauges_of_many_keys_are_bounded_too() -> None:
    bus = Bus()
    with bus.subscribe(bound=10) as slow:
        for number in range(1, 1000):
            bus.publish(progress(number, 1))
        assert len(slow._waiting) <= 10
        assert isinstance((await taken(slow))[0], Resync)


async def test_closing_ends_every_listener_after_what_waits() -> None:
    bus = Bus()
    listener = bus.subscribe()
    bus.publish(durable(1))
    bus.close()
    assert [event.seq async for event in listener] == [1]
    with pytest.raises(StopAsyncIteration):
        await anext(listener)
    bus.publish(durable(2))  # Nobody listens: no harm.


async def test_a_listener_that_waits_is_woken() -> None:
    bus = Bus()
    with bus.subscribe() as listener:
        waiting = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0)
        bus.publish(durable(1))
        async with asyncio.timeout(5):
            assert (await waiting).seq == 1
        ending = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0)
        listener.close()
        async with asyncio.timeout(5):
            with pytest.raises(StopAsyncIteration):
                await ending
