"""Watching: the engine's end of the watcher process. Nothing relies on its hints alone."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from engine.contract.assets import WatchState
from engine.contract.base import visible
from engine.contract.errors import Unavailable
from engine.contract.ports import TRASH_FOLDER
from engine.media.catalogue import Stored
from engine.media.nesting import Nesting
from engine.media.process import Process, WorkerFailed
from engine.worker.frames import Frame, to_bytes, to_text

_log = logging.getLogger(__name__)
_LONGEST_DELAY_S = 60.0
_CATCH_UP_S = 60.0
_LIMIT_HINT = "raise fs.inotify.max_user_watches (sysctl); until then it is polled"

# What another machine changes there, this one's kernel does not tell.
_NETWORK = frozenset(
    {
        *("9p", "afpfs", "afs", "ceph", "cifs", "davfs", "drvfs", "ncpfs", "nfs", "nfs4"),
        *("fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "smb3", "smbfs"),
        *("vboxsf", "virtiofs", "webdav"),
    }
)


class Watched(Protocol):
    """Who is told. Paths are relative to the root; None: anything may have changed."""

    def hint(self, paths: Sequence[bytes] | None) -> None: ...

    def watching(self, state: WatchState, note: str = "") -> None: ...


async def is_network(root: bytes) -> str | None:
    """The kind of the network file system that ``root`` is on; None for a local one.

    Read from the table of mounts: the file system itself, which may hang, is not asked.
    """
    import psutil

    table = await asyncio.to_thread(psutil.disk_partitions, all=True)
    best, kind = b"", ""
    for mount in table:
        point = os.fsencode(mount.mountpoint).rstrip(b"/")
        if (root == point or root.startswith(point + b"/")) and len(point) >= len(best):
            best, kind = point, mount.fstype
    return kind if kind in _NETWORK else None


class Watchers:
    """One process watches all libraries. When it dies it is started again, ever more slowly.

    What lies in a library within, by ``nesting``, is watched for that one alone.
    """

    def __init__(self, nesting: Nesting) -> None:
        self._nesting = nesting
        self._watched: dict[int, tuple[Stored, Watched]] = {}
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked = 0
        self._answers: dict[int, asyncio.Future[bool]] = {}

    async def watch(self, library: Stored, watched: Watched) -> None:
        """Begins; ``watching`` tells how it went."""
        if kind := await is_network(library.root):
            watched.watching("polling", f"it is on a network file system ({kind})")
            return
        self._watched[library.id] = (library, watched)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="media:watch")
        elif self._process is not None:
            await self._ask(self._process, library)

    async def unwatch(self, library: int) -> None:
        if self._watched.pop(library, None) is not None and self._process is not None:
            await self._process.send({"do": "unwatch", "id": library})

    async def renest(self, library: int, *, again: bool) -> bool:
        """Other libraries lie in this one than before. ``again``: some left, so that what happened
        there until now was told to nobody; ``watching`` says when that is over, or ``hint`` that
        it is not. False where nobody is asked to watch it."""
        if library not in self._watched or self._process is None:
            return False
        await self._process.send({"do": "renest", "again": again, **self._inner(library)})
        return True

    def _inner(self, library: int) -> Frame:
        return {
            "id": library,
            "inner": [to_text(path) for path in self._nesting.inner(library)],
        }

    async def catch_up(self) -> bool:
        """True when every hint of what happened until now was told; False where nobody can say."""
        if self._process is None:
            return False
        self._asked += 1
        number = -self._asked  # No library has it.
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._process.send({"do": "catch up", "id": number})
        try:
            async with asyncio.timeout(_CATCH_UP_S):
                return bool(await answer)
        except TimeoutError:
            return False
        finally:
            self._answers.pop(number, None)

    async def stop(self) -> None:
        self._watched.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _ask(self, process: Process, library: Stored) -> None:
        where = {"root": to_text(library.root), **self._inner(library.id)}
        await process.send({"do": "watch", **where})

    async def _run(self) -> None:
        delay = 1.0
        while True:
            try:
                await self._serve()
            except (WorkerFailed, Unavailable) as error:
                _log.warning("watching: %s", error.message)
                for _library, watched in tuple(self._watched.values()):
                    watched.watching("failed", error.message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_S)

    async def _serve(self) -> None:
        process = self._process = await Process.start("engine.media.watcher")
        try:
            how = "inotify" if sys.platform == "linux" else "watchfiles"
            await process.send({"do": "start", "how": how, "skip": to_text(TRASH_FOLDER)})
            for library, _watched in tuple(self._watched.values()):
                await self._ask(process, library)
            while True:
                self._take(await process.receive())
        finally:
            self._process = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(False)
            await process.kill()

    def _take(self, frame: Frame) -> None:
        answer = self._answers.get(frame["id"])
        if answer is not None and not answer.done():
            answer.set_result(True)
        known = self._watched.get(frame["id"])
        if known is None:
            return
        _library, watched = known
        match frame["k"]:
            case "live":
                watched.watching("live")
            case "failed":
                why = visible(str(frame["message"]))
                limit = f": {_LIMIT_HINT}" if "max_user" in why else ""
                watched.watching("failed", why + limit)
            case "hints":
                watched.hint([to_bytes(path) for path in frame["rows"]])
            case "lost":
                watched.hint(None)
