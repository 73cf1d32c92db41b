"""Gauges of this machine: real, bounded, and only while somebody looks."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from engine.clients.local import LocalClient
from engine.contract import model, telemetry
from engine.contract.base import Empty
from engine.home import Home
from engine.telemetry.sampler import Sampler
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend


@pytest.fixture
async def client(home: Home) -> AsyncIterator[LocalClient]:
    async with engine_with(home, {"one": RehearsedBackend()}) as opened:
        yield opened


async def test_one_look_is_of_this_machine(client: LocalClient) -> None:
    gauges = await done(client, telemetry.NOW, Empty())
    assert gauges.memory_total == psutil.virtual_memory().total
    assert 0 < gauges.memory_used < gauges.memory_total
    assert gauges.cpu is not None
    assert 0 <= gauges.cpu <= 100
    assert gauges.net_down is not None
    assert gauges.net_down >= 0
    assert all(disk.used <= disk.total for disk in gauges.disks)
    assert {queue.name for queue in gauges.queues} >= {"store", "catalogue"}
    assert gauges.problems == ()


async def test_the_models_state_is_told(client: LocalClient) -> None:
    await done(client, model.LOAD, model.AnyModel())
    assert (await done(client, telemetry.NOW, Empty())).model_state == "ready"
    await done(client, model.UNLOAD, model.AnyModel())
    assert (await done(client, telemetry.NOW, Empty())).model_state == "unloaded"


async def test_nothing_is_sampled_once_nobody_looks(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples: list[int] = []
    real = Sampler.sample

    def counted(self: Sampler) -> Any:
        samples.append(threading.get_ident())
        return real(self)

    monkeypatch.setattr(Sampler, "sample", counted)
    request = telemetry.WatchGauges(every_s=0.5)
    async with client.stream(telemetry.WATCH, request) as items:
        first = await anext(items)
        second = await anext(items)
    assert second.at > first.at
    assert second.loop_lag_ms is not None
    assert len(samples) == 2
    assert threading.get_ident() not in samples  # never on the event loop's thread
    assert (await done(client, telemetry.NOW, Empty())).at > second.at
    assert len(samples) == 4  # its own two, none of a watch that lived on


async def test_what_cannot_be_read_is_unknown_with_its_reason(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError("no such sensor")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    gauges = await done(client, telemetry.NOW, Empty())
    assert gauges.memory_used is None
    assert gauges.problems == ("memory: no such sensor",)
    assert gauges.cpu is not None


async def test_metrics_are_in_the_format_of_prometheus(client: LocalClient) -> None:
    await done(client, telemetry.NOW, Empty())
    text = (await done(client, telemetry.METRICS, Empty())).text
    assert 'arcanum_calls_total{operation="telemetry.now",outcome="ok"} 1.0' in text
    assert 'arcanum_service_up{service="telemetry"} 1.0' in text
    assert 'arcanum_queue_depth{queue="store"}' in text


def test_disks_are_not_asked_at_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = psutil.disk_usage

    def counted(path: str) -> Any:
        asked.append(path)
        return real(path)

    monkeypatch.setattr(psutil, "disk_usage", counted)
    sampler = Sampler()
    first = sampler.sample()
    once = len(asked)
    second = sampler.sample()
    assert len(asked) == once > 0
    assert second.disks == first.disks
    assert first.uptime_s is not None
    assert second.uptime_s is not None
    assert second.uptime_s > first.uptime_s


def test_a_failed_disk_costs_the_disks_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: str) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(psutil, "disk_usage", broken)
    reading = Sampler().sample()
    assert reading.disks == ()
    assert reading.memory_total
    assert [problem.partition(":")[0] for problem in reading.problems] == ["disks"]
