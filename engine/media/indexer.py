"""Keeps the catalogue of one library true: scans that are asked for, and its own looks.

Looking and hashing go on beside each other, because hashing may take days and news must not wait
for it: one look at a time, one hashing at a time. A scan takes both in turn and ends what went on
by itself; nothing is lost by that, every batch was committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from engine.contract.assets import ScanResult, WatchState
from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Busy, Cancelled, Failed
from engine.contract.ports import JobControl
from engine.media.catalogue import Files, Stored
from engine.media.drift import Hearing
from engine.media.first import FirstLook
from engine.media.hints import condense
from engine.media.integrity.strain import Eased, Lightened, Strain
from engine.media.looking import Pace, Reader, Tally, at_ease
from engine.media.pace import HashPace, LibraryPace, WalkPace
from engine.media.process import Lost
from engine.media.shelf import Away, Shelf
from engine.media.timing import Timing, heard
from engine.media.watch import Watchers

_log = logging.getLogger(__name__)
_LONGEST_DELAY_S = 300.0


class Indexer:
    """``drifted`` hears of the number of files that had changed without an event, ``came`` when
    files moved here from another library. Under ``strain`` what nobody asked for is put off, or
    done slowly; what events tell is followed at once.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        files: Files,
        reader: Reader,
        watchers: Watchers,
        timing: Timing,
        drifted: Callable[[str, int], Awaitable[None]],
        came: Callable[[], None],
        strain: Strain,
        first: FirstLook,
    ) -> None:
        self.shelf = shelf
        self._files, self._reader, self._watchers = files, reader, watchers
        self._timing, self._drifted, self._came, self._strain = timing, drifted, came, strain
        self._first = first
        self._stored: Stored = shelf.stored
        self._job: int | None = None
        self._scan: asyncio.Task[Any] | None = None
        self._removed = self._watching = False
        self._hints: set[bytes] = set()
        self._in_hand: set[bytes] = set()
        self._hearings: list[Hearing] = []
        self._due = self._rested = self._demanded = self._put_off = self._declined = 0.0
        self._hash_delay = timing.quiet
        self._trusted = False
        self._looking, self._hashing = asyncio.Lock(), asyncio.Lock()
        self._look_wanted, self._hash_wanted = asyncio.Event(), asyncio.Event()
        self._watch_told = asyncio.Event()
        self._own: set[asyncio.Task[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def busy(self) -> bool:
        """Whether the library is looked at, or hashed."""
        return self._looking.locked() or self._hashing.locked()

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Watches and looks from now on, in the background."""
        self._spawn(self._look_forever())
        self._spawn(self._hash_forever())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"media:{self._stored.name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._trouble(error)

    def _trouble(self, error: BaseException) -> None:
        if isinstance(error, ArcanumError):
            _log.warning("%s: %s", self._stored.name, error.message)
            if not isinstance(error, Away):
                self.shelf.put_trouble(error.message)
        else:
            _log.error("%s: a defect", self._stored.name, exc_info=error)
            self.shelf.put_trouble(f"a defect: {visible(repr(error))[:200]}")

    async def stop(self, *, removed: bool = False) -> None:
        """Ends what goes on. A scan is cancelled or, where the library is removed, told so."""
        self._watching = False
        self._removed = removed
        tasks, own = [*self._tasks], [*self._own]
        if self._scan is not None and not removed:
            tasks.append(self._scan)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *own, return_exceptions=True)
        async with self._looking, self._hashing:  # Whoever reads has ended.
            await self.shelf.stop()
        await self._watchers.unwatch(self._stored.id)

    # --- being told -----------------------------------------------------------------------------

    def hint(self, paths: Sequence[bytes] | None) -> None:
        """Something may have changed at these places; None: anywhere."""
        for hearing in self._hearings:
            hearing.forget() if paths is None else hearing.add(paths)
        if paths is None:
            self._trusted = False  # It is known that not everything was told.
            self._demand()
        else:
            self._hints.update(paths)
        self._look_wanted.set()

    def watching(self, state: WatchState, note: str = "") -> None:
        self._trusted = False
        if state == "live":  # What happened while the watches were being set, nobody told.
            self._demand()
        elif state != self.shelf.watch:
            self._due = min(self._due, time.monotonic() + self._timing.poll)
        self.shelf.put_watch(state, note)
        self._watch_told.set()
        self._look_wanted.set()

    @property
    def removed(self) -> bool:
        """Whether it is no library any more."""
        return self._removed

    def _demand(self) -> None:
        """Everything must be looked at, again if that goes on now."""
        self._demanded = time.monotonic()
        self._due = min(self._due, self._rested)

    # --- its own work ---------------------------------------------------------------------------

    async def _look_forever(self) -> None:
        await asyncio.sleep(self._timing.first)
        self._watching = True
        self._spawn(self._watchers.watch(self._stored, self))
        await heard(self._watch_told, 3)  # Watching first: then the first look misses nothing.
        while True:
            if time.monotonic() >= self._due and not await self._can_wait():
                await self._look_at_due()
            elif self._hints:
                await self._follow_hints()
            await heard(self._look_wanted, self._due - time.monotonic())
            self._look_wanted.clear()

    async def _look_at_due(self) -> None:
        """Everything: the first time by a scan that is a job, with all that can be done to one."""
        if not await self._first.is_due(self.shelf.numbers.scanned_at is not None):
            await self._by_itself(self._look_alone(None))
            return
        self._due = max(self._declined, time.monotonic() + self._timing.retry)
        free = self._job is None and self._declined <= time.monotonic()
        # A root that is away is looked for without a job: one each time would fill the list.
        if free and await self._by_itself(self._look_alone([])):
            await self._by_itself(self._first.start())

    async def _can_wait(self) -> bool:
        """Whether the look at everything that is due is put off: under strain, where a watcher
        tells what happens, and for three times as long as it comes anyway."""
        live = self.shelf.watch == "live" and self._trusted and self._demanded <= self._rested
        if not live or self._put_off >= 3 * self._timing.rescan or not await self._strain.now():
            self._put_off = 0.0
            return False
        wait = min(_LONGEST_DELAY_S, self._timing.rescan)
        self._put_off += wait
        self._due = time.monotonic() + wait
        return True

    async def _follow_hints(self) -> None:
        self._in_hand, self._hints = self._hints, set()
        places = condense(self._in_hand)
        if places is None:
            self.hint(None)
        elif not await self._by_itself(self._look_alone(places)):
            self._hints |= self._in_hand
        self._in_hand = set()

    async def _hash_forever(self) -> None:
        timer: asyncio.TimerHandle | None = None
        while True:
            await self._hash_wanted.wait()
            self._hash_wanted.clear()
            if timer is not None:
                timer.cancel()
            if self._job is not None or not self.shelf.numbers.pending:
                continue
            if (declined := self._declined - time.monotonic()) > 0:
                timer = asyncio.get_running_loop().call_later(declined, self._hash_wanted.set)
                continue
            await self._by_itself(self._hash_alone())
            if self.shelf.numbers.pending:
                # Still being written, or not to be read: tried again, ever more rarely.
                loop = asyncio.get_running_loop()
                timer = loop.call_later(self._hash_delay, self._hash_wanted.set)
                self._hash_delay = min(self._hash_delay * 2, _LONGEST_DELAY_S)

    async def _by_itself(self, work: Coroutine[Any, Any, None]) -> bool:
        """Runs work that a scan may end. True when it came to its end."""
        task = asyncio.create_task(work)
        self._own.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._own.discard(task)
            if not task.cancelling():  # A second time, and it would not wait for its worker's end.
                task.cancel()
        if task.cancelled():
            return False
        error = task.exception()
        if error is None:
            return True
        self._trouble(error)
        retry = time.monotonic() + self._timing.retry
        self._due = min(self._due, retry) if self._due > time.monotonic() else retry
        return False

    async def _look_alone(self, paths: list[bytes] | None) -> None:
        async with self._looking:
            if paths is None and time.monotonic() < self._due:
                self._look_wanted.set()  # A scan did it, but for what came behind it.
                return
            pace = Lightened(self._strain)
            await self._look(paths, pace, hashing=await pace.first())

    async def _hash_alone(self) -> None:
        async with self._hashing:
            eased = Eased(self._strain)
            tally = await self._hash(self._timing.quiet, eased, await eased.first())
        self._hints.update(tally.again)
        self._look_wanted.set()

    # --- looking and hashing --------------------------------------------------------------------

    async def _look(
        self, paths: list[bytes] | None, pace: Pace, hashing: bool = True, as_it_is: bool = False
    ) -> Tally:
        """With the lock held. Raises Failed where the root is away, WorkerFailed, StoreFailed."""
        if paths is None:
            return await self._look_at_all(pace, hashing, as_it_is)
        tally = await self._read(paths, pace, hashing)
        if tally.differences:
            await self._news()
        return tally

    async def _news(self) -> None:
        await self.shelf.refresh()
        self._hash_delay = self._timing.quiet
        self._hash_wanted.set()

    async def _look_at_all(self, pace: Pace, hashing: bool, as_it_is: bool) -> Tally:
        begun = time.monotonic()
        hearing = Hearing(self._hints | self._in_hand)
        self._hearings.append(hearing)
        self._hints.clear()
        try:
            with self.shelf.scanning():
                tally = await self._read(None, pace, hashing, as_it_is)
                await self.shelf.put_looked(tally)
        except BaseException:
            self._hearings.remove(hearing)
            raise
        # A scan may end what follows at any await: nobody may be listening in vain by then.
        live = self.shelf.watch == "live" and self._demanded < begun
        untold = live and self._trusted and tally.differences > 0
        self._trusted = live
        if untold:
            self._spawn(self._tell_drift(tally, hearing))
        else:
            self._hearings.remove(hearing)
        self._plan_next(begun, time.monotonic() - begun)
        await self._news()
        if tally.differences:
            await self._files.forget_old(self._stored.id)
        if not untold:
            await self.shelf.put_drift(0)
        return tally

    async def _read(
        self, paths: list[bytes] | None, pace: Pace, hashing: bool = True, as_it_is: bool = False
    ) -> Tally:
        paced = LibraryPace(self, pace)
        try:
            tally = await self._reader.look(paths, paced, hashing=hashing, as_it_is=as_it_is)
        except Lost as lost:
            raise await self.away(lost) from lost
        if paths is not None:
            await self.shelf.put_unseen(paths, tally)
        if tally.came:
            self._came()
        return tally

    async def _hash(self, settle_s: float, pace: Pace, mib_s: float = 0) -> Tally:
        try:
            tally = await self._reader.hash(settle_s, LibraryPace(self, pace), mib_s=mib_s)
        except Lost as lost:
            raise await self.away(lost) from lost
        await self.shelf.put_hashed(tally)
        await self.shelf.refresh()
        return tally

    def _plan_next(self, begun: float, took: float) -> None:
        interval = self._timing.between(self.shelf.watch, took)
        self._rested = begun + 6 * took
        self._due = self._rested if self._demanded > begun else begun + took + interval
        if self.shelf.watch in {"off", "failed"} and self._watching:
            self._spawn(self._watchers.watch(self._stored, self))

    async def _tell_drift(self, tally: Tally, hearing: Hearing) -> None:
        """What the look found and, after all events until now were told, nobody had told of."""
        try:
            heard_all = await self._watchers.catch_up()
        finally:
            self._hearings.remove(hearing)
        missed = hearing.unexplained(tally.touched)
        if heard_all and missed:
            await self._drifted(self._stored.name, missed)
        if heard_all:
            await self.shelf.put_drift(missed)

    async def away(self, lost: Lost) -> Failed:
        """The root is not there, or cannot be read: says so; it is looked for again."""
        self._due = time.monotonic() + self._timing.missing
        await self._watchers.unwatch(self._stored.id)
        return await self.shelf.put_away(lost)

    # --- being asked ----------------------------------------------------------------------------

    async def scan(self, control: JobControl, *, as_it_is: bool = False) -> ScanResult:
        """Everything, now. Raises Busy where that goes on already, with the job's id."""
        if self._job is not None:
            raise Busy(
                f"{self._stored.name} is being scanned already, by job {self._job}.",
                f"arcanum jobs follow {self._job} shows it.",
            )
        begun = time.monotonic()
        self._job, self._scan, self._declined = control.job_id, asyncio.current_task(), 0.0
        try:
            with self.shelf.scanning():
                for task in self._own:
                    task.cancel()
                async with self._looking:
                    pace = WalkPace(control, self.shelf.numbers.files)
                    walked = await self._look(None, pace, as_it_is=as_it_is)
                async with self._hashing:
                    hashed = await self._hash_all(control)
            await self._first.end()
        except BaseException as error:
            self._due = max(self._due, time.monotonic() + self._timing.retry)
            if isinstance(error, Cancelled):  # By a person: neither goes on at once, unasked.
                self._declined = time.monotonic() + self._timing.rescan
                await self._first.end()
            raise
        finally:
            self._job = self._scan = None
            self._hash_wanted.set()
        files = self.shelf.numbers.files
        control.progress(files, files, "files")
        return self.shelf.scanned(walked, hashed, time.monotonic() - begun)

    async def _hash_all(self, control: JobControl) -> Tally:
        """What changed between the look and its hashing is looked at and hashed once more."""
        files, size = await self._files.pending(self._stored.id)
        tally = await self._hash(0, HashPace(control, files, size))
        if tally.again:
            async with self._looking:
                await self._look(condense(tally.again), at_ease)
            more = await self._hash(
                0, HashPace(control, *await self._files.pending(self._stored.id))
            )
            tally.hashed += more.hashed
            tally.hashed_bytes += more.hashed_bytes
        return tally

    async def refresh(self, paths: Sequence[bytes]) -> None:
        """These places, now, whatever else goes on."""
        await self._read(condense(paths), at_ease)
        await self._news()
