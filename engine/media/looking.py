"""What a worker finds, into the catalogue: looks at a library, and the hashing of what is pending.

Reading and writing overlap, but little waits: a worker that is faster than the disk under the
catalogue is held back by its pipe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from engine.contract.ports import TRASH_FOLDER
from engine.media.catalogue import Files, Stored
from engine.media.handover import Handover
from engine.media.process import STALL_S, CutShort, Process
from engine.media.root import Root
from engine.media.walk import MOST_PROBLEMS
from engine.worker.frames import Frame, to_bytes, to_text

_log = logging.getLogger(__name__)
_LINGER_S = 15.0
"""Files seldom come alone, and from a cold disk a worker takes a third of a second to start."""
_DRIFT_KEPT = 10_000

MOST_ROWS = 10_000
"""So many are written in one transaction at most: other writers of the catalogue wait for it."""

Pace = Callable[[Process, Frame], Awaitable[None]]
"""Called after each frame: tells progress, waits while paused, raises Cancelled."""


async def at_ease(_process: Process, _frame: Frame) -> None:
    """Nobody follows."""


@dataclass(slots=True)
class Tally:
    """What a look, or the hashing, found. ``came``: of those moved, from another library.
    ``touched`` holds the first of the paths that differ.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    came: int = 0
    removed: int = 0
    hashed: int = 0
    hashed_bytes: int = 0
    unreadable: int = 0
    skipped: int = 0
    left: int = 0
    problems: list[tuple[bytes, str]] = field(default_factory=list)
    unseen: list[tuple[bytes, str]] = field(default_factory=list)
    again: list[bytes] = field(default_factory=list)
    touched: list[bytes] = field(default_factory=list)

    @property
    def differences(self) -> int:
        return self.added + self.changed + self.moved + self.removed

    def touch(self, paths: Sequence[str]) -> None:
        room = _DRIFT_KEPT - len(self.touched)
        self.touched.extend(to_bytes(path) for path in paths[:room])


class Write(NamedTuple):
    """Rows, and what writes them. Those of one ``kind`` may be written together."""

    kind: str
    rows: list[Any]
    put: Callable[[list[Any]], Coroutine[Any, Any, None]]


class Writes:
    """In order, one transaction after the other, each with what came while the last was written.

    Who is alone is written at once. Where rows come faster than they are written they go together:
    a page of an index that many of them change is then written once for all of them.
    """

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    async def put(self, write: Write) -> None:
        """Waits while two wait already. Raises what an earlier one raised."""
        last = self._waiting[-1] if self._waiting else None
        together = last is not None and last.kind == write.kind
        if last is not None and together and len(last.rows) + len(write.rows) <= MOST_ROWS:
            last.rows.extend(write.rows)
        else:
            self._waiting.append(write)
        self._check()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        while len(self._waiting) > 1:
            self._moved.clear()
            await self._moved.wait()
            self._check()

    def _check(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    async def _write(self) -> None:
        try:
            while self._waiting:
                write = self._waiting.popleft()
                self._moved.set()
                await write.put(write.rows)
        finally:
            self._moved.set()

    async def finish(self) -> None:
        """Returns once everything is written."""
        if self._task is not None:
            await self._task

    async def abandon(self) -> None:
        """After a failure: what was begun is still ended, what it raises is not news."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


class Workers:
    """Lends worker processes. One that is done waits a little while for the next look."""

    def __init__(self, stall_s: float = STALL_S) -> None:
        self.stall_s = stall_s
        self._idle: Process | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Process]:
        """A worker for one use. One that failed, or whose user did, is ended."""
        process, self._idle = self._idle, None
        if process is None or not process.alive:
            process = await Process.start("engine.media.worker")
            process.stall_s = self.stall_s
        try:
            yield process
        except BaseException:
            await process.kill()
            raise
        await self._keep(process)

    async def _keep(self, process: Process) -> None:
        if self._idle is not None:
            await process.kill()
            return
        self._idle = process
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self._retire)

    def _retire(self) -> None:
        task = asyncio.create_task(self._end_idle())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        await self._end_idle()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _end_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        process, self._idle = self._idle, None
        if process is not None:
            await process.kill()


class Reader:
    """Looks at one library, and hashes it. ``hashed`` hears of each step: files, bytes;
    ``elsewhere`` of files of other libraries (None: all) to be looked at, since links to them came
    or went here.
    """

    def __init__(
        self,
        files: Files,
        workers: Workers,
        library: Stored,
        threads: int,
        *,
        handover: Handover,
        hashed: Callable[[int, int], None],
        elsewhere: Callable[[int, Sequence[bytes] | None], None],
    ) -> None:
        self._handover, self._hashed, self._elsewhere = handover, hashed, elsewhere
        self._files = files
        self._workers = workers
        self._library = library
        self._threads = threads
        self._settled, self._mapped = False, True

    def _command(self, do: str, **values: Any) -> Frame:
        return {
            "do": do,
            "catalogue": self._files.uri,
            "library": self._library.id,
            "root": to_text(self._library.root),
            "threads": self._threads,
            "hashes": self._files.hashes,
            **values,
        }

    async def look(
        self,
        paths: Sequence[bytes] | None,
        pace: Pace = at_ease,
        *,
        hashing: bool = True,
        as_it_is: bool = False,
    ) -> Tally:
        """Everything (None), or the files and folders at these relative paths. ``hashing``: what
        differs is hashed on the way, as far as that holds nothing up. ``as_it_is``: whatever lies
        at the root's place is the library.

        Raises Lost where the root is not there, WorkerFailed, StoreFailed, and what ``pace`` does.
        """
        if paths is None or not self._settled:
            await self._handover.settle(self._library)
            self._settled = True
        known = (await self._files.numbers(self._library.id)).root
        command = self._command(
            "look",
            paths=None if paths is None else [to_text(path) for path in paths],
            expect=known,
            as_it_is=as_it_is,
            skip=to_text(TRASH_FOLDER),
            inner=[to_text(path) for path in self._handover.nesting.inner(self._library.id)],
            hashing=hashing,
        )
        tally, started = Tally(), time.time_ns()

        def take(frame: Frame) -> Write | None:
            return self._take_look(frame, tally, known, started)

        await self._follow(command, take, pace)
        return tally

    async def hash(self, settle_s: float, pace: Pace = at_ease, *, mib_s: float = 0) -> Tally:
        """Hashes what is pending, so much a second (0: no limit). Raises as ``look`` does.

        Where the worker dies of a mapped file another goes on, and from then on files of this
        library are read: that fails with an error, and with the name of the file.
        """
        tally = Tally()
        values = {"settle_s": settle_s, "mib_s": mib_s}
        if self._mapped:
            try:
                await self._hash(self._command("hash", mapped=True, **values), tally, pace)
            except CutShort as error:
                _log.warning("%s: %s Nothing is mapped now.", self._library.name, error.message)
                self._mapped = False
                # What was handed over is written; the rest is met, and told, once more.
                tally = Tally(hashed=tally.hashed, hashed_bytes=tally.hashed_bytes)
            else:
                return tally
        await self._hash(self._command("hash", mapped=False, **values), tally, _onward(pace, tally))
        return tally

    async def _hash(self, command: Frame, tally: Tally, pace: Pace) -> None:
        def take(frame: Frame) -> Write | None:
            return self._take_hash(frame, tally)

        await self._follow(command, take, pace)

    async def _follow(
        self,
        command: Frame,
        take: Callable[[Frame], Write | None],
        pace: Pace,
    ) -> None:
        writes = Writes()
        try:
            async with self._workers.lend() as process:
                async for frame in process.answers(command):
                    write = take(frame)
                    if write is not None:
                        await writes.put(write)
                    await pace(process, frame)
                await writes.finish()
        except BaseException:
            await writes.abandon()
            raise

    def _count(self, tally: Tally, sizes: list[int]) -> None:
        tally.hashed += len(sizes)
        tally.hashed_bytes += sum(sizes)
        self._hashed(len(sizes), sum(sizes))

    def _take_look(
        self, frame: Frame, tally: Tally, known: Root | None, started: int
    ) -> Write | None:
        library, files, rows = self._library.id, self._files, frame.get("rows", [])
        match frame["k"]:
            case "root" if known != (root := Root(*frame["root"])):
                return Write("root", [], lambda _rows: files.put_root(library, known, root))
            case "added" | "changed" as kind:
                if kind == "added":
                    tally.added += len(rows)
                else:
                    tally.changed += len(rows)
                tally.touch([row[0] for row in rows])
                self._count(tally, [row[3] for row in rows if row[7] is not None])
                put = partial(files.put, library, changed=kind == "changed")
                return Write(kind, rows, put)
            case "moved" | "came" as kind:
                tally.moved += len(rows)
                tally.came += len(rows) if kind == "came" else 0
                tally.touch([row[1] for row in rows])
                return Write(kind, rows, partial(files.move, library, came=kind == "came"))
            case "gone":
                tally.removed += len(rows)
                tally.touch([row[1] for row in rows])
                ids = [row[0] for row in rows]
                return Write("gone", ids, partial(files.remove, library, before=started))
            case "elsewhere":
                self._tell_elsewhere(rows)
            case "done":
                tally.unreadable, tally.skipped = frame["unreadable"], frame["skipped"]
                tally.problems = [(to_bytes(path), why) for path, why in frame["problems"]]
                tally.unseen = [(to_bytes(path), why) for path, why in frame["unseen"]]
        return None

    def _tell_elsewhere(self, rows: list[Any]) -> None:
        places: dict[int, list[bytes] | None] = {}
        for library, path in rows:
            known = places.setdefault(library, [])
            if path is None:
                places[library] = None
            elif known is not None:
                known.append(to_bytes(path))
        for library, paths in places.items():
            self._elsewhere(library, paths)

    def _take_hash(self, frame: Frame, tally: Tally) -> Write | None:
        rows = frame.get("rows", [])
        match frame["k"]:
            case "hashed":
                self._count(tally, [row[2] for row in rows])
                return Write("hashed", rows, partial(self._files.put_hashes, self._library.id))
            case "again":
                tally.again.extend(to_bytes(row[0]) for row in rows)
            case "unread":
                tally.unreadable += len(rows)
                room = MOST_PROBLEMS - len(tally.problems)
                tally.problems.extend((to_bytes(row[0]), row[1]) for row in rows[:room])
                return Write("unread", rows, partial(self._files.put_unread, self._library.id))
            case "done":
                tally.left = frame["left"]
        return None


def _onward(pace: Pace, tally: Tally) -> Pace:
    """Counts on where the worker before had come to."""
    files, size = tally.hashed, tally.hashed_bytes

    async def onward(process: Process, frame: Frame) -> None:
        if frame["k"] == "beat":
            frame = {**frame, "files": frame["files"] + files, "bytes": frame["bytes"] + size}
        await pace(process, frame)

    return onward
