"""The job that compares a library with a remote, by a hash that the remote has."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from engine.contract.base import PathRef, visible
from engine.contract.errors import ArcanumError, Unavailable
from engine.contract.ports import Catalogue, JobControl
from engine.contract.remotes import MOST_SHOWN, CheckResult, Difference, DifferenceKind
from engine.remotes import comparing, names
from engine.remotes.book import Book
from engine.remotes.comparing import Pair
from engine.remotes.errors import RcloneGone
from engine.remotes.inventory import take
from engine.remotes.local import Changed, File, Place, hash_of
from engine.remotes.rc import Rc
from engine.remotes.target import Target
from engine.remotes.walking import Object

_AT_ONCE = 4


@dataclass(slots=True)
class _Report:
    numbers: Counter[str] = field(default_factory=Counter)
    shown: list[Difference] = field(default_factory=list)
    read: int = 0

    def tell(self, kind: DifferenceKind, path: bytes | str, size: int, why: str = "") -> None:
        self.numbers[kind] += 1
        if self.numbers[kind] <= MOST_SHOWN:
            told = Difference(kind=kind, path=PathRef.of(path), size=max(0, size), why=why)
            self.shown.append(told)


class Checking:
    """One comparison. ``kind``: the hash to compare by; "" where the remote has none."""

    def __init__(
        self, rc: Rc, book: Book, catalogue: Catalogue, *, place: Place, target: Target, kind: str
    ) -> None:
        self._rc, self._book, self._catalogue = rc, book, catalogue
        self._place, self._target, self._kind = place, target, kind
        self._report = _Report()

    async def run(self, control: JobControl) -> CheckResult:
        """Lists the remote anew and compares. Raises what stands in the way of all of it."""
        started = time.monotonic()
        # Where the remote reads a file for its hash, only what can be alike is asked for it.
        listed_hash = "" if self._target.slow_hash else self._kind
        tally = await take(self._rc, self._book, self._target, listed_hash, control)
        try:
            await self._compare(tally.number, control)
            await self._book.finish(tally.number, tally.files, tally.bytes)
        except BaseException:
            await self._book.drop(tally.number)
            raise
        for trouble in tally.troubles:
            folder, _, why = trouble.partition(": ")
            self._report.tell("unknown", folder, 0, why)
        self._report.numbers["unknown"] += tally.unread - len(tally.troubles)
        numbers = self._report.numbers
        return CheckResult(
            library=self._place.name,
            remote=self._target.fs,
            hash=self._kind,
            same=numbers["same"],
            missing_there=numbers["missing_there"],
            missing_here=numbers["missing_here"],
            differing=numbers["differing"],
            size_only=numbers["size_only"],
            unknown=numbers["unknown"],
            read=self._report.read,
            differences=tuple(self._report.shown),
            seconds=time.monotonic() - started,
        )

    async def _compare(self, inventory: int, control: JobControl) -> None:
        """Hashes are asked for a few at a time, while the lists are read on."""
        total = self._place.total
        done = 0
        running: set[asyncio.Task[None]] = set()
        found = comparing.pairs(
            self._place,
            self._catalogue,
            self._book,
            inventory,
            self._target,
        )
        try:
            async for pair in found:
                await control.checkpoint()
                done += pair.here is not None
                control.progress(done, max(done, total) if total else None, "files")
                if self._told_at_once(pair) or pair.here is None or pair.there is None:
                    continue
                while len(running) >= _AT_ONCE:
                    ended, running = await asyncio.wait(
                        running, return_when=asyncio.FIRST_COMPLETED
                    )
                    await asyncio.gather(*ended)
                running.add(asyncio.create_task(self._by_hash(pair.here, pair.there)))
            await asyncio.gather(*running)
        finally:
            await found.aclose()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _told_at_once(self, pair: Pair) -> bool:
        """Whether names and sizes say all; False where hashes must be asked for."""
        tell, here, there = self._report.tell, pair.here, pair.there
        if here is None:
            assert there is not None
            lost = names.LOST in there.path
            why = "its name is not UTF-8: it may be one of the files here" if lost else ""
            tell("unknown" if lost else "missing_here", there.path, there.size, why)
        elif here.problem:
            tell("unknown", here.path, here.size, here.problem)
        elif there is None:
            tell("missing_there", here.path, here.size)
        elif there.size not in {-1, here.size}:
            tell("differing", here.path, here.size, f"{there.size:,} bytes there")
        elif not self._kind:
            tell("size_only", here.path, here.size, "the remote has no hash")
        elif self._kind in here.hashes and there.hash is not None:
            self._judge(here, here.hashes[self._kind], there.hash)
        else:
            return False
        return True

    def _judge(self, here: File, ours: str, theirs: str) -> None:
        if ours == theirs:
            self._report.numbers["same"] += 1
        else:
            why = f"{self._kind} {theirs[:12]}… there, {ours[:12]}… here"
            self._report.tell("differing", here.path, here.size, why)

    async def _ours(self, here: File) -> str:
        if self._kind in here.hashes:
            return here.hashes[self._kind]
        assert here.identity is not None
        self._report.read += here.identity.size
        return await hash_of(self._rc, self._place, here.path, here.identity, self._kind)

    async def _by_hash(self, here: File, there: Object) -> None:
        try:
            theirs = there.hash
            if theirs is None and self._target.slow_hash:
                now = await comparing.stat(self._rc, self._target, there.path, self._kind)
                theirs = None if now is None else now.hash
            if theirs is None:
                why = f"the remote has no {self._kind} of it"
                self._report.tell("size_only", here.path, here.size, why)
                return
            self._judge(here, await self._ours(here), theirs)
        except Changed as changed:
            self._report.tell("unknown", here.path, here.size, str(changed))
        except (RcloneGone, Unavailable):
            raise
        except ArcanumError as error:
            self._report.tell("unknown", here.path, here.size, visible(error.message))
