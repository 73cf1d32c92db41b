"""Decides what is looked into, and when: new and changed files, the newest first, behind all else.

Finding out what files hold is the least urgent thing that is done with them. While a library is
scanned or hashed, or the machine is under strain, it waits; where that takes long it goes on, in a
fifth of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Failed, StoreFailed
from engine.media.catalogue import Stored
from engine.media.survey.process import Bounds, Examiner, Target
from engine.media.survey.records import Records

_log = logging.getLogger(__name__)
_NEWEST = 2**63 - 1
_PASSED = 20_000
_LOOK_AGAIN_S = 0.25
_WRITTEN_TOGETHER = 128


@dataclass(frozen=True, slots=True)
class Manner:
    """``together``: files of one batch. In seconds: how long it gives way before it goes on in
    ``share`` of the time, after a failure how long until the next try, and how long the process
    waits for more.
    """

    together: int = 256
    gives_way: float = 20.0
    share: float = 0.2
    retry: float = 60.0
    linger: float = 10.0


class Surveyor:
    """``busy``: whether something more urgent is going on. ``told``: of a library, files that were
    looked into. ``bounds`` and ``manner`` are for tests.
    """

    def __init__(
        self,
        records: Records,
        *,
        busy: Callable[[], Awaitable[bool]],
        told: Callable[[Stored, int], None],
        bounds: Bounds | None = None,
        manner: Manner | None = None,
    ) -> None:
        self._records, self._busy, self._told = records, busy, told
        self._manner = manner or Manner()
        self._examiner, self._examining = Examiner(bounds or Bounds()), asyncio.Lock()
        self._libraries: dict[int, Stored] = {}
        self._wanted: dict[int, None] = {}
        self._retries: dict[int, asyncio.TimerHandle] = {}
        self._passed: OrderedDict[int, list[int]] = OrderedDict()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._busy_since: float | None = None
        self._rest_until = 0.0

    @property
    def pid(self) -> int | None:
        """The process that looks into files, while there is one."""
        return self._examiner.pid

    # --- being told -----------------------------------------------------------------------------

    def wake(self, library: Stored) -> None:
        """Something of this library may be new. Cheap: it may be said all the time."""
        self._libraries[library.id] = library
        if library.id not in self._retries:
            self._wanted[library.id] = None
            self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="media:survey")

    def forget(self, library: int) -> None:
        """It is a library no more."""
        self._libraries.pop(library, None)
        self._wanted.pop(library, None)
        if timer := self._retries.pop(library, None):
            timer.cancel()

    async def stop(self) -> None:
        for library in [*self._libraries]:
            self.forget(library)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._examiner.close()

    async def look(self, library: Stored, target: Target) -> None:
        """This file, now. Where that cannot be, nothing is told of it. Raises StoreFailed."""
        try:
            await self._batch(library, {target[0]: target})
        except StoreFailed:
            raise
        except Failed as error:
            _log.info("looking into a file of %s: %s", library.name, error.message)

    # --- its own work ---------------------------------------------------------------------------

    async def _run(self) -> None:
        with suppress(StoreFailed):  # Whoever writes next is told.
            await self._records.reopen()
        while True:
            while self._wanted:
                library = next(iter(self._wanted))
                del self._wanted[library]
                try:
                    await self._survey(library)
                except ArcanumError as error:
                    self._later(library, error.message)
                except Exception as error:  # noqa: BLE001 - one library must not end all
                    _log.error("looking into files: a defect", exc_info=error)
                    self._later(library, visible(repr(error))[:200])
            self._woken.clear()
            try:
                async with asyncio.timeout(self._manner.linger):
                    await self._woken.wait()
            except TimeoutError:
                await self._examiner.close()
                await self._woken.wait()

    def _later(self, library: int, why: str) -> None:
        """Nothing is lost: what is to be done stands in the catalogue."""
        if library not in self._libraries:
            return
        _log.info("looking into the files of %s: %s", self._libraries[library].name, why)

        def again() -> None:
            del self._retries[library]
            self._wanted[library] = None
            self._woken.set()

        loop = asyncio.get_running_loop()
        self._retries[library] = loop.call_later(self._manner.retry, again)

    async def _survey(self, library: int) -> None:
        """Once over all that waits, from the newest. What cannot be read now is passed by."""
        before = _NEWEST
        while (stored := self._libraries.get(library)) is not None:
            page = await self._records.pending(library, before, self._manner.together)
            if not page:
                return
            before = page[-1][0]
            targets = {t[0]: t for t in page if self._passed.get(t[0]) != t[2]}
            if not targets:
                continue
            await self._give_way()
            began = time.monotonic()
            await self._batch(stored, targets)
            ended = time.monotonic()
            self._rest_until = ended + (ended - began) * (1 / self._manner.share - 1)

    async def _batch(self, library: Stored, targets: dict[int, Target]) -> None:
        waiting: list[Any] = []
        async with self._examining:
            self._records.begin(library.id, targets)
            try:
                async for rows in self._examiner.examine(library.root, list(targets.values())):
                    told = [r for r in rows if isinstance(r, dict) and r.get("id") in targets]
                    waiting += self._sorted(targets, told)
                    if len(waiting) >= _WRITTEN_TOGETHER:
                        await self._put(library, targets, waiting)
                        waiting = []
            except Failed:  # What was found until then is not lost.
                await self._put(library, targets, waiting)
                raise
            await self._put(library, targets, waiting)

    async def _put(self, library: Stored, targets: dict[int, Target], rows: list[Any]) -> None:
        if rows:
            await self._records.put(targets, rows)
            self._told(library, len(rows))

    def _sorted(self, targets: dict[int, Target], rows: Sequence[dict[str, Any]]) -> list[Any]:
        """The rows that say what a file holds; the others are remembered, until the file moves."""
        told = []
        for row in rows:
            if isinstance(row.get("trait"), dict):
                told.append(row)
            else:
                self._passed[row["id"]] = targets[row["id"]][2]
                while len(self._passed) > _PASSED:
                    self._passed.popitem(last=False)
        return told

    async def _give_way(self) -> None:
        """Waits while something else goes on; after a while only so long that it has its share."""
        while await self._busy():
            present = time.monotonic()
            if self._busy_since is None:
                self._busy_since = present
            if present >= max(self._busy_since + self._manner.gives_way, self._rest_until):
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
        self._busy_since = None


__all__ = ["Bounds", "Manner", "Surveyor"]
