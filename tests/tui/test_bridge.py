"""The bridge keeps the state true: batches, reconnects, resync, and stale results read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from arcanum_tui import bridge as bridge_module
from arcanum_tui.bridge import HZ, Bridge
from arcanum_tui.state.model import State
from engine.contract import approvals, jobs, quota
from engine.contract import engine as engine_words
from engine.contract.base import Empty
from engine.contract.client import EngineClient
from engine.contract.errors import StoreFailed, Unavailable
from engine.contract.events import Resync
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_world import NOW
from tests.fakes.sample import GB, lived_in
from tests.fakes.waiting import until


@asynccontextmanager
async def bridged(
    engine: FakeEngine, connect: Callable[[], Awaitable[EngineClient]] | None = None
) -> AsyncIterator[tuple[Bridge, list[State]]]:
    told: list[State] = []
    bridge = Bridge(connect or engine.connect, told.append, lambda: NOW)
    task = asyncio.create_task(bridge.run())
    try:
        yield bridge, told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_snapshot_and_what_happened_before_it_are_there_at_once() -> None:
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, _):
        await until(lambda: len(bridge.state.recent) == engine.world.seq)
        assert bridge.state.link.state == "live"
        assert [a.id for a in bridge.state.pending] == [4, 3]


async def test_a_storm_of_events_is_told_in_few_batches_and_ends_right() -> None:
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, told):
        await until(lambda: bridge.state.known)
        before = len(told)
        began = asyncio.get_running_loop().time()
        for done in range(2000):
            engine.world.change_job(1, progress=jobs.Progress(done=done, total=2000))
            if done % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: bridge.state.running[0].progress.done == 1999)
        took = asyncio.get_running_loop().time() - began
        assert len(told) - before <= took * HZ + 3


async def test_results_that_an_event_made_stale_are_read_again() -> None:
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, _):
        await until(lambda: bridge.state.known)
        engine.world.set_gauge("films", 1, 900 * GB)
        engine.world.emit(quota.LimitSet(library="films", limit=900 * GB))
        await until(lambda: bridge.state.gauges[0].used == 1)


async def test_a_lost_engine_keeps_what_was_known_and_comes_back_by_itself() -> None:
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, _):
        await until(lambda: bridge.state.known)
        engine.go_down()
        await until(lambda: bridge.state.link.state == "lost")
        assert len(bridge.state.approvals) == 4
        with pytest.raises(Unavailable):
            await bridge.ask(engine_words.STATUS, Empty())
        engine.world.change_job(1, state=jobs.JobState.DONE, ended_at=NOW)
        engine.up = True
        await until(lambda: bridge.state.link.state == "live")
        assert bridge.state.running == ()


async def test_what_cannot_be_retried_waits_for_a_person() -> None:
    engine = FakeEngine(lived_in())
    tries = 0

    async def connect() -> EngineClient:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreFailed("The database is newer than this program.", "Update Arcanum.")
        return await engine.connect()

    async with bridged(engine, connect) as (bridge, _):
        await until(lambda: bridge.state.link.state == "lost")
        assert bridge.state.link.why == "The database is newer than this program. Update Arcanum."
        bridge.reconnect()
        await until(lambda: bridge.state.link.state == "live")
        assert tries == 2


async def test_a_resync_reads_everything_again() -> None:
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, _):
        await until(lambda: bridge.state.known)
        engine.world.gauges.clear()
        engine.world.emit(Resync(upto=engine.world.seq))
        await until(lambda: bridge.state.gauges == ())


async def test_one_broken_room_costs_one_topic() -> None:
    engine = FakeEngine(lived_in())
    engine.broken["quota.show"] = StoreFailed("damaged")
    async with bridged(engine) as (bridge, _):
        await until(lambda: bridge.state.known)
        assert bridge.state.failures["quota.show"].message == "damaged"
        assert len(bridge.state.libraries) == 3
        engine.broken.clear()
        bridge.reconnect()
        await until(lambda: not bridge.state.failures)


async def test_leaving_closes_the_client() -> None:
    engine = FakeEngine(lived_in())
    clients = []

    async def connect() -> EngineClient:
        clients.append(await engine.connect())
        return clients[-1]

    async with bridged(engine, connect) as (bridge, _):
        await until(lambda: bridge.state.known)
    assert [c.closed for c in clients] == [True]


async def test_a_room_that_comes_up_late_is_read_when_it_runs() -> None:
    engine = FakeEngine(lived_in())
    engine.broken["quota.show"] = Unavailable("quota is starting.")
    async with bridged(engine) as (bridge, _):
        await until(lambda: "quota.show" in bridge.state.failures)
        engine.broken.clear()
        running = engine_words.Service(name="quota", state="running")
        engine.world.emit(engine_words.ServiceChanged(service=running))
        await until(lambda: len(bridge.state.gauges) == 3)
        assert not bridge.state.failures


async def test_what_happens_while_the_snapshot_is_taken_is_not_lost() -> None:
    engine = FakeEngine(lived_in())
    hold = engine.held["media.libraries"] = asyncio.Event()
    async with bridged(engine) as (bridge, _):
        await until(lambda: any(name == "media.libraries" for name, _ in engine.calls))
        engine.world.change_job(1, progress=jobs.Progress(done=7, total=9))
        hold.set()
        await until(
            lambda: bool(bridge.state.running) and bridge.state.running[0].progress.done == 7
        )


async def test_what_is_told_while_a_result_is_read_again_is_not_overwritten_by_it() -> None:
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, _):
        await until(lambda: bridge.state.known)
        # The list is read before the new approval is there, and arrives after its event.
        engine.slow["approvals.list"] = asyncio.Event()
        running = engine_words.Service(name="approvals", state="running")
        before = len(engine.requests(approvals.LIST))
        engine.world.emit(engine_words.ServiceChanged(service=running))
        await until(lambda: len(engine.requests(approvals.LIST)) > before)
        number = engine.world.add_approval(engine.world.approvals[3].card)
        await until(lambda: bridge.state.approvals[0].id == number)
        engine.slow.pop("approvals.list").set()
        await until(lambda: not engine.waiting)
        await asyncio.sleep(3 / HZ)
        assert bridge.state.approvals[0].id == number


async def test_an_engine_that_gives_no_sign_of_life_is_not_called_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge_module, "PING_S", 0.05)
    monkeypatch.setattr(bridge_module, "TURN_S", 0.02)
    monkeypatch.setattr(bridge_module, "SILENT_S", 0.2)
    engine = FakeEngine(lived_in())
    async with bridged(engine) as (bridge, told):
        await until(lambda: bridge.state.link.state == "live")
        engine.held["ping"] = asyncio.Event()
        await until(lambda: bridge.state.link.state == "silent")
        assert bridge.state.link.since == NOW
        assert bridge.state.libraries
        # An event is a sign of life as an answer is; then it is waited for anew.
        engine.world.change_job(1, progress=jobs.Progress(done=1, total=2))
        await until(lambda: bridge.state.link.state == "live")
        await until(lambda: bridge.state.link.state == "silent")
        engine.held.pop("ping").set()
        await until(lambda: bridge.state.link.state == "live")
        before = len(told)
        await until(lambda: engine.pings > 20)
        assert all(state.link.state == "live" for state in told[before:])


async def test_an_engine_that_is_silent_from_the_first_on_is_not_waited_for_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge_module, "TURN_S", 0.02)
    monkeypatch.setattr(bridge_module, "SILENT_S", 0.1)
    engine = FakeEngine(lived_in())
    gate = engine.held["ping"] = engine.held["engine.status"] = asyncio.Event()
    async with bridged(engine) as (bridge, _):
        await until(lambda: bridge.state.link.state == "silent")
        engine.held.clear()
        gate.set()
        await until(lambda: bridge.state.link.state == "live")
