"""The quota room: limits and gauges, plans, the trash, undo."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.contract import quota
from engine.contract.assets import LibraryName
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.holding import TrashJournal
from engine.contract.ports import Concern
from engine.ground import Ground
from engine.quota import words
from engine.quota.book import Book
from engine.quota.gauges import Gauges
from engine.quota.planner import Planner
from engine.quota.prune import PruneActs
from engine.quota.purge import PurgeActs
from engine.quota.trash import TrashRoom, unbroken


class QuotaRoom:
    """Uses the ``Catalogue`` port when it is asked, so that undo works without the media room."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._book = Book(ground.state, ground.machine)
        self._gauges = Gauges(ground, self._book)
        self._trash = TrashRoom(ground, self._book)
        self._planner = Planner(ground, self._book, self._trash.catch_up)
        self._acts = PruneActs(ground, self._book, self._planner, self._trash)
        self._purges = PurgeActs(ground, self._book, self._trash)

    async def start(self) -> None:
        """Settles what a crash left in flight, then binds."""
        await self._trash.settle_all()
        door = self._ground.door
        door.unary(quota.SHOW, self._show)
        door.unary(quota.SET, self._set)
        door.unary(quota.CHECK, self._check)
        door.unary(quota.PLAN, self._plan)
        door.unary(quota.TRASH, self._show_trash)
        door.unary(quota.UNDO, self._undo)
        door.high(quota.PRUNE, self._acts)
        door.high(quota.PURGE, self._purges)
        self._ground.provide(TrashJournal, self._book)  # type: ignore[type-abstract]
        self._ground.probes["quota"] = self._concerns

    async def stop(self) -> None:
        """An undo ends after the files in flight; the rest stays in the trash."""
        await self._trash.stop()

    async def _show(self, _request: Empty, _call: Call) -> quota.GaugeList:
        return quota.GaugeList(gauges=await self._gauges.every())

    async def _set(self, request: quota.SetLimit, _call: Call) -> quota.Gauge:
        await self._gauges.of(request.library)
        await self._book.set_limit(request.library, request.max_bytes)
        return await self._gauges.of(request.library)

    async def _check(self, _request: Empty, _call: Call) -> quota.CheckResult:
        gauges = await self._gauges.every()
        ok = all(gauge.state in {"ok", "none"} for gauge in gauges)
        return quota.CheckResult(ok=ok, gauges=gauges)

    async def _plan(self, request: LibraryName, _call: Call) -> quota.Plan:
        plan, items = await self._planner.make(request.library)
        seeding = await self._planner.seeding(plan, items)
        copied = await self._planner.copied(items)
        return await asyncio.to_thread(words.plan, plan, items, seeding, copied)

    async def _show_trash(self, _request: Empty, _call: Call) -> quota.Trash:
        return await self._trash.show()

    async def _undo(self, request: quota.PlanId, _call: Call) -> quota.UndoResult:
        return await unbroken(self._trash.undo(request.plan_id))

    async def _concerns(self) -> Sequence[Concern]:
        return [*await self._gauges.concerns(), *await self._trash.concerns()]
