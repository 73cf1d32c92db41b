"""What a library looks like from outside: its numbers and its state, told when they move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import cast

from engine.contract.assets import Library, LibraryState, ScanResult, Unread, WatchState
from engine.contract.base import PathRef, visible
from engine.contract.errors import Failed, StoreFailed
from engine.contract.ports import Concern, Severity
from engine.media.catalogue import Files, Numbers, Stored
from engine.media.looking import Tally
from engine.media.process import Lost
from engine.media.unseen import Place, Unseen
from engine.media.walk import MOST_PROBLEMS

_PUBLISH_S = 0.2
_MOST_SHOWN = 80


class Away(Failed):
    """The root is not there, or cannot be read, which the library's state and note say."""


class Shelf:
    """``changed`` hears of the library when its numbers or its state moved, five times a second at
    most.
    """

    def __init__(
        self,
        stored: Stored,
        files: Files,
        machine: str,
        changed: Callable[[Library], None],
        *,
        unseen: Unseen,
    ) -> None:
        self.stored, self.unseen = stored, unseen
        self.numbers = Numbers()
        self.watch: WatchState = "off"
        self._watch_note = ""
        self.trouble = ""
        """Why the last look failed, until one does not."""
        self._files, self._machine, self._changed = files, machine, changed
        self._scanning = 0
        self._looked = self._hashed = Tally()
        self._touched = False
        self._publisher: asyncio.Task[None] | None = None

    @property
    def unread(self) -> tuple[Unread, ...]:
        """The first of what could not be read."""
        problems = [*self._looked.problems, *self._hashed.problems][:MOST_PROBLEMS]
        return tuple(Unread(path=PathRef.of(path), why=visible(why)) for path, why in problems)

    @property
    def library(self) -> Library:
        numbers = self.numbers
        state = "scanning" if self._scanning else numbers.state
        watch = f"not watched: {self._watch_note}" if self._watch_note else ""
        return Library(
            name=self.stored.name,
            path=PathRef.of(self.stored.root),
            machine=self._machine,
            state=cast(LibraryState, state),
            watch=self.watch,
            note="; ".join(filter(None, (self.trouble, numbers.note, watch))),
            files=numbers.files,
            bytes=numbers.bytes,
            pending=numbers.pending,
            unreadable=numbers.unreadable,
            unread=numbers.unread,
            unseen=len(self.unseen.places),
            damaged=numbers.damaged,
            drift=numbers.drift,
            last_scan_at=numbers.scanned_at,
            since=numbers.since,
            changed_at=numbers.changed_at,
        )

    @property
    def whole(self) -> bool:
        """Whether nothing of it is out of reach."""
        return self.numbers.state == "ok" and not self.unseen.places

    def out_of_reach(self, path: bytes) -> Place | None:
        """The place for which what is known of this path cannot be looked at now: one of the
        library, or its root (whose path is empty), where the library is away."""
        known = self.numbers
        if known.state != "ok" and known.since is not None:
            return Place(b"", known.note or known.state, known.since, known.scanned_at)
        return self.unseen.over(path)

    async def refresh(self) -> None:
        """Reads the numbers anew and tells them."""
        self._changed(await self.read())

    async def read(self) -> Library:
        """The library with the numbers of now."""
        self.numbers = await self._files.numbers(self.stored.id)
        return self.library

    def touch(self) -> None:
        """Something moved: told soon."""
        self._touched = True
        if self._publisher is None or self._publisher.done():
            self._publisher = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while self._touched:  # Again where something moved while the numbers were read.
            await asyncio.sleep(_PUBLISH_S)
            self._touched = False
            with suppress(StoreFailed):  # Whoever writes there is told.
                await self.refresh()

    async def stop(self) -> None:
        if self._publisher is not None:
            self._publisher.cancel()
            await asyncio.gather(self._publisher, return_exceptions=True)

    @contextmanager
    def scanning(self) -> Iterator[None]:
        """While everything is read, the state says so."""
        self._scanning += 1
        self.touch()
        try:
            yield
        finally:
            self._scanning -= 1
            self.touch()

    def scanned(self, walked: Tally, hashed: Tally, seconds: float) -> ScanResult:
        """What a scan tells."""
        return ScanResult(
            library=self.stored.name,
            files=self.numbers.files,
            bytes=self.numbers.bytes,
            added=walked.added,
            changed=walked.changed,
            removed=walked.removed,
            moved=walked.moved,
            hashed=walked.hashed + hashed.hashed,
            hashed_bytes=walked.hashed_bytes + hashed.hashed_bytes,
            unreadable=self.numbers.unreadable,
            skipped=walked.skipped,
            seconds=round(seconds, 3),
            unread=self.unread,
        )

    # --- what was found -------------------------------------------------------------------------

    def put_watch(self, state: WatchState, note: str) -> None:
        self.watch, self._watch_note = state, note
        self.touch()

    async def put_looked(self, tally: Tally) -> None:
        """Everything was looked at."""
        self._looked, self._hashed, self.trouble = tally, Tally(), ""
        await self.unseen.put(None, tally.unseen)
        await self._put_ok(whole=True)

    async def put_unseen(self, paths: Sequence[bytes], tally: Tally) -> None:
        """These places were looked at."""
        if await self.unseen.put(paths, tally.unseen):
            self.touch()

    async def put_drift(self, missed: int) -> None:
        """Said until a look at everything finds nothing that had not been told."""
        if missed or self.numbers.drift:
            await self._files.put_drift(self.stored.id, missed)
            await self.refresh()

    async def put_hashed(self, tally: Tally) -> None:
        """What was pending was read, or could not be. Of what was left for later nothing is new."""
        if tally.left and tally.unreadable < self._hashed.unreadable:
            return
        if tally.unreadable or self._hashed.unreadable:
            self._hashed = tally
            await self._put_ok(whole=False)

    async def _put_ok(self, *, whole: bool) -> None:
        note = _unreadable(self._looked.unreadable + self._hashed.unreadable, self.unread)
        names = self._looked.unreadable if whole else None
        await self._files.put_state(self.stored.id, "ok", note, unreadable=names, looked=whole)
        self.touch()

    def put_trouble(self, note: str) -> None:
        """A look failed. Said until one does not; not stored, for the store may be the trouble."""
        self.trouble = note
        self.touch()

    async def put_away(self, lost: Lost) -> Away:
        """The root is not there, or cannot be read. The catalogue keeps what it knows."""
        self.watch, self._watch_note, self.trouble = "off", "", ""
        state = "unreadable" if lost.loss == "unreadable" else "missing"
        await self._files.put_state(self.stored.id, state, lost.message)
        await self.refresh()
        what = "cannot be read" if state == "unreadable" else "is not there"
        hint = "Is the disk mounted? It is looked for again by itself."
        if lost.loss == "another":
            hint += f" If this is the library: arcanum media scan {self.stored.name} --as-it-is"
        where = PathRef.of(self.stored.root).display
        return Away(
            f"{where} {what}: {lost.message}. Nothing was taken out of the catalogue.", hint
        )


def _short(path: str) -> str:
    """A path may take pages. Its end says most."""
    if len(path) <= _MOST_SHOWN:
        return path
    return f"{path[: _MOST_SHOWN // 3]}…{path[1 - _MOST_SHOWN + _MOST_SHOWN // 3 :]}"


def _unreadable(count: int, unread: Sequence[Unread]) -> str:
    if not count:
        return ""
    first = [f"{_short(one.path.display)} ({one.why})" for one in unread[:3]]
    return f"{count} unreadable: {', '.join(first)}{', …' if count > len(first) else ''}"


def shelf_concerns(shelf: Shelf) -> list[Concern]:
    """What of a library cannot be looked at: where, since when, and what to do."""
    library = shelf.library
    link, again = f"media/{library.name}", f"arcanum media scan {library.name} reads it again"
    if library.since is not None:
        gone = shelf.numbers.state == "missing"
        what = "is not there" if gone else "cannot be read"
        do = "mount its disk, or put the folder back" if gone else "make the folder readable"
        text = (
            f"{library.path.display} {what} since {_utc(library.since)} ({library.note}): {do};"
            " it is looked for again by itself"
        )
        return [Concern(Severity.BROKEN, library.name, text, since=library.since, link=link)]
    if library.watch == "failed" or shelf.trouble:
        return [Concern(Severity.BROKEN, library.name, library.note or library.state, link=link)]
    if places := sorted(shelf.unseen.places.values(), key=lambda place: place.since):
        first = places[0]
        where = PathRef.of(shelf.stored.root + b"/" + first.path).display
        more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
        do = "let the engine's user read it" if "ermission" in first.why else "look at its disk"
        since = _utc(first.since)
        text = f"{where}{more} cannot be read since {since} ({first.why}): {do}; {again}"
        return [Concern(Severity.UNKNOWN, library.name, text, since=first.since, link=link)]
    if library.unreadable:
        text = f"{library.note}: make them readable; {again}"
        return [Concern(Severity.UNKNOWN, library.name, text, link=f"{link}/damaged")]
    return []


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
