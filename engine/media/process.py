"""The engine's end of a worker process: starting it, hearing it, and ending it when it is stuck."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Failed, Unavailable
from engine.media import frames
from engine.media.frames import Frame

STALL_S = 60.0
"""A disk may need half a minute to wake up. Silence longer than this is a disk that hangs."""

_ERRORS_KEPT = 4096


class WorkerFailed(Failed):
    """The worker died, or was ended because it was stuck."""


class Lost(Failed):
    """The root is ``missing`` or ``unreadable``."""

    def __init__(self, code_of_loss: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.loss = code_of_loss


class Process:
    """A child that speaks frames: in a session of its own (the terminal's Ctrl-C is not for it)."""

    def __init__(self, child: asyncio.subprocess.Process, stall_s: float) -> None:
        self._child = child
        self._stall_s = stall_s
        self._errors = b""
        self._draining = asyncio.create_task(self._drain())
        self._moved = time.monotonic()
        self._ticks = -1
        self.paused = False

    @classmethod
    async def start(cls, module: str, stall_s: float = STALL_S) -> Process:
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # Never import from the folder that the user happens to stand in.
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise Unavailable(
                f"A worker process could not be started: {error.strerror or error}.",
                "Is the machine out of memory or processes?",
            ) from error
        return cls(child, stall_s)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.returncode is None

    async def _drain(self) -> None:
        assert self._child.stderr is not None
        while data := await self._child.stderr.read(_ERRORS_KEPT):
            self._errors = (self._errors + data)[-_ERRORS_KEPT:]

    async def send(self, frame: Frame) -> None:
        assert self._child.stdin is not None
        with suppress(ConnectionError):  # Said by the next ``receive``, with the reason.
            self._child.stdin.write(frames.encode(frame))
            await self._child.stdin.drain()

    async def receive(self) -> Frame:
        """The next frame. Raises WorkerFailed where the child is dead."""
        assert self._child.stdout is not None
        try:
            header = await self._child.stdout.readexactly(frames.HEADER.size)
            body = await self._child.stdout.readexactly(frames.size_of(header))
            frame: Frame = json.loads(body)
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise await self._death() from error
        return frame

    async def _death(self) -> WorkerFailed:
        await self.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._draining), 1)
        code = self._child.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        lines = self._errors.decode("utf-8", "replace").strip().splitlines()
        last = f": {visible(lines[-1])[:200]}" if lines else ""
        return WorkerFailed(
            f"The process that reads the disk ended ({how}){last}.",
            "What it had read is kept. Scan again.",
        )

    async def answers(self, command: Frame) -> AsyncIterator[Frame]:
        """Sends a command; yields its frames up to and with ``done``.

        Raises Lost, WorkerFailed; also where nothing moved for ``stall_s`` (the child is killed).
        """
        await self.send(command)
        self._moved = time.monotonic()
        self._ticks = -1
        while True:
            try:
                frame = await asyncio.wait_for(self.receive(), self._stall_s)
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
        elif time.monotonic() - self._moved > self._stall_s:
            raise await self._stalled()

    async def _stalled(self) -> WorkerFailed:
        await self.kill()
        return WorkerFailed(
            f"The disk did not answer for {self._stall_s:.0f} s; the reading was given up.",
            "Is it a network share that is gone, or a disk that fails? Then scan again.",
        )

    async def _failure(self, frame: Frame) -> ArcanumError:
        await self.kill()
        message = visible(str(frame["message"]))
        if frame["code"] == "catalogue":
            return WorkerFailed(f"The catalogue could not be read: {message}.", "Scan again.")
        return Lost(str(frame["code"]), message, "")

    async def pause(self) -> None:
        self.paused = True
        await self.send({"do": "pause"})

    async def resume(self) -> None:
        await self.send({"do": "resume"})
        self.paused = False

    async def kill(self) -> None:
        """Ends it now. A child that hangs in the kernel is left behind: it cannot be waited for."""
        if self._child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._child.wait(), 2)
        self._draining.cancel()
