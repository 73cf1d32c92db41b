"""Bringing files of a remote into a library: only such as are not here, and none of another's name.

Each lands aside, is verified there, and then gets its name. Nothing here is overwritten.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

from engine.contract.base import visible
from engine.contract.errors import ArcanumError
from engine.contract.ports import TRASH_FOLDER
from engine.remotes import comparing, names
from engine.remotes.book import Book
from engine.remotes.comparing import Pair
from engine.remotes.errors import RcloneGone
from engine.remotes.inventory import Pace, Tally
from engine.remotes.landing import Landing
from engine.remotes.local import Changed, Place
from engine.remotes.plans import Approved, Findings, Item
from engine.remotes.rc import Rc
from engine.remotes.rcd import Rcd
from engine.remotes.running import SENDING, SENT, VERIFIED, Running
from engine.remotes.target import Target
from engine.remotes.walking import Object

_LONGEST_NAME, _LONGEST_PATH = 255, 4096
_LOOKED_AT = 500
_NOTED_AT_ONCE = 32


class Fetching(Running):
    """One execution of a fetch. ``note`` tells the catalogue of files that came: on the way, so
    that little is left to tell when the engine ends."""

    def __init__(
        self,
        number: int,
        operation: str,
        plan: Approved,
        *,
        rcd: Rcd,
        book: Book,
        at_once: int,
        note: Callable[[Sequence[Item]], Awaitable[None]],
    ) -> None:
        super().__init__(number, operation, plan, rcd=rcd, book=book, at_once=at_once)
        self._note = note
        self._came: list[Item] = []
        self._landing: set[asyncio.Task[None]] = set()

    async def _work(self, target: Target) -> None:
        self.state = "fetching"
        landing = await asyncio.to_thread(Landing, self.plan.place, self.number)
        try:
            await self._each(self.plan.items, lambda item: self._fetch(target, item, landing))
        finally:
            # Whoever is broken off while a file gets its name leaves it to get it.
            await asyncio.gather(*self._landing, return_exceptions=True)
            await asyncio.to_thread(landing.close)
            await self._write_down()

    async def _fetch(self, target: Target, item: Item, landing: Landing) -> None:
        assert item.there is not None
        kind = self.plan.hash
        async with self._rcd.use() as rc:
            there = await comparing.stat(rc, target, item.name, kind)
            if moved := item.there.differs(there):
                raise Changed(moved)
            assert there is not None
            await self._begin(item, SENDING)
            try:
                await rc.ask(
                    "operations/copyfile",
                    target.fs,
                    srcFs=target.fs,
                    srcRemote=item.name,
                    dstFs=landing.fs,
                    dstRemote=str(item.n),
                    _group=self._group,
                )
                sure = await _verified(rc, landing, item, there, kind)
                task = asyncio.create_task(self._land(landing, item, there.size, sure=sure))
                self._landing.add(task)
                task.add_done_callback(self._landing.discard)
                await asyncio.shield(task)
            except RcloneGone:
                raise
            except (ArcanumError, Changed):
                self.report.states.pop(item.n, None)
                raise

    async def _land(self, landing: Landing, item: Item, size: int, *, sure: bool) -> None:
        """It gets its name, and that is known: never one without the other."""
        await asyncio.to_thread(landing.put, item, size)
        self.report.by_hash += sure
        self._bytes += item.size
        await self._end(item, SENT)
        self._came.append(item)
        if len(self._came) >= _NOTED_AT_ONCE:
            came, self._came = self._came, []
            with suppress(ArcanumError):  # What is not noted now is noted at the end.
                await self._note(came)
                for one in came:
                    await self._end(one, VERIFIED)


async def _verified(rc: Rc, landing: Landing, item: Item, there: Object, kind: str) -> bool:
    """Whether a hash says that it came as it is there. Raises Changed where one says no."""
    if not kind or there.hash is None:
        return False
    found = await rc.ask(
        "operations/stat",
        item.shown,
        fs=landing.fs,
        remote=str(item.n),
        opt={"showHash": True, "hashTypes": [kind], "noMimeType": True, "filesOnly": True},
    )
    came = ((found.get("item") or {}).get("Hashes") or {}).get(kind)
    if came != there.hash:
        raise Changed(f"came with another {kind} than it has there")
    return True


async def missing_here(
    listed: tuple[Tally, AsyncIterator[Pair]],
    place: Place,
    target: Target,
    found: Findings,
    pace: Pace,
) -> Findings:
    """What is there and not here. A file of the same name stays as it is, whatever it holds."""
    tally, pairs = listed
    taken: set[bytes] = set()
    some: list[Object] = []
    count = 0
    async for pair in pairs:
        if pair.there is None:
            continue
        count += 1
        pace.progress(count, tally.files, "files", "comparing")
        if pair.here is not None:
            found.there["name"] += 1
            continue
        some.append(pair.there)
        if len(some) == _LOOKED_AT:
            await _add(place, target, some, found, taken)
            some.clear()
    await _add(place, target, some, found, taken)
    for trouble in tally.troubles:
        folder, _, why = trouble.partition(": ")
        found.leave(folder, f"could not be read there: {why}")
    return found


async def _add(
    place: Place, target: Target, some: Sequence[Object], found: Findings, taken: set[bytes]
) -> None:
    absent = await place.absent([each.path for each in some])
    for each, gone in zip(some, absent, strict=True):
        path = names.to_local(each.path, bucket=target.bucket)
        if problem := _unfit(each.path, path):
            found.leave(visible(each.path), problem)
        elif not gone or path in taken:
            found.leave(visible(each.path), "has the name of another file here")
        else:
            taken.add(path)
            whole = place.folder + b"/" + path if place.folder else path
            found.add("fetch", each.path, None, each, path=whole)


def _unfit(name: str, path: bytes) -> str:
    """Why a name of a remote, which may be anything, is none for a file here."""
    parts = path.split(b"/")
    if names.LOST in name:
        return "is not UTF-8 there, and cannot be named"
    if b"\0" in path or any(part in {b"", b".", b".."} for part in parts):
        return "is no name of a file here"
    if parts[0] == TRASH_FOLDER:
        return "would lie in the trash"
    if len(path) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in parts):
        return "has a name that is too long here"
    return ""


def free(place: Place) -> int:
    """Bytes that may be written where the library lies; what cannot be asked is no hindrance."""
    with suppress(OSError):
        found = os.statvfs(place.path)
        return found.f_bavail * found.f_frsize
    return 2**63
