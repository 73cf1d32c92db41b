"""How long the engine's event loop was late while 100,000 files were scanned."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

from bench.house import CannotMeasure, House, move_in
from bench.keys import FILES, scanning
from bench.table import Aim, Plan, Row, percentile
from bench.tree import plant
from engine.clients.socket import SocketClient
from engine.contract import telemetry

_EVERY_S = 0.5
_WATCHERS = 4
"""Streams side by side, each at its own moments: one alone samples the loop twice a second."""


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "lag")
    tree = plant(plan.scratch / "lag-tree", FILES // 10 if plan.quick else FILES)
    with house.engine():
        idle = house.ask(lambda client: _lags(client, time.monotonic() + 5.0))
        busy: list[float] = []
        for _ in range(max(1, plan.rounds // 3)):
            busy += _scan(house, tree)
    if not busy:
        raise CannotMeasure("the scan ended before the first sample")
    samples = {"ours": tuple(busy), "idle": tuple(idle)}
    note = f"{len(busy)} samples; idle p99 {percentile(idle, 0.99):.1f} ms"
    return [
        Row(
            "loop lag while scanning, p99",
            "ms",
            percentile(busy, 0.99),
            aim=Aim(10),
            note=note,
            samples=samples,
        ),
        Row("loop lag while scanning, worst", "ms", max(busy)),
    ]


def _scan(house: House, tree: Path) -> list[float]:
    until = time.monotonic() + 90.0
    with scanning(house, tree) as scan:
        return house.ask(lambda client: _lags(client, until, scan), within_s=120.0)


async def _lags(
    client: SocketClient, until: float, scan: subprocess.Popen[bytes] | None = None
) -> list[float]:
    """The lags in milliseconds, until the time is over or the scan has ended."""

    async def watch(number: int) -> list[float]:
        await asyncio.sleep(number * _EVERY_S / _WATCHERS)
        lags: list[float] = []
        request = telemetry.WatchGauges(every_s=_EVERY_S)
        async with client.stream(telemetry.WATCH, request) as samples:
            async for sample in samples:
                if time.monotonic() > until or (scan is not None and scan.poll() is not None):
                    break
                if sample.loop_lag_ms is not None:
                    lags.append(sample.loop_lag_ms)
        return lags

    found = await asyncio.gather(*(watch(number) for number in range(_WATCHERS)))
    return [lag for lags in found for lag in lags]
