"""Folders that are remembered: which, how they are, and the looks that keep them in step.

A look walks a folder, compares, and reads what differs, in a process of its own. Nothing is
forgotten because a folder is away: only what is gone from a folder that is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from engine.contract import recall
from engine.contract.base import Empty, PathRef, now
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Cancelled, Invalid, NotFound, Refused, Unavailable
from engine.contract.memories import Folder
from engine.contract.ports import Concern, JobControl, Severity
from engine.ground import Ground
from engine.recall import book
from engine.recall.documents import Documents
from engine.recall.looking import Kept, Look, Pace
from engine.recall.reading_process import Bounds, Lost, Reader
from engine.store import Transaction
from engine.worker.failures import told
from engine.worker.frames import to_bytes
from engine.worker.process import WorkerFailed

_log = logging.getLogger(__name__)
_FIRST_S = 2.0
_PROBE_S = 2.0
_FOLDER = (
    "SELECT folder.*, namespace.name AS namespace FROM folder"
    " JOIN namespace ON namespace.id = folder.namespace_id"
)


class Folders:
    """``wake`` is called after each commit that changed memories.

    ``bounds`` and ``first_s`` (seconds until the first look) are for tests.
    """

    def __init__(
        self,
        ground: Ground,
        wake: Callable[[], None],
        bounds: Bounds | None = None,
        first_s: float = _FIRST_S,
    ) -> None:
        self._ground = ground
        self._wake = wake
        self._first_s = first_s
        bounds = bounds or Bounds()
        self._documents = Documents(ground.state, ground.machine)
        self._reader = Reader(bounds)
        self._prober = Reader(bounds)
        self._kept: dict[int, Kept] = {}
        self._looking = asyncio.Lock()
        self._probing = asyncio.Lock()
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        for row in await self._ground.state.read(f"{_FOLDER} ORDER BY folder.id"):
            await self._keep(row)
        self._task = asyncio.create_task(self._run(), name="recall:folders")

    async def stop(self) -> None:
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._reader.close()
        await self._prober.close()

    async def _keep(self, row: Any) -> Kept:
        kept = Kept.of(row)
        kept.count = await self._documents.count(kept.id)
        [last] = await self._ground.state.read(
            "SELECT max(read_at) AS at FROM document WHERE folder_id = ?", (kept.id,)
        )
        kept.read_at = None if last["at"] is None else datetime.fromisoformat(last["at"])
        self._kept[kept.id] = kept
        return kept

    # --- looking --------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._wait(self._first_s)
        while not self._stopping:
            self._due.clear()
            for kept in list(self._kept.values()):
                try:
                    await self._look(kept, self._at_ease)
                except ArcanumError as error:
                    _log.warning("%s: %s", kept.path.display, error.message)
                except Exception as error:  # noqa: BLE001 - a defect costs one look, not the following
                    _log.error("looking at %s: %s", kept.path.display, told(error))
            if not self._kept:
                await self._reader.close()
            await self._wait(self._ground.config.memory.folder_seconds)

    async def _wait(self, seconds: float) -> None:
        """Until it is time, or somebody asks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()

    async def _at_ease(self, _done: int, _total: int | None, _note: str) -> None:
        """Nobody follows a look of our own; it ends with the engine."""
        if self._stopping:
            raise asyncio.CancelledError

    async def _look(self, kept: Kept, pace: Pace, *, again: bool = False) -> None:
        """One look. That the folder is away is told by its state; raises anything else."""
        async with self._looking:
            if kept.removed:
                return
            before = kept.state, kept.why
            look = Look(kept, self._documents, self._reader, self._ground.state, self._wake)
            try:
                await self._run_twice(look, pace, again=again)
            except (Lost, WorkerFailed) as error:
                kept.lose(_state(error), error)
            except Cancelled:
                kept.state, kept.why = before
                raise
            except ArcanumError as error:
                kept.found(error.message)
                raise

    async def _run_twice(self, look: Look, pace: Pace, *, again: bool) -> None:
        """Somebody may have ended the process: it is started anew, once."""
        try:
            await look.run(pace, again=again)
        except WorkerFailed:
            await look.run(pace, again=again)

    # --- operations -----------------------------------------------------------------------------

    async def watch(self, request: recall.WatchFolder, _call: Call) -> Folder:
        root, identity = await self._resolve(_given(request.path))
        self._refuse_own(root)

        async def work(tx: Transaction) -> int:
            for row in await tx.fetch("SELECT path FROM folder"):
                _refuse_overlap(root, row["path"])
            home = await book.make_namespace(tx, request.namespace)
            return await tx.insert(
                "INSERT INTO folder (path, namespace_id, pinned, dev, ino, added_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (root, home, request.pinned, *identity, book.stamp(now())),
            )

        number = await self._ground.state.write(work)
        [row] = await self._ground.state.read(f"{_FOLDER} WHERE folder.id = ?", (number,))
        kept = await self._keep(row)
        self._due.set()
        return kept.shown()

    async def unwatch(self, request: recall.UnwatchFolder, _call: Call) -> recall.Folders:
        kept = await self._find(_given(request.path))
        kept.removed = True  # A look that is under way ends with the file that it is at.
        await asyncio.shield(asyncio.ensure_future(self._remove(kept)))
        return recall.Folders(folders=await self.folders())

    async def _remove(self, kept: Kept) -> None:
        try:
            async with self._looking:
                ids = [row["id"] async for page in self._documents.known(kept.id) for row in page]
                if await self._documents.remove(kept.home, ids):
                    self._wake()

                async def work(tx: Transaction) -> None:
                    await tx.execute("DELETE FROM folder WHERE id = ?", (kept.id,))

                await self._ground.state.write(work)
                del self._kept[kept.id]
        except ArcanumError:
            kept.removed = False  # It is still there, and what went of it is read anew.
            kept.stamp = ""
            raise

    async def sync(self, _request: Empty, control: JobControl) -> recall.Folders:
        """Looks at every folder, and tries again what could not be read."""
        progress = _Progress(control)
        for kept in list(self._kept.values()):
            await control.checkpoint()
            await self._look(kept, progress, again=True)
            progress.next()
        return recall.Folders(folders=await self.folders())

    async def folders(self) -> tuple[Folder, ...]:
        """Every folder. One that was not looked at since the start is asked whether it is there;
        what a look has found stays as it is."""
        for kept in filter(_unknown, list(self._kept.values())):
            await self._is_there(kept)
        names = await self._ground.state.read(f"{_FOLDER} ORDER BY folder.path")
        return tuple(
            self._kept[row["id"]].shown(row["namespace"])
            for row in names
            if row["id"] in self._kept
        )

    async def concerns(self) -> Sequence[Concern]:
        """Folders that are away: what they held is still remembered, and may be out of date."""
        return [
            Concern(Severity.BROKEN, kept.path.display, kept.note or kept.state, link="memory")
            for kept in self._kept.values()
            if kept.state in {"missing", "unreadable"}
        ]

    # --- paths ----------------------------------------------------------------------------------

    async def _is_there(self, kept: Kept) -> None:
        """Asks the disk, and does not wait for one that sleeps."""
        async with self._probing:
            try:
                found = await self._prober.probe(kept.root, _PROBE_S)
            except (Lost, WorkerFailed) as error:
                if _unknown(kept):
                    kept.lose(_state(error), error)
            else:
                if _unknown(kept):
                    kept.seen((found["identity"][0], found["identity"][1]))

    async def _resolve(self, path: bytes) -> tuple[bytes, list[int]]:
        """The folder's path without links, and which folder it is."""
        shown = PathRef.of(path).display
        async with self._probing:
            try:
                found = await self._prober.probe(path)
            except Lost as lost:
                raise _refused(shown, lost) from lost
            finally:
                await self._prober.close()
        return to_bytes(found["path"]), found["identity"]

    async def _find(self, path: bytes) -> Kept:
        """The folder of this path. It may be away: then its path is taken as it was written."""
        by_root = {kept.root: kept for kept in self._kept.values()}
        if path not in by_root:
            with suppress(ArcanumError):
                path = (await self._resolve(path))[0]
        if (kept := by_root.get(path)) is None:
            known = ", ".join(k.path.display for k in by_root.values()) or "none yet"
            raise NotFound(
                f"{PathRef.of(path).display} is not a folder that is remembered.",
                f"Folders: {known}.",
            )
        return kept

    def _refuse_own(self, root: bytes) -> None:
        home = self._ground.home
        for own in (home.data, home.runtime):
            folder = os.path.realpath(os.fsencode(own))
            if _within(root, folder) or _within(folder, root):
                raise Refused(
                    f"{PathRef.of(root).display} holds, or is in, Arcanum's own data"
                    f" ({PathRef.of(folder).display}).",
                    "Name another folder, or move Arcanum's data with ARCANUM_HOME.",
                )


class _Progress:
    """Files read, of all folders together."""

    def __init__(self, control: JobControl) -> None:
        self._control = control
        self._before = self._done = 0

    async def __call__(self, done: int, total: int | None, note: str) -> None:
        self._done = self._before + done
        whole = None if total is None else self._before + total
        self._control.progress(self._done, whole, "files", note)
        await self._control.checkpoint()

    def next(self) -> None:
        """The next folder follows."""
        self._before = self._done


def _unknown(kept: Kept) -> bool:
    """Nothing is known of it; a look may have come to it meanwhile."""
    return kept.state == "waiting"


def _state(error: Lost | WorkerFailed) -> Literal["missing", "unreadable"]:
    found = isinstance(error, Lost) and error.state != "unreadable"
    return "missing" if found else "unreadable"


def _given(path: PathRef) -> bytes:
    """The absolute path that was asked for. Raises Invalid."""
    try:
        data = path.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    if b"\0" in data or not data:
        raise Invalid("A path is not empty and has no NUL in it.", "Name a folder.")
    return os.path.abspath(os.path.expanduser(data))


def _refused(shown: str, lost: Lost) -> ArcanumError:
    """Why a path cannot be remembered."""
    match lost.state:
        case "file":
            return Invalid(f"{shown} is a file.", "Name the folder that it is in.")
        case "missing":
            return NotFound(f"There is no folder {shown}.", "Is it spelled right, and mounted?")
        case _:
            return Unavailable(
                f"{shown} cannot be read: {lost.message}.", "Name a folder that you can read."
            )


def _refuse_overlap(root: bytes, other: bytes) -> None:
    where, theirs = PathRef.of(root).display, PathRef.of(other).display
    if root == other:
        raise Refused(f"{where} is remembered already.", "arcanum memory sync reads it again, now.")
    if _within(root, other) or _within(other, root):
        raise Refused(
            f"{where} overlaps {theirs}, which is remembered already.",
            "A file belongs to one folder: name one beside it, or unwatch that one first.",
        )


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")
