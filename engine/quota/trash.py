"""The trash: journaled moves into it and out of it, settled after a crash, and undo.

Each chunk of files is an intent in the journal, then the renames, then the journal again, each
durable before the next. What a crash leaves is settled by one look at the disk: a trashed file
has its number as name in its plan's folder, or it is not in the trash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from engine.contract.base import PathRef
from engine.contract.errors import ArcanumError, Busy, Cancelled, Refused
from engine.contract.ports import Catalogue, Concern, Severity
from engine.contract.quota import Trash, TrashedPlan, TrashItem, UndoResult
from engine.ground import Ground
from engine.quota import disk, moves, words
from engine.quota.book import (
    DONE,
    EXECUTING,
    OPEN,
    PARTIAL,
    PURGED,
    UNDONE,
    Book,
    PlanRow,
    frees_of,
    weigh,
)
from engine.quota.disk import Bin, Item, Root, Unreachable
from engine.quota.moves import Place, Problems

T = TypeVar("T")
CHUNK = 64
"""Files in flight at once. Their folders are held open meanwhile: well below any system's bound."""
_REFRESH = 1000
_SHOWN = 25_000
"""Files in one listing of the trash, over all plans."""

log = logging.getLogger("arcanum.quota")
Act = Callable[[Root, Bin, Sequence[Item]], Problems]
"""Called in a thread, with the library and its trash open."""


def chunks(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    return (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))


async def unbroken(work: Awaitable[T]) -> T:
    """Waits for ``work`` to its end, even where the caller is cancelled; then passes that on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


@dataclass(slots=True)
class Report:
    """What an act did. ``problems`` says which files it left, and why."""

    done: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return weigh(self.done)


class TrashRoom:
    """``locks``: one for each library, so that a prune, an undo and a purge never overlap."""

    def __init__(self, ground: Ground, book: Book) -> None:
        self._ground = ground
        self._book = book
        self._locks: dict[str, asyncio.Lock] = {}
        self._unsettled: dict[str, str] = {}
        self._caught_up: set[str] = set()
        self.stopping = False

    async def stop(self) -> None:
        """No act starts another chunk; returns when none is under way."""
        self.stopping = True
        for lock in self._locks.values():
            async with lock:
                pass

    def lock(self, library: str) -> asyncio.Lock:
        return self._locks.setdefault(library, asyncio.Lock())

    # --- journaled acts -------------------------------------------------------------------------

    async def step(
        self, plan: PlanRow, items: Sequence[Item], intent: Place, done: Place, act: Act
    ) -> Problems:
        """One chunk: intent, act, outcome. Raises Unreachable, and then nothing was touched."""
        before = Place.LIBRARY if intent is Place.MOVING else Place.TRASH
        await self._book.place(plan, {item.n: intent for item in items})
        try:
            problems = await asyncio.to_thread(opened, plan, items, act)
        except Unreachable:
            await self._book.place(plan, {item.n: before for item in items})
            raise
        await self._book.place(
            plan, {item.n: before if item.n in problems else done for item in items}
        )
        return problems

    async def _all(
        self, plan: PlanRow, items: Sequence[Item], intent: Place, done: Place, act: Act
    ) -> Report:
        report = Report()
        for chunk in chunks(items):
            if self.stopping:
                break
            report_problems(report, chunk, await self.step(plan, chunk, intent, done, act))
        return report

    # --- after a crash --------------------------------------------------------------------------

    async def settle_all(self) -> None:
        """Every file that was in flight gets its place; every plan its state."""
        for plan in await self._book.plans(EXECUTING, DONE, PARTIAL):
            with suppress(Unreachable):  # Named in the status, and tried again when it matters.
                await self.settle(plan)

    async def settle(self, plan: PlanRow) -> None:
        """Raises Unreachable where the trash cannot be looked at: then nothing is known."""
        if plan.state == EXECUTING or (await self._book.intents(plan))[0]:
            await self.finish(plan)

    async def finish(self, plan: PlanRow, touched: Sequence[Item] = ()) -> None:
        """The end of an act, also of one that broke off: settles what is in flight, draws the
        plan's state, drops an empty trash folder, tells the catalogue. Raises Unreachable."""
        items, was = await self._book.intents(plan)
        if items:
            look = partial(moves.settle, was=was)
            try:
                places = await asyncio.to_thread(opened, plan, items, look)
            except Unreachable as error:
                self._unsettled[plan.id] = f"{plan.library}: {error.message}"
                raise
            await self._book.place(plan, places)
        self._unsettled.pop(plan.id, None)
        state = await self._book.close(plan)
        if state in {OPEN, UNDONE, PURGED}:
            await asyncio.to_thread(drop, plan, plan.folder)
        await self._refresh(plan.library, [*touched, *items])

    async def catch_up(self, library: str) -> None:
        """Before a plan: nothing is in flight, and the catalogue knows what is in the trash, also
        after a crash in between or a disk that was away. Raises Busy while a prune runs, and
        Unreachable."""
        executing = await self._book.plans(EXECUTING, library=library)
        if executing and self.lock(library).locked():
            raise Busy(
                f"{library} is being pruned ({executing[0].id}).", "Try again when it is done."
            )
        async with self.lock(library):
            for plan in await self._book.plans(EXECUTING, DONE, PARTIAL, library=library):
                await self.settle(plan)
                if library not in self._caught_up:
                    await self._refresh(library, await self._book.items(plan, Place.TRASH))
            self._caught_up.add(library)

    async def _refresh(self, library: str, items: Sequence[Item]) -> None:
        """The catalogue looks at these files again, now or before the next plan."""
        try:
            catalogue = self._ground.use(Catalogue)  # type: ignore[type-abstract]
            for start in range(0, len(items), _REFRESH):
                paths = [item.path for item in items[start : start + _REFRESH]]
                await catalogue.refresh(library, paths)
        except ArcanumError as error:
            self._caught_up.discard(library)
            log.warning("catalogue of %s not refreshed: %s", library, error.message)

    async def concerns(self) -> list[Concern]:
        return [
            Concern(Severity.UNKNOWN, plan_id, text, link="media")
            for plan_id, text in self._unsettled.items()
        ]

    # --- undo -----------------------------------------------------------------------------------

    async def undo(self, plan_id: str) -> UndoResult:
        """Brings back what waits in the trash. Doing it again finds nothing left to do.

        Raises NotFound, Refused for a plan that was never executed or was purged, Unreachable.
        """
        library = (await self._book.plan(plan_id)).library
        async with self.lock(library):
            await self.settle(await self._book.plan(plan_id))
            plan = await self._book.plan(plan_id)
            if plan.state == UNDONE:
                return UndoResult(plan_id=plan_id, restored=0, bytes=0)
            if plan.state == PURGED:
                raise Refused(
                    f"The trash of {plan_id} was purged: its files were deleted for good.",
                    "Restore them from a backup.",
                )
            if plan.state not in {DONE, PARTIAL}:
                raise Refused(
                    f"Nothing of {plan_id} is in the trash: it is {plan.state}.",
                    "arcanum quota trash lists what is.",
                )
            items = await self._book.items(plan, Place.TRASH)
            report = await self._all(plan, items, Place.RETURNING, Place.RESTORED, moves.to_library)
            if report.done:
                await self.finish(plan, report.done)
        if len(items) > len(report.done) + len(report.left):
            raise Cancelled(
                f"The engine stopped: {len(report.done):,} of {words.files(len(items))} are back.",
                f"The others wait in the trash: arcanum quota undo {plan_id}",
            )
        return UndoResult(
            plan_id=plan_id,
            restored=len(report.done),
            bytes=report.bytes,
            conflicts=tuple(PathRef.of(item.path) for item in report.left),
        )

    # --- what waits -----------------------------------------------------------------------------

    async def show(self) -> Trash:
        """What waits for a purge; newest first."""
        plans: list[TrashedPlan] = []
        room = _SHOWN
        for plan in await self._book.plans(EXECUTING, DONE, PARTIAL):
            items = await self._book.items(plan, Place.TRASH, Place.RETURNING, Place.DELETING)
            if items:
                plans.append(await asyncio.to_thread(_shown, plan, items, room))
                room -= len(plans[-1].items)
        return Trash(
            files=sum(plan.files for plan in plans),
            bytes=sum(plan.bytes for plan in plans),
            frees_on_purge=sum(plan.frees_on_purge for plan in plans),
            plans=tuple(plans),
        )


def report_problems(report: Report, chunk: Sequence[Item], problems: Problems) -> None:
    for item in chunk:
        if problem := problems.get(item.n):
            report.left.append(item)
            report.problems.append(f"{item.display} {problem}")
        else:
            report.done.append(item)


def opened(
    plan: PlanRow, items: Sequence[Item], act: Callable[[Root, Bin, Sequence[Item]], T]
) -> T:
    assert plan.folder is not None
    with Root(plan.root) as root, Bin(root, plan.folder) as trash:
        return act(root, trash, items)


def drop(plan: PlanRow, folder: str | None) -> None:
    """Removes the plan's empty trash folder. One that cannot be removed does no harm."""
    if folder is None:
        return
    try:
        with Root(plan.root) as root:
            disk.drop_bin(root, folder)
    except (Unreachable, OSError) as error:
        log.warning("empty trash folder of %s not removed: %s", plan.id, error)


def _shown(plan: PlanRow, items: Sequence[Item], room: int) -> TrashedPlan:
    assert plan.trashed_at is not None
    frees = frees_of(items)
    return TrashedPlan(
        plan_id=plan.id,
        library=plan.library,
        files=len(items),
        bytes=weigh(items),
        frees_on_purge=sum(frees.values()),
        trashed_at=plan.trashed_at,
        items=tuple(
            TrashItem(
                path=PathRef.of(item.path),
                library=plan.library,
                size=item.identity.size,
                frees=frees.get(item.n, 0),
                trashed_at=plan.trashed_at,
            )
            for item in items[:room]
        ),
    )
