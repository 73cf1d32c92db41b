"""The engine's end of the process that reads documents: asking it, and ending it when it is stuck.

What it reads may be made to break it: a file costs itself alone. What hangs in the kernel cannot be
ended; it is left behind, and nothing else is asked of that folder until it has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from engine.contract.base import visible
from engine.contract.errors import Failed
from engine.worker.frames import Frame, to_text
from engine.worker.process import Worker, WorkerFailed

MODULE = "engine.recall.reader"
_WORKING = 20
"""A reader that had a processor for a second in so many did more than wait for the disk."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading may take: ``file_s`` (seconds) and ``memory_mib`` for one file; ``stall_s``: so
    long a disk may say nothing. ``files`` of a folder at most."""

    file_s: float = 180.0
    memory_mib: int = 768
    stall_s: float = 30.0
    files: int = 50_000


class Lost(Failed):
    """The folder is ``missing``, ``unreadable``, or a ``file``."""

    def __init__(self, state: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.state = state


class _Process(Worker):
    WHAT: ClassVar[str] = "The process that reads documents"
    HINT: ClassVar[str] = "What it had read is kept. The next look goes on."


class Reader:
    """Starts the process when it is needed, and again where it was ended. One command at a time."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._process: _Process | None = None
        self._hangs: dict[bytes, _Process] = {}
        self._worked = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def probe(self, path: bytes, within_s: float | None = None) -> Frame:
        """What is at the path. Raises Lost."""
        return await self.ask({"do": "probe", "path": to_text(path)}, path, within_s)

    async def walk(self, root: bytes) -> Frame:
        """Raises Lost, WorkerFailed."""
        return await self.ask(
            {"do": "walk", "root": to_text(root), "most": self.bounds.files}, root
        )

    async def ask(self, command: Frame, root: bytes, within_s: float | None = None) -> Frame:
        """The answer of a command that has but one. Raises as ``answers`` does."""
        async for frame in self.answers(command, root, within_s):
            if frame["k"] == "done":
                return frame
        raise AssertionError("answers end with done")

    async def answers(
        self, command: Frame, root: bytes, within_s: float | None = None
    ) -> AsyncIterator[Frame]:
        """The frames of an answer up to and with ``done``, beats left out.

        ``within_s``: silence that is too long. Raises Lost, also where the disk hangs, and
        WorkerFailed where the process died.
        """
        limit = self.bounds.stall_s if within_s is None else within_s
        self._refuse_hanging(root)
        process = await self._started()
        whole = False
        try:
            await process.send(command)
            while not whole:
                async with asyncio.timeout(limit):
                    frame = await process.receive()
                whole = frame["k"] in {"done", "failed"}
                if frame["k"] == "failed":
                    raise Lost(str(frame["code"]), visible(str(frame["message"])))
                if frame["k"] != "beat":
                    yield frame
        except TimeoutError:
            raise Lost("unreadable", f"the disk did not answer for {limit:.0f} s") from None
        finally:
            if not whole:  # It would go on with what nobody waits for.
                await self._end(root)

    async def rows(self, command: Frame, root: bytes) -> list[Any]:
        """The rows of a whole answer. Raises as ``answers`` does."""
        found: list[Any] = []
        async for frame in self.answers(command, root):
            found += frame.get("rows", ())
        return found

    async def read(self, root: bytes, path: bytes) -> tuple[Frame, list[str]]:
        """One file: the closing frame (``problem``: why it could not be read), and its passages.

        Raises Lost where the folder is away, or its disk hangs.
        """
        try:
            return await self._read(root, path)
        except WorkerFailed:
            pass  # Somebody may have ended it. Is it the file's doing, it does so again.
        try:
            return await self._read(root, path)
        except WorkerFailed as error:
            return _given_up(f"nothing reads it: {error.message.removesuffix('.')}"), []

    async def _read(self, root: bytes, path: bytes) -> tuple[Frame, list[str]]:
        seconds = self.bounds.file_s
        process = await self._started()
        used = _processor_time(process.pid)
        command = {"do": "read", "root": to_text(root), "path": to_text(path), "seconds": seconds}
        rows: list[str] = []
        frame: Frame = {}
        try:
            async with asyncio.timeout(seconds):
                async for frame in self.answers(command, root, seconds + 1):
                    rows += frame.get("rows", ())
        except TimeoutError:
            if self._worked - used < seconds / _WORKING:
                raise Lost("unreadable", f"the disk did not answer for {seconds:.0f} s") from None
            return _given_up(f"given up after {seconds:.0f} s"), []
        if frame["spent"]:
            await self.close()
        return frame, rows

    # --- the process ----------------------------------------------------------------------------

    async def _started(self) -> _Process:
        if self._process is not None and not self._process.alive:
            await self.close()
        if self._process is None:
            self._process = await _Process.start(MODULE, [str(self.bounds.memory_mib)])
        return self._process

    async def _end(self, root: bytes) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._worked = _processor_time(process.pid)
        await process.kill()
        if process.alive:
            self._hangs[root] = process

    def _refuse_hanging(self, root: bytes) -> None:
        process = self._hangs.get(root)
        if process is not None and process.alive:
            raise Lost("unreadable", "the disk does not answer")
        self._hangs.pop(root, None)


def _given_up(problem: str) -> dict[str, Any]:
    return {"k": "done", "problem": problem, "lasting": True, "gone": False}


def _processor_time(pid: int) -> float:
    """Seconds that the process has worked; 0 where it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
