"""Whether the machine has better things to do: on battery, or under load."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from engine.media.process import Process
from engine.worker.frames import Frame

SLOW_MIB_S = 8
"""What unasked reading, and verifying, may read in a second meanwhile."""

_LOOK_EVERY_S = 5.0
_BUSY = 2.0


class Strain(Protocol):
    async def now(self) -> str:
        """Why to hold back, in a few words; empty where there is no reason."""
        ...


class MachineStrain:
    """Asked often, it looks every five seconds."""

    def __init__(self) -> None:
        self._why, self._looked = "", -_LOOK_EVERY_S

    async def now(self) -> str:
        present = time.monotonic()
        if present - self._looked >= _LOOK_EVERY_S:
            self._looked = present
            self._why = await asyncio.to_thread(_look)
        return self._why


def _look() -> str:
    """Our own reading is at most one process a core: twice as many that want one are others'."""
    import psutil

    try:
        battery = psutil.sensors_battery()
        if battery is not None and battery.power_plugged is False:
            return "on battery"
        load = psutil.getloadavg()[0]
    except (OSError, AttributeError, RuntimeError):  # Not every machine can say.
        return ""
    return "the machine is busy" if load > _BUSY * (psutil.cpu_count() or 1) + 1 else ""


class Lightened:
    """A pace of looks: while there is strain, nothing is hashed on the way."""

    def __init__(self, strain: Strain) -> None:
        self._strain, self._hashing = strain, True

    async def first(self) -> bool:
        """Whether to begin with hashing."""
        self._hashing = not await self._strain.now()
        return self._hashing

    async def __call__(self, process: Process, _frame: Frame) -> None:
        before, self._hashing = self._hashing, not await self._strain.now()
        if before != self._hashing:
            await process.send({"do": "hashing", "on": self._hashing})


class Eased:
    """A pace that is slow while there is strain, and else ``full`` (MiB a second; 0: no limit)."""

    def __init__(self, strain: Strain, full: float = 0) -> None:
        self._strain, self._full = strain, full
        self.why = ""
        self._process: Process | None = None

    async def first(self) -> float:
        """What to begin with, in MiB a second."""
        self.why = await self._strain.now()
        return self._rate()

    def _rate(self) -> float:
        return min(SLOW_MIB_S, self._full or SLOW_MIB_S) if self.why else self._full

    async def __call__(self, process: Process, _frame: Frame) -> None:
        before, self.why = self.why, await self._strain.now()
        other = self._process not in (None, process)  # It took over, and was told of none of it.
        self._process = process
        if other or bool(before) != bool(self.why):
            await process.send({"do": "pace", "mib_s": self._rate()})
