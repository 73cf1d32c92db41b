"""One sample of the machine's gauges. Blocking: runs in a thread.

What cannot be read is None with its reason among the problems, never zero.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil

from engine.contract.base import visible
from engine.contract.telemetry import Disk

T = TypeVar("T")
_MOST_DISKS = 32
_SLOW_S = 10.0
"""So long what moves slowly is not read again."""


@dataclass(slots=True)
class Reading:
    """What one sample found. Units as in ``telemetry.Gauges``."""

    cpu: float | None = None
    load: tuple[float, float, float] | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    swap_used: int | None = None
    disks: tuple[Disk, ...] = ()
    net_down: float | None = None
    net_up: float | None = None
    uptime_s: float | None = None
    engine_cpu: float | None = None
    engine_memory: int | None = None
    problems: list[str] = field(default_factory=list)


class Sampler:
    """Rates are between one sample and the next; the first has none."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._traffic: tuple[float, int, int] | None = None
        self._mounts: tuple[str, ...] = ()
        self._mounts_read_at = 0.0
        self._slow = Reading()
        self._slow_read_at = -_SLOW_S
        psutil.cpu_percent()
        self._process.cpu_percent()

    def sample(self) -> Reading:
        if time.monotonic() - self._slow_read_at >= _SLOW_S:
            self._slow_read_at, self._slow = time.monotonic(), self._slowly()
        slow = self._slow
        reading = Reading(swap_used=slow.swap_used, disks=slow.disks, problems=list(slow.problems))
        if slow.uptime_s is not None:
            reading.uptime_s = slow.uptime_s + time.monotonic() - self._slow_read_at
        reading.cpu = self._try(reading, "cpu", psutil.cpu_percent)
        reading.load = self._try(reading, "load", os.getloadavg)
        memory: Any = self._try(reading, "memory", psutil.virtual_memory)
        if memory is not None:
            reading.memory_used, reading.memory_total = (
                memory.total - memory.available,
                memory.total,
            )
        rates = self._try(reading, "network", self._rates)
        if rates is not None:
            reading.net_down, reading.net_up = rates
        reading.engine_cpu = self._try(reading, "engine", self._process.cpu_percent)
        own: Any = self._try(reading, "engine", self._process.memory_info)
        reading.engine_memory = None if own is None else own.rss
        return reading

    def _slowly(self) -> Reading:
        """What moves slowly: swap, disks, and since when the machine is up."""
        reading = Reading()
        swap: Any = self._try(reading, "swap", psutil.swap_memory)
        reading.swap_used = None if swap is None else swap.used
        reading.disks = self._try(reading, "disks", self._disks) or ()
        booted = self._try(reading, "uptime", psutil.boot_time)
        reading.uptime_s = None if booted is None else max(0.0, time.time() - booted)
        return reading

    def _try(self, reading: Reading, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (OSError, RuntimeError, psutil.Error) as error:
            reading.problems.append(f"{what}: {visible(str(error))}")
            return None

    def _disks(self) -> tuple[Disk, ...]:
        if not self._mounts or time.monotonic() - self._mounts_read_at > 60:
            self._mounts_read_at = time.monotonic()
            by_device: dict[str, str] = {}
            for part in psutil.disk_partitions(all=False):
                # Of several mounts of one device the shortest path is the one people mean.
                known = by_device.get(part.device)
                if part.fstype not in {"squashfs", "iso9660"} and (
                    known is None or len(part.mountpoint) < len(known)
                ):
                    by_device[part.device] = part.mountpoint
            self._mounts = tuple(sorted(by_device.values()))[:_MOST_DISKS] or ("/",)
        disks = []
        for mount in self._mounts:
            usage = psutil.disk_usage(mount)
            disks.append(
                Disk(mount=visible(mount), total=usage.total, used=usage.used, free=usage.free)
            )
        return tuple(disks)

    def _rates(self) -> tuple[float, float] | None:
        counters: dict[str, Any] = psutil.net_io_counters(pernic=True)
        down = sum(c.bytes_recv for name, c in counters.items() if name != "lo")
        up = sum(c.bytes_sent for name, c in counters.items() if name != "lo")
        before, self._traffic = self._traffic, (time.monotonic(), down, up)
        if before is None:
            return None
        seconds = max(self._traffic[0] - before[0], 0.001)
        # A counter that wrapped or an interface that left is no negative traffic.
        return max(0.0, (down - before[1]) / seconds), max(0.0, (up - before[2]) / seconds)
