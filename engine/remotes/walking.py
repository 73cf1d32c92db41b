"""Listing a remote: folder by folder, a few at a time, in batches.

rclone can list a whole tree in one answer, and would hold all of it in memory until then: a
million files are a gigabyte. Folder by folder it holds the largest folder.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.contract.base import Json, visible
from engine.contract.errors import ArcanumError, NotFound, Unavailable
from engine.remotes.errors import RcloneGone
from engine.remotes.rc import Rc
from engine.remotes.target import Target

_AT_ONCE = 8
_BATCHES_WAIT = 16
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Object:
    """A file on a remote. ``path`` is below the target's folder. ``size`` -1: not told."""

    path: str
    size: int
    mtime_ns: int | None = None
    hash: str | None = None


@dataclass(slots=True)
class Batch:
    """``unread``: a folder that could not be listed, and why."""

    objects: list[Object] = field(default_factory=list)
    unread: tuple[str, str] | None = None


def nanoseconds(text: str) -> int | None:
    """A time as rclone writes it, in nanoseconds since 1970; None for what is no time."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    *parts, fraction, zone = found.groups()
    try:
        whole = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    seconds = (whole - _EPOCH).days * 86_400 + (whole - _EPOCH).seconds
    if zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[4:6])
        seconds -= (minutes if zone[0] == "+" else -minutes) * 60
    told = seconds * 10**9 + int((fraction or "").ljust(9, "0"))
    return told if abs(told) <= _MAX_NS else None


def object_of(entry: Json, hash_kind: str, *, timed: bool) -> Object:
    """A file from rclone's entry of it, bounded by what SQLite can store."""
    size = entry.get("Size")
    hashes = entry.get("Hashes")
    hash_ = hashes.get(hash_kind) if isinstance(hashes, dict) and hash_kind else None
    return Object(
        str(entry.get("Path", "")),
        size if isinstance(size, int) and 0 <= size <= _MAX_NS else -1,
        nanoseconds(str(entry.get("ModTime", ""))) if timed else None,
        _hex(hash_),
    )


def _hex(value: Any) -> str | None:
    """A hash that can be compared; some remotes give none for some files."""
    if not isinstance(value, str) or not value:
        return None
    with suppress(ValueError):
        return bytes.fromhex(value).hex()
    return None


def options(target: Target, hash_kind: str) -> Json:
    """What to ask of each file: no more than is cheap, unless a hash is asked for."""
    found: Json = {"noMimeType": True, "noModTime": not timed(target)}
    if hash_kind:
        found |= {"showHash": True, "hashTypes": [hash_kind]}
    return found


def timed(target: Target) -> bool:
    return target.precision_ns is not None and not target.slow_time


async def walk(rc: Rc, target: Target, hash_kind: str = "") -> AsyncIterator[Batch]:
    """Everything below the target's folder, in no order.

    Raises NotFound where the folder is not there, Unavailable and RcloneGone; a folder below that
    cannot be read is a batch's ``unread``.
    """
    walker = _Walker(rc, target, hash_kind)
    workers = [asyncio.create_task(walker.work()) for _ in range(_AT_ONCE)]
    ended = asyncio.gather(*workers)
    ended.add_done_callback(lambda _: walker.batches.put_nowait(None))
    try:
        while (batch := await walker.batches.get()) is not None:
            walker.room.release()
            yield batch
        await ended
    finally:
        ended.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        with suppress(asyncio.CancelledError, ArcanumError):
            await ended


class _Walker:
    def __init__(self, rc: Rc, target: Target, hash_kind: str) -> None:
        self._rc, self._target, self._hash = rc, target, hash_kind
        self._options = options(target, hash_kind)
        self._timed = timed(target)
        self._folders: list[str] = [""]
        self._changed = asyncio.Condition()
        self._busy = 0
        self.batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        self.room = asyncio.Semaphore(_BATCHES_WAIT)

    async def work(self) -> None:
        while (folder := await self._next()) is not None:
            try:
                await self._list(folder)
            finally:
                async with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    async def _next(self) -> str | None:
        """The folder met last, so that few wait; None where all are listed."""
        async with self._changed:
            while not self._folders and self._busy:
                await self._changed.wait()
            if not self._folders:
                return None
            self._busy += 1
            return self._folders.pop()

    async def _list(self, folder: str) -> None:
        where = f"{self._target.fs}/{folder}" if folder else self._target.fs
        try:
            listed = self._rc.entries(where, self._target.fs, folder, self._options)
            async for entries in listed:
                below = [str(e.get("Path", "")) for e in entries if e.get("IsDir")]
                await self._put(Batch([self._object(e) for e in entries if not e.get("IsDir")]))
                if below:
                    async with self._changed:
                        self._folders += below
                        self._changed.notify_all()
        except (RcloneGone, Unavailable):
            raise
        except ArcanumError as error:
            if not folder:
                raise
            if not isinstance(error, NotFound) or "\ufffd" in folder:  # Else it has just gone.
                await self._put(Batch(unread=(visible(folder), error.message)))

    def _object(self, entry: Json) -> Object:
        return object_of(entry, self._hash, timed=self._timed)

    async def _put(self, batch: Batch) -> None:
        await self.room.acquire()
        self.batches.put_nowait(batch)
