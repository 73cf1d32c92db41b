"""How reading goes on, and the job that it is: progress, pause, cancel."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from engine.contract.base import visible
from engine.contract.errors import Refused
from engine.contract.ports import JobControl
from engine.media.looking import Pace
from engine.media.process import Process
from engine.media.shelf import Shelf
from engine.worker.frames import Frame

_WAIT_S = 0.05


async def checkpoint(control: JobControl, process: Process) -> None:
    """Where the job is paused, so is the worker. Raises Cancelled."""
    waiting = asyncio.ensure_future(control.checkpoint())
    try:
        done, _ = await asyncio.wait({waiting}, timeout=_WAIT_S)
        if done:
            waiting.result()
            return
        await process.pause()
        try:
            await waiting
        finally:
            await process.resume()
    finally:
        if not waiting.done():
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting


class Reading(Protocol):
    """What a library's reading asks of it and tells it."""

    shelf: Shelf

    @property
    def removed(self) -> bool: ...


class LibraryPace:
    """Any pace, for as long as the library is one; its numbers are told as they move."""

    def __init__(self, library: Reading, pace: Pace) -> None:
        self._library, self._pace = library, pace

    async def __call__(self, process: Process, frame: Frame) -> None:
        shelf = self._library.shelf
        if self._library.removed:
            raise Refused(f"{shelf.stored.name} is no library any more.", "Add it again.")
        if "rows" in frame:
            shelf.touch()
        await self._pace(process, frame)


class WalkPace:
    """Tells how many files were met. The total is what was known before, where that is more."""

    def __init__(self, control: JobControl, known: int) -> None:
        self._control, self._known = control, known
        control.progress(0, known or None, "files")

    async def __call__(self, process: Process, frame: Frame) -> None:
        if frame["k"] == "beat":
            files = frame["files"]
            total = max(self._known, files) if self._known else None
            self._control.progress(files, total, "files", _note(frame))
        await checkpoint(self._control, process)


class HashPace:
    """Tells how many bytes were hashed of how many."""

    def __init__(self, control: JobControl, files: int, size: int) -> None:
        self._control, self._files, self._size = control, files, size
        if size:
            control.progress(0, size, "bytes", files=(0, files))

    async def __call__(self, process: Process, frame: Frame) -> None:
        if frame["k"] == "beat":
            files, size = min(frame["files"], self._files), min(frame["bytes"], self._size)
            note = f"{files} of {self._files} files: {_note(frame)}"
            self._control.progress(size, self._size, "bytes", note, files=(files, self._files))
        await checkpoint(self._control, process)


def _note(beat: Frame) -> str:
    return visible(str(beat["where"]))[:200]
