"""Small pictures of pictures and films, made by a process with limits.

What breaks it costs one picture.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from engine.contract.base import visible
from engine.contract.errors import NotFound
from engine.contract.listing import AskThumbnail, Thumbnail
from engine.store import Database
from engine.worker.frames import Frame, to_text
from engine.worker.numbers import unsigned
from engine.worker.process import Worker, WorkerFailed

_MODULE = "engine.media.listing.painter"
_MEMORY_MIB = 1024
_WITHIN_S = 8.0
_IDLE_S = 60.0
_FIND = "SELECT * FROM file WHERE id = ?"


class _Painter(Worker):
    WHAT: ClassVar[str] = "The process that makes small pictures"
    HINT: ClassVar[str] = "The file may be broken."


class Thumbnails:
    """The process is started when it is needed, and ended when it was not for a while."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._process: _Painter | None = None
        self._lock = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        async with self._lock:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def make(self, roots: Mapping[int, bytes], asked: AskThumbnail) -> Thumbnail:
        """Raises NotFound, StoreFailed; what is wrong with the picture is told."""
        rows = await self._db.read(_FIND, (asked.id,))
        if not rows or rows[0]["library"] not in roots:
            raise NotFound(f"There is no file number {asked.id}.", "arcanum media list names them.")
        row = rows[0]
        if row["kind"] not in {None, "image", "video"}:
            return _none(asked, "it is no picture and no film")
        identity = [unsigned(row["dev"]), unsigned(row["ino"])]
        command = {
            "root": to_text(roots[row["library"]]),
            "path": to_text(row["path"]),
            "identity": [*identity, row["size"], row["mtime_ns"], row["ctime_ns"]],
            "type": row["type"] or "",
            "width": asked.width,
            "height": asked.height,
        }
        async with self._lock:
            return _checked(asked, await self._ask(command))

    async def _ask(self, command: Frame) -> Any:
        if self._rest is not None:
            self._rest.cancel()
        if self._process is None or not self._process.alive:
            self._process = await _Painter.start(_MODULE, [str(_MEMORY_MIB)])
        whole = False
        try:
            await self._process.send(command)
            async with asyncio.timeout(_WITHIN_S):
                found = await self._process.receive()
            whole = True
        except TimeoutError:
            return {"problem": "it takes too long to decode, or its disk does not answer"}
        except WorkerFailed as error:
            return {"problem": error.message}
        finally:
            if not whole:  # It would answer what nobody waits for.
                await self._end()
        self._rest = asyncio.get_running_loop().call_later(_IDLE_S, self._retire)
        return found

    def _retire(self) -> None:
        self._resting = asyncio.create_task(self.close(), name="media:painter")


def _none(asked: AskThumbnail, problem: str) -> Thumbnail:
    return Thumbnail(id=asked.id, width=0, height=0, pixels="", problem=problem)


def _checked(asked: AskThumbnail, told: Any) -> Thumbnail:
    """What the process says is data: it may have been taken over by what it decoded."""
    match told:
        case {"width": int(width), "height": int(height), "pixels": str(pixels)}:
            fits = 0 < width <= asked.width and 0 < height <= asked.height
            try:
                whole = len(base64.b64decode(pixels, validate=True)) == width * height * 3
            except ValueError:
                whole = False
            if fits and whole:
                return Thumbnail(id=asked.id, width=width, height=height, pixels=pixels)
        case {"problem": str(problem)}:
            return _none(asked, visible(problem)[:200])
    return _none(asked, "what decoded it answered nonsense")
