"""How long the engine's event loop was late while 100,000 files were scanned."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.house import CannotMeasure, House, environment, move_in
from bench.keys import FILES, scanning
from bench.table import Aim, Plan, Row, versus
from bench.tree import plant
from engine.clients.socket import SocketClient
from engine.contract import telemetry

BARE = """
import asyncio, sys, time
async def watch(number):
    await asyncio.sleep(number * 0.125)
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.5
        await asyncio.sleep(0.5)
        print((loop.time() - due) * 1000, flush=True)
async def main():
    await asyncio.gather(*(watch(number) for number in range(4)))
asyncio.run(main())
"""
_EVERY_S = 0.5
_WATCHERS = 4
"""Streams side by side, each at its own moments: one alone samples the loop twice a second."""


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "lag")
    tree = plant(plan.scratch / "lag-tree", FILES // 10 if plan.quick else FILES)
    busy: list[float] = []
    bare: list[float] = []
    with house.engine():
        time.sleep(3.0)  # Its services start one after another.
        for _ in range(1 if plan.quick else plan.rounds):
            with _bare(bare):
                busy += _scan(house, tree)
    if not busy or not bare:
        raise CannotMeasure("the scan ended before the first sample")
    name = "bare loop, same time"
    return [
        versus(
            "loop lag while scanning, p99",
            "ms",
            busy,
            bare,
            peer_name=name,
            aim=Aim(10),
            share=0.99,
            note=f"{len(busy)} samples",
        ),
        versus("loop lag while scanning, p50", "ms", busy, bare, peer_name=name),
    ]


@contextmanager
def _bare(lags: list[float]) -> Iterator[None]:
    """An event loop that does nothing, beside the engine: what the machine alone does to one."""
    process = subprocess.Popen(
        [sys.executable, "-c", BARE], env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        yield
    finally:
        process.kill()
        said, _ = process.communicate()
        lags += [float(line) for line in said.splitlines()]


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
