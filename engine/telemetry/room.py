"""Gauges as long as somebody looks, and the metrics. Nothing is sampled while nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import psutil

from engine.contract import telemetry
from engine.contract.base import Empty, now
from engine.contract.call import Call
from engine.contract.ports import Models
from engine.contract.telemetry import Gauges, Queue, WatchGauges
from engine.ground import Ground
from engine.telemetry.sampler import Reading, Sampler

_SAMPLE_WITHIN_S = 5.0
_INTERVAL_S = 0.1
"""Percentages are of an interval: a shorter first one would tell of itself alone."""


class TelemetryRoom:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def start(self) -> None:
        door = self._ground.door
        door.unary(telemetry.NOW, self._now)
        door.unary(telemetry.METRICS, self._metrics)
        door.stream(telemetry.WATCH, self._watch)

    async def stop(self) -> None:
        """Nothing to end: what watches ends with who looks."""

    async def _now(self, _request: Empty, _call: Call) -> Gauges:
        sampler = await asyncio.to_thread(Sampler)
        await self._read(sampler)
        await asyncio.sleep(_INTERVAL_S)
        return await self._read(sampler)

    @asynccontextmanager
    async def _watch(
        self, request: WatchGauges, _call: Call
    ) -> AsyncIterator[AsyncIterator[Gauges]]:
        async def samples() -> AsyncGenerator[Gauges, None]:
            sampler = await asyncio.to_thread(Sampler)
            await asyncio.sleep(_INTERVAL_S)
            loop = asyncio.get_running_loop()
            lag: float | None = None
            while True:
                yield await self._read(sampler, lag)
                due = loop.time() + request.every_s
                await asyncio.sleep(request.every_s)
                lag = max(0.0, (loop.time() - due) * 1000)

        async with aclosing(samples()) as items:
            yield items

    async def _read(self, sampler: Sampler, lag: float | None = None) -> Gauges:
        try:
            async with asyncio.timeout(_SAMPLE_WITHIN_S):
                reading = await asyncio.to_thread(sampler.sample)
        except TimeoutError:
            # A dead network mount can hang statvfs for ever; the thread is left to it.
            reading = Reading(problems=[f"no answer within {_SAMPLE_WITHIN_S:g} s"])
        return Gauges(
            at=now(),
            machine=self._ground.machine,
            cpu=reading.cpu,
            cpu_count=psutil.cpu_count() or 1,
            load=reading.load,
            memory_used=reading.memory_used,
            memory_total=reading.memory_total,
            swap_used=reading.swap_used,
            disks=reading.disks,
            net_down=reading.net_down,
            net_up=reading.net_up,
            uptime_s=reading.uptime_s,
            engine_cpu=reading.engine_cpu,
            engine_memory=reading.engine_memory,
            loop_lag_ms=lag,
            queues=tuple(self._queues()),
            model_state=self._model_state(),
            problems=tuple(reading.problems),
        )

    def _model_state(self) -> str:
        if not self._ground.offers(Models):
            return ""
        return self._ground.use(Models).info().state  # type: ignore[type-abstract]

    def _queues(self) -> list[Queue]:
        queues = []
        for name, look in self._ground.queues.items():
            depth, bound = look()
            queues.append(Queue(name=name, depth=depth, bound=bound))
        return queues

    async def _metrics(self, _request: Empty, _call: Call) -> telemetry.Metrics:
        metrics, ground = self._ground.metrics, self._ground
        for queue in self._queues():
            metrics.queue_depth.labels(queue.name).set(queue.depth)
        metrics.commit_seconds.labels("state").set(ground.state.last_commit_s)
        metrics.commit_seconds.labels("catalogue").set(ground.catalogue.last_commit_s)
        return telemetry.Metrics(text=metrics.text())
