"""Services: ordered, shared, contained, named, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.contract import engine as words
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.client import Done
from engine.contract.errors import Refused, Unavailable
from engine.contract.ports import Concern, Severity
from engine.core import lifecycle as core
from engine.core.engine import Engine
from engine.core.lifecycle import ServiceSpec
from engine.ground import Ground
from engine.home import Home
from tests.fakes.house import SERVICES, opened
from tests.fakes.waiting import until

Act = Callable[[Ground], Awaitable[None]]

told: list[str] = []
starts: dict[str, Act] = {}
stops: dict[str, Act] = {}


class _Told:
    """A room that tells its start and its stop, and does then what the test says."""

    name = ""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def start(self) -> None:
        told.append(f"start {self.name}")
        if self.name in starts:
            await starts[self.name](self._ground)

    async def stop(self) -> None:
        told.append(f"stop {self.name}")
        if self.name in stops:
            await stops[self.name](self._ground)


class First(_Told):
    name = "first"


class Second(_Told):
    name = "second"


class Third(_Told):
    name = "third"


def spec(name: str, *needs: str) -> ServiceSpec:
    return ServiceSpec(name, f"{__name__}:{name.capitalize()}", (name,), needs)


@pytest.fixture(autouse=True)
def quiet() -> None:
    for each in (told, starts, stops):
        each.clear()


@asynccontextmanager
async def around(home: Home, *specs: ServiceSpec) -> AsyncIterator[Engine]:
    chain = specs or (spec("first"), spec("second", "first"), spec("third", "second"))
    async with opened(home, (*SERVICES[:2], *chain)) as engine:
        yield engine


def states(engine: Engine) -> dict[str, str]:
    return {service.name: service.state for service in engine.lifecycle.services()}


async def test_what_is_needed_starts_first_and_stops_last(home: Home) -> None:
    async with around(home) as engine:
        await engine.lifecycle.ensure("third")
        assert told == ["start first", "start second", "start third"]
    assert told[3:] == ["stop third", "stop second", "stop first"]


async def test_only_what_is_used_is_started(home: Home) -> None:
    async with around(home) as engine:
        await engine.lifecycle.ensure("second")
        assert states(engine)["third"] == "stopped"
    assert "stop third" not in told


async def test_everybody_who_asks_at_once_waits_for_one_start(home: Home) -> None:
    may_start = asyncio.Event()

    async def slow(_ground: Ground) -> None:
        await may_start.wait()

    starts["first"] = slow
    async with around(home) as engine:
        asking = [asyncio.create_task(engine.lifecycle.ensure("first")) for _ in range(10)]
        asking += [asyncio.create_task(engine.lifecycle.ensure("third")) for _ in range(10)]
        await until(lambda: "start first" in told)
        may_start.set()
        await asyncio.gather(*asking)
        assert sorted(told) == ["start first", "start second", "start third"]


async def test_a_caller_that_leaves_does_not_take_the_start_with_it(home: Home) -> None:
    may_start = asyncio.Event()

    async def slow(_ground: Ground) -> None:
        await may_start.wait()

    starts["first"] = slow
    async with around(home) as engine:
        one, other = (asyncio.create_task(engine.lifecycle.ensure("first")) for _ in range(2))
        await until(lambda: "start first" in told)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        may_start.set()
        await other
        assert states(engine)["first"] == "running"
        assert told == ["start first"]


async def test_a_service_that_fails_is_named_and_costs_only_what_needs_it(home: Home) -> None:
    async def fail(_ground: Ground) -> None:
        raise LookupError("no \x1b[31mdisk")

    starts["second"] = fail
    async with around(home, spec("first"), spec("second"), spec("third", "first")) as engine:
        await engine.start()
        assert states(engine) == {
            "audit": "running",
            "engine": "running",
            "first": "running",
            "second": "failed",
            "third": "running",
        }
        answer = await engine.gate.call(words.STATUS, Empty(), Call())
        assert isinstance(answer, Done)
        broken = [line for line in answer.result.concerns if line.severity == "broken"]
        assert [(line.subject, line.text) for line in broken] == [
            ("second", r"does not run: no \x1b[31mdisk")
        ]
        assert answer.result.broken == 1
        with pytest.raises(Unavailable, match="second does not run"):
            await engine.lifecycle.ensure("second")
        metrics = engine.ground.metrics.registry
        assert metrics.get_sample_value("arcanum_service_up", {"service": "second"}) == 0
        assert metrics.get_sample_value("arcanum_service_up", {"service": "first"}) == 1


async def test_what_a_failing_service_had_begun_is_ended(home: Home) -> None:
    async def fail(_ground: Ground) -> None:
        raise Refused("no", "never")

    starts["first"] = fail
    async with around(home) as engine:
        with pytest.raises(Unavailable) as caught:
            await engine.lifecycle.ensure("third")
        chain = "third does not run: second does not run: first does not run: no"
        assert caught.value.message == chain
        assert told == ["start first", "stop first"]


async def test_a_service_that_failed_is_tried_again_but_not_at_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_ground: Ground) -> None:
        raise Refused("no")

    starts["first"] = fail
    async with around(home) as engine:
        for _ in range(3):
            with pytest.raises(Unavailable, match="first does not run: no"):
                await engine.lifecycle.ensure("first")
        assert told.count("start first") == 1
        monkeypatch.setattr(core, "_RETRY_AFTER_S", 0.0)
        del starts["first"]
        await engine.lifecycle.ensure("first")
        assert states(engine)["first"] == "running"


async def test_a_room_that_cannot_be_loaded_is_named(home: Home) -> None:
    missing = ServiceSpec("missing", "tests.nowhere:Room", ("missing",))
    async with around(home, missing) as engine:
        with pytest.raises(Unavailable, match=r"missing does not run: .*tests\.nowhere"):
            await engine.lifecycle.ensure("missing")


async def test_a_room_that_nothing_serves_is_named(home: Home) -> None:
    async with around(home) as engine:
        with pytest.raises(Unavailable, match="Nothing serves nonsense"):
            await engine.lifecycle.ensure("nonsense")


async def test_services_that_wait_for_each_other_are_named_instead_of_waiting_for_ever(
    home: Home,
) -> None:
    """As a room does whose start settles what belongs to another."""
    engines: list[Engine] = []

    async def wants_third(_ground: Ground) -> None:
        await engines[0].lifecycle.ensure("third")

    starts["first"] = wants_third
    async with around(home) as engine, asyncio.timeout(10):
        engines.append(engine)
        with pytest.raises(Unavailable, match="wait for each other to start"):
            await engine.lifecycle.ensure("third")


async def test_a_circle_that_is_entered_from_both_sides_is_named(home: Home) -> None:
    engines: list[Engine] = []
    both = asyncio.Barrier(2)

    def wants(name: str) -> Act:
        async def start(_ground: Ground) -> None:
            await both.wait()
            await engines[0].lifecycle.ensure(name)

        return start

    starts["first"], starts["second"] = wants("second"), wants("first")
    async with around(home, spec("first"), spec("second")) as engine, asyncio.timeout(10):
        engines.append(engine)
        answers = await asyncio.gather(
            engine.lifecycle.ensure("first"),
            engine.lifecycle.ensure("second"),
            return_exceptions=True,
        )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert any("wait for each other" in str(answer) for answer in answers)


async def test_a_stop_that_hangs_is_bounded_and_one_that_fails_holds_nobody(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(core, "_STOP_WITHIN_S", 0.05)

    async def hang(_ground: Ground) -> None:
        await asyncio.Event().wait()

    async def fail(_ground: Ground) -> None:
        raise LookupError("no")

    stops["third"], stops["second"] = hang, fail
    async with asyncio.timeout(10), around(home) as engine:
        await engine.lifecycle.ensure("third")
    assert told[3:] == ["stop third", "stop second", "stop first"]
    assert "third did not stop in order" in caplog.text
    assert "second did not stop in order" in caplog.text


async def test_what_is_just_starting_is_ended_when_the_engine_stops(home: Home) -> None:
    async def slow(_ground: Ground) -> None:
        await asyncio.Event().wait()

    starts["second"] = slow
    async with asyncio.timeout(10):
        async with around(home) as engine:
            asking = asyncio.create_task(engine.lifecycle.ensure("third"))
            await until(lambda: "start second" in told)
        with pytest.raises(Unavailable):
            await asking
    assert told == ["start first", "start second", "stop second", "stop first"]
    with pytest.raises(Unavailable, match="stopping"):
        await engine.lifecycle.ensure("third")


# --- the status -----------------------------------------------------------------------------------


async def status(engine: Engine) -> words.Status:
    answer = await engine.gate.call(words.STATUS, Empty(), Call())
    assert isinstance(answer, Done)
    return answer.result


async def test_a_probe_that_hangs_or_fails_is_unknown_and_never_green(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.core.engine._PROBE_WITHIN_S", 0.05)

    async def hang() -> Any:
        await asyncio.Event().wait()

    async def refuse() -> Any:
        raise Refused("the disk is away")

    async def defect() -> Any:
        raise LookupError("nobody foresaw this")

    async def works() -> list[Concern]:
        return [Concern(Severity.NEEDS_YOU, "you", "are needed", link="approvals/1")]

    async with around(home) as engine:
        probes = {"hang": hang, "refuse": refuse, "defect": defect, "works": works}
        engine.ground.probes.update(probes)
        found = await status(engine)
    assert (found.needs_you, found.broken, found.unknown) == (1, 0, 3)
    assert {line.subject: line.text for line in found.concerns} == {
        "hang": "no answer within 0.05 s",
        "refuse": "the disk is away",
        "defect": "nobody foresaw this",
        "you": "are needed",
    }


async def test_the_status_says_whose_it_is(home: Home) -> None:
    async with around(home) as engine:
        found = await status(engine)
    assert (found.machine, found.host, found.home) == (engine.machine, "command", str(home.data))
    assert found.pid > 0


async def test_a_room_that_does_not_come_up_does_not_hold_the_status(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.core.engine._PROBE_WITHIN_S", 0.05)

    async def hang(_ground: Ground) -> None:
        await asyncio.Event().wait()

    starts["first"] = hang
    slow = ServiceSpec("quota", f"{__name__}:First", ("quota",))
    async with asyncio.timeout(10), around(home, slow) as engine:
        found = await status(engine)
        assert [(line.severity, line.subject, line.text) for line in found.concerns] == [
            ("unknown", "quota", "is still starting")
        ]
