"""The copies and syncs that run: one at a time, since they share the line and its limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from engine.contract.errors import ArcanumError, NotFound
from engine.contract.remotes import TransferList
from engine.remotes.rcd import Rcd
from engine.remotes.sending import Sending


class Transfers:
    """``usual``: the limit that the configuration sets, in bytes a second; 0: none."""

    def __init__(self, rcd: Rcd, usual: int) -> None:
        self._rcd = rcd
        self._usual = usual
        self._line = asyncio.Lock()
        self._running: dict[int, Sending] = {}
        self._stopping = False

    @asynccontextmanager
    async def turn(self, sending: Sending, rate: int) -> AsyncIterator[None]:
        """Waits for the line, and has it under the limit of ``rate`` while the context is open."""
        self._running[sending.number] = sending
        if self._stopping:
            sending.stop("the engine was stopped")
        try:
            async with self._line:
                await self.limit(rate)
                try:
                    yield
                finally:
                    with suppress(ArcanumError):
                        await self.limit(self._usual)
        finally:
            del self._running[sending.number]

    def find(self, number: int) -> Sending:
        """Raises NotFound."""
        if number not in self._running:
            raise NotFound(
                f"No copy or sync of approval #{number} runs.",
                "arcanum remotes transfers lists those that do.",
            )
        return self._running[number]

    def told(self) -> TransferList:
        transfers = tuple(one.told() for one in self._running.values())
        return TransferList(transfers=transfers, bandwidth=self._rcd.rate)

    async def limit(self, rate: int) -> None:
        """From now on so many bytes a second; 0: no limit. Raises what rclone says."""
        self._rcd.rate = rate
        if self._rcd.pid is not None:
            async with self._rcd.use() as rc:
                await rc.ask("core/bwlimit", within_s=10.0, rate=f"{rate}B" if rate else "off")

    async def stop(self) -> None:
        """Breaks off what is in flight; returns once all have ended."""
        self._stopping = True
        for one in self._running.values():
            one.stop("the engine was stopped")
        async with self._line:
            pass
