"""How far a plan is that is being made, as events: nobody waits for a list and sees nothing."""

from __future__ import annotations

import time

from engine.contract.remotes import PlanProgressed
from engine.ground import Ground

_EVERY_S = 0.2


class Telling:
    """Implements ``Pace``. A plan is broken off by whoever asked for it, who leaves."""

    def __init__(self, ground: Ground, library: str, remote: str) -> None:
        self._ground = ground
        self._library, self._remote = library, remote
        self._note = ""
        self._began = self._told_at = 0.0

    async def checkpoint(self) -> None:
        """Never waits."""

    def progress(self, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Cheap: told at most a few times a second, and where another part begins."""
        clock = time.monotonic()
        if note != self._note:
            self._note, self._began, self._told_at = note, clock, 0.0
        if clock - self._told_at < _EVERY_S:
            return
        self._told_at = clock
        elapsed = clock - self._began
        event = PlanProgressed(
            library=self._library,
            remote=self._remote,
            files=done,
            total=total,
            rate=done / elapsed if done and elapsed > 0 else None,
            note=note,
            machine=self._ground.machine,
        )
        self._ground.bus.publish(event)
