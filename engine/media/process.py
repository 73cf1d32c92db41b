"""The engine's end of a process that reads a disk: hearing it, and ending it when it is stuck."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import ClassVar

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Failed
from engine.worker.frames import Frame
from engine.worker.process import Worker, WorkerFailed

STALL_S = 60.0
"""A disk may need half a minute to wake up. Silence longer than this is a disk that hangs."""

__all__ = ["STALL_S", "CutShort", "Lost", "Process", "WorkerFailed"]


class Lost(Failed):
    """The root is ``missing``, ``another`` or ``unreadable``."""

    def __init__(self, code_of_loss: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.loss = code_of_loss


class CutShort(WorkerFailed):
    """It died of a mapped file that was cut short, or that its disk cannot read (SIGBUS)."""


class Process(Worker):
    """``stall_s`` may be set before the first command."""

    WHAT: ClassVar[str] = "The process that reads the disk"
    HINT: ClassVar[str] = "What it had read is kept. Scan again."

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        super().__init__(child)
        self.stall_s = STALL_S
        self._moved = time.monotonic()
        self._ticks = -1
        self.paused = False

    async def answers(self, command: Frame) -> AsyncIterator[Frame]:
        """Sends a command; yields its frames up to and with ``done``.

        Raises Lost, WorkerFailed; also where nothing moved for ``stall_s`` (the child is killed).
        """
        await self.send(command)
        self._moved = time.monotonic()
        self._ticks = -1
        while True:
            try:
                async with asyncio.timeout(self.stall_s):
                    frame = await self.receive()
            except TimeoutError:
                raise await self._stalled() from None
            if frame["k"] == "beat":
                await self._check(frame)
            else:
                self._moved = time.monotonic()
            if frame["k"] == "failed":
                raise await self._failure(frame)
            handed = time.monotonic()
            yield frame
            if frame["k"] == "done":
                return
            self._moved += time.monotonic() - handed  # What the listener took is not the child's.

    async def _check(self, beat: Frame) -> None:
        if beat["ticks"] != self._ticks or self.paused:
            self._ticks = beat["ticks"]
            self._moved = time.monotonic()
        elif time.monotonic() - self._moved > self.stall_s:
            raise await self._stalled()

    async def _stalled(self) -> WorkerFailed:
        await self.kill()
        return WorkerFailed(
            f"The disk did not answer for {self.stall_s:.0f} s; the reading was given up.",
            "Is it a network share that is gone, or a disk that fails? Then scan again.",
        )

    async def _failure(self, frame: Frame) -> ArcanumError:
        await self.kill()
        message = visible(str(frame["message"]))
        if frame["code"] == "catalogue":
            return WorkerFailed(f"The catalogue could not be read: {message}.", "Scan again.")
        return Lost(str(frame["code"]), message, "")

    async def _death(self) -> WorkerFailed:
        failed = await super()._death()
        if self.code == -signal.SIGBUS:
            return CutShort(failed.message, failed.hint)
        return failed

    async def pause(self) -> None:
        self.paused = True
        await self.send({"do": "pause"})

    async def resume(self) -> None:
        await self.send({"do": "resume"})
        self.paused = False
