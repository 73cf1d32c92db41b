"""Telemetry: this machine's gauges and the engine's own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from engine.contract.base import Empty, Wire
from engine.contract.operation import Kind, Limits, Operation


class Disk(Wire):
    """One file system. Bytes."""

    mount: str
    total: int
    used: int
    free: int


class Queue(Wire):
    """A bounded queue inside the engine."""

    name: str
    depth: int
    bound: int


class Gauges(Wire):
    """One sample. Percentages 0–100 of the whole machine; rates in bytes per second.

    None means that it could not be read: unknown, not zero. ``problems`` says why.
    """

    at: datetime
    machine: str
    cpu: float | None
    cpu_count: int
    load: tuple[float, float, float] | None
    memory_used: int | None
    memory_total: int | None
    swap_used: int | None
    disks: tuple[Disk, ...]
    net_down: float | None
    net_up: float | None
    uptime_s: float | None
    engine_cpu: float | None
    engine_memory: int | None
    loop_lag_ms: float | None
    queues: tuple[Queue, ...] = ()
    model_state: str = ""
    problems: tuple[str, ...] = ()


class WatchGauges(Wire):
    every_s: Annotated[float, Field(ge=0.5, le=60, description="seconds between samples")] = 1.0


class Metrics(Wire):
    """Prometheus text exposition format, version 0.0.4."""

    text: str


NOW = Operation("telemetry.now", "This machine's gauges, once", Empty, Gauges)
WATCH = Operation(
    "telemetry.watch",
    "This machine's gauges, as long as somebody looks",
    WatchGauges,
    Empty,
    kind=Kind.STREAM,
    item=Gauges,
    limits=Limits(timeout_s=None),
)
METRICS = Operation(
    "telemetry.metrics", "The engine's metrics, in Prometheus' format", Empty, Metrics
)
