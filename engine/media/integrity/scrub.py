"""The scrub: every file is read again about once in so many days, in the background.

Each round reads the files whose time has come, the longest unchecked first, and as much of the rest
as the time since the last round is of the whole period (what is too little for the next file is
saved for the next round). So the reading is spread evenly, and what was missed while the machine
was off is caught up within the budget. It gives way to scans and looks, and waits on battery and
under load; it goes on where it stopped, for every file says itself when it was read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from engine.config import MediaConfig
from engine.contract.errors import ArcanumError
from engine.media.indexer import Indexer
from engine.media.integrity.strain import Strain
from engine.media.integrity.verify import Found, Reading
from engine.media.looking import Pace
from engine.media.process import Process
from engine.media.timing import Timing
from engine.worker.frames import Frame

_log = logging.getLogger(__name__)
_DAY_S = 86_400

Read = Callable[[Indexer, Reading, Pace], Awaitable[Found]]


class _GivesWayError(Exception):
    """Something more urgent has begun; the next round goes on."""


class Scrub:
    """``read`` reads what is asked of one library."""

    def __init__(
        self,
        settings: MediaConfig,
        timing: Timing,
        strain: Strain,
        indexers: Mapping[str, Indexer],
        read: Read,
    ) -> None:
        self._days, self._mib_s = settings.scrub_days, settings.scrub_mib_s
        self._timing, self._strain = timing, strain
        self._indexers, self._read = indexers, read
        self._task: asyncio.Task[None] | None = None
        self._last: dict[int, float] = {}
        self._saved: dict[int, float] = {}
        self._tried: dict[int, float] = {}

    def start(self) -> None:
        if self._days:
            self._task = asyncio.create_task(self._run(), name="media:scrub")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        first, between = self._timing.scrub
        await asyncio.sleep(first)
        while True:
            for name in sorted(self._indexers):
                if (indexer := self._indexers.get(name)) is not None:
                    await self._round(indexer)
            await asyncio.sleep(between)

    async def _round(self, indexer: Indexer) -> None:
        """One library. What fails there is said by whoever looks at it; here it is tried again."""
        shelf = indexer.shelf
        if indexer.busy or shelf.numbers.state != "ok" or await self._strain.now():
            return
        library, present = shelf.stored.id, time.monotonic()
        since = present - self._last.get(library, present - self._timing.scrub[1])
        self._last[library] = present
        period = self._days * _DAY_S
        whole = shelf.numbers.bytes
        share = min(whole, self._saved.get(library, 0.0) + whole * since / period)
        self._saved[library] = share
        # Damaged files are tried once a day: a cable may be plugged in again.
        retry = present - self._tried.get(library, -_DAY_S) >= _DAY_S
        reading = Reading(
            before=time.time_ns() - period * 10**9,
            share=int(share),
            damaged=retry,
            mib_s=self._mib_s,
        )

        async def pace(_process: Process, _frame: Frame) -> None:
            if indexer.busy or indexer.removed or await self._strain.now():
                raise _GivesWayError

        try:
            found = await self._read(indexer, reading, pace)
        except _GivesWayError:
            return
        except ArcanumError as error:
            _log.warning("scrub of %s: %s", shelf.stored.name, error.message)
            return
        self._saved[library] = share - found.spare
        if retry:
            self._tried[library] = present
