"""One look at a remembered folder: what differs from what is known, and reading that."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from engine.contract.base import PathRef, now
from engine.contract.errors import ArcanumError
from engine.contract.memories import Folder, Unread
from engine.recall.documents import AGAIN, TOGETHER, TOLD, Count, Documents, Home, Reading
from engine.recall.reading_process import Lost, Reader
from engine.store import Database, Transaction
from engine.worker.frames import Frame, to_bytes, to_text

Pace = Callable[[int, int | None, str], Awaitable[None]]
"""Told files done, of how many, and at which; waits while paused, raises Cancelled."""

Differing = tuple[str, int, int]
"""A file that is to be read: its path, size and time."""

_WAIT_S = 0.5
_YOUNG_NS = 2_000_000_000
"""A file written so shortly before may be written again without looking any different."""
_PAGE_BYTES = 256 * 1024


@dataclass(slots=True)
class Kept:
    """A folder, and how it is. ``why``: what is wrong with it as a whole.

    ``is_``: its device and inode at the last look. ``stamp``: of what that found, "" where more is
    to do. ``unseen``: places in it that could not be looked at. ``waiting``: nothing is known of it
    since the start. ``removed`` ends a look.
    """

    home: Home
    root: bytes
    is_: tuple[int, int] | None
    state: Literal["ok", "reading", "waiting", "missing", "unreadable"] = "waiting"
    why: str = "not looked at yet"
    count: Count = field(default_factory=Count)
    unseen: int = 0
    unseen_problems: tuple[Unread, ...] = ()
    cut: str = ""
    read_at: datetime | None = None
    stamp: str = ""
    removed: bool = False

    @classmethod
    def of(cls, row: Any) -> Kept:
        home = Home(row["id"], row["namespace_id"], row["namespace"], bool(row["pinned"]))
        is_ = None if row["dev"] is None else (row["dev"], row["ino"])
        return cls(home, row["path"], is_)

    @property
    def id(self) -> int:
        return self.home.id

    @property
    def path(self) -> PathRef:
        return PathRef.of(self.root)

    @property
    def note(self) -> str:
        first = [f"{one.path.display}: {one.why}" for one in self.problems[:1]]
        return self.why or self.cut or "".join(first)

    @property
    def problems(self) -> tuple[Unread, ...]:
        """The first of what could not be read."""
        return (*self.count.problems, *self.unseen_problems)[:TOLD]

    def found(self, why: str = "") -> None:
        """It is there. ``why``: what keeps it from being in step all the same."""
        self.state, self.why = "ok", why
        if self.read_at is None:
            self.state, self.why = "waiting", why or "not read yet"

    def seen(self, identity: tuple[int, int]) -> None:
        """Something is there, and was not looked into."""
        self.found()
        if self.state == "ok" and self.is_ not in {None, identity}:
            self.state, self.why = "waiting", "it may be another folder than the one that was read"

    def lose(self, state: Literal["missing", "unreadable"], error: ArcanumError) -> None:
        """It is away. What it held stays as it is."""
        self.state, self.why, self.stamp = state, error.message, ""

    def shown(self, namespace: str | None = None) -> Folder:
        return Folder(
            path=self.path,
            namespace=namespace or self.home.namespace,
            pinned=self.home.pinned,
            state=self.state,
            files=self.count.files,
            passages=self.count.passages,
            unread=self.count.unread + self.unseen,
            problems=self.problems,
            note=self.note,
            read_at=self.read_at,
        )


class Look:
    """Raises Lost where the folder is away, WorkerFailed, StoreFailed, and what ``pace`` does."""

    def __init__(
        self,
        kept: Kept,
        documents: Documents,
        reader: Reader,
        database: Database,
        wake: Callable[[], None],
    ) -> None:
        self._kept, self._documents, self._reader = kept, documents, reader
        self._db, self._wake = database, wake
        self._waiting: list[Reading] = []
        self._since = 0.0

    async def run(self, pace: Pace, *, again: bool) -> None:
        """``again``: tries once more what could not be read, too."""
        kept = self._kept
        await pace(0, None, kept.path.display)
        walked = await self._reader.walk(kept.root)
        if again or not kept.stamp or walked["stamp"] != kept.stamp:
            gone, differing = await self._differences(walked["identity"], again=again)
            kept.stamp = ""
            if await self._documents.remove(kept.home, gone):
                self._wake()
            whole = await self._read(differing, pace)
            kept.count = await self._documents.count(kept.id)
            kept.stamp = walked["stamp"] if whole else ""
        await self._identified(walked["identity"])
        kept.unseen, kept.unseen_problems = walked["unread"], _unseen(walked)
        kept.cut = f"more than {walked['files']:,} files: the rest is left out" * walked["cut"]
        kept.read_at = now()
        kept.found()

    async def _differences(
        self, identity: list[int], *, again: bool
    ) -> tuple[list[int], list[Differing]]:
        """The numbers of the files that are gone, and those that are to be read.

        Raises Lost where nothing of it is there, and the folder is not the one that was read.
        """
        kept = self._kept
        gone: list[int] = []
        differing: list[Differing] = []
        known = met = 0
        async for page in self._documents.known(kept.id):
            for part in _parts(page):
                ids = {to_text(row["path"]): row["id"] for row in part}
                frame = await self._reader.ask(_compare(part, again=again), kept.root)
                gone += (ids[path] for path in frame["gone"])
                differing += frame["changed"]
                known += len(part)
                met += frame["met"]
        differing += await self._reader.rows({"do": "rest"}, kept.root)
        if known and not met and kept.is_ not in {None, tuple(identity)}:
            raise Lost("missing", "another folder is in its place: a disk that is not mounted?")
        return gone, differing

    async def _identified(self, identity: list[int]) -> None:
        kept = self._kept
        if kept.is_ == (is_ := (identity[0], identity[1])):
            return

        async def work(tx: Transaction) -> None:
            await tx.execute("UPDATE folder SET dev = ?, ino = ? WHERE id = ?", (*is_, kept.id))

        await self._db.write(work)
        kept.is_ = is_

    # --- reading --------------------------------------------------------------------------------

    async def _read(self, files: list[Differing], pace: Pace) -> bool:
        """Reads what differs. True where nothing of it is to be read again."""
        kept = self._kept
        if files:
            kept.state, kept.why = "reading", ""
        whole = True
        try:
            for done, (text, *seen) in enumerate(files):
                path = to_bytes(text)
                await pace(done, len(files), PathRef.of(path).display)
                if kept.removed:
                    return False
                reading = await self._one(path, *seen)
                if reading is None or reading.size == AGAIN:
                    whole = False
                if reading is not None:
                    await self._put(reading)
        except ArcanumError:
            await self._flush()
            raise
        await self._flush()
        await pace(len(files), len(files), "")
        return whole

    async def _one(self, path: bytes, size: int, mtime_ns: int) -> Reading | None:
        """What came of reading a file; None where it is gone."""
        frame, passages = await self._reader.read(self._kept.root, path)
        if "problem" in frame:
            if frame["gone"]:
                return None
            size = size if frame["lasting"] else AGAIN
            return Reading(path, size, mtime_ns, problem=frame["problem"])
        young = 0 <= time.time_ns() - frame["mtime_ns"] < _YOUNG_NS
        return Reading(
            path,
            AGAIN if young else frame["size"],
            frame["mtime_ns"],
            bytes.fromhex(frame["digest"]),
            frame["note"],
            passages,
        )

    async def _put(self, reading: Reading) -> None:
        """Files go to the disk together, and none waits long."""
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting.append(reading)
        weight = sum(1 + len(r.passages or ()) for r in self._waiting)
        if weight >= TOGETHER or time.monotonic() - self._since > _WAIT_S:
            await self._flush()

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and await self._documents.store(self._kept.home, waiting):
            self._wake()


def _compare(rows: list[Any], *, again: bool) -> Frame:
    """The command that tells what is known. What could not be read is known as nothing there is."""
    files = [
        [to_text(row["path"]), AGAIN if again and row["problem"] else row["size"], row["mtime_ns"]]
        for row in rows
    ]
    return {"do": "compare", "files": files}


def _parts(page: list[Any]) -> Iterator[list[Any]]:
    """Rows in lists that a frame can hold."""
    part: list[Any] = []
    size = 0
    for row in page:
        part.append(row)
        size += 6 * len(row["path"]) + 100
        if size >= _PAGE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _unseen(walked: Frame) -> tuple[Unread, ...]:
    """The first of what the walk could not look at."""
    return tuple(
        Unread(path=PathRef.of(to_bytes(path)), why=why) for path, why in walked["problems"][:TOLD]
    )
