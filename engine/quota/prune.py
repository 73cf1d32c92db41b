"""The four acts of a prune: plan, check, execute, settle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from engine.contract.approvals import ApprovalState, Outcome
from engine.contract.base import PathRef, now
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Invalid, Refused
from engine.contract.holding import Holders
from engine.contract.ports import Catalogue, Draft, Execution, StoredPlan
from engine.contract.quota import Prune
from engine.ground import Ground
from engine.quota import disk, in_use, moves, words
from engine.quota.book import OPEN, Book, PlanRow, Tally
from engine.quota.checks import moved
from engine.quota.disk import Bin, Identity, Item, Root, Unreachable
from engine.quota.moves import Place, Problems
from engine.quota.planner import (
    Planner,
    index_of,
    needed,
    not_open,
    payload_of,
    preconditions_of,
    request_of,
)
from engine.quota.trash import Report, TrashRoom, chunks, drop, report_problems, unbroken

_IN_USE_S = 2.0
"""How old the list of files that others open or hold may be when a file moves, in seconds."""


class PruneActs:
    """Implements ``HighRisk[Prune]``."""

    def __init__(self, ground: Ground, book: Book, planner: Planner, trash: TrashRoom) -> None:
        self._ground = ground
        self._book = book
        self._planner = planner
        self._trash = trash

    async def plan(self, request: Prune, call: Call) -> Draft:
        if request.plan_id is not None:
            plan, items = await self._planner.less(request.library, request.plan_id, request.keep)
        elif request.keep:
            raise Invalid("keep names items of a plan, and there is no plan_id.", "Give both.")
        else:
            plan, items = await self._planner.make(request.library)
        if problem := await asyncio.to_thread(disk.unwritable, plan.root):
            raise Refused(
                f"Nothing can be moved in {PathRef.of(plan.root).display}: {problem}.",
                "Make the library's folder writable, then prune again.",
            )
        hours = timedelta(hours=self._ground.config.approvals.expires_hours)
        await self._book.ask(plan, now() + hours)
        seeding = await self._planner.seeding(plan, items)
        copied = await self._planner.copied(items)
        return await asyncio.to_thread(_draft, plan, items, seeding, copied, hours.total_seconds())

    @property
    def _holders(self) -> Holders:
        return self._ground.use(Holders)  # type: ignore[type-abstract]

    async def check(self, plan: StoredPlan) -> list[str]:
        approved = await asyncio.to_thread(_Approved, plan)
        row = await self._book.plan(approved.plan_id)
        if row.state != OPEN:
            return [not_open(row)]
        limit = (await self._book.limits()).get(row.library)
        if limit != approved.limit:
            is_now = words.size(limit) if limit else "none"
            return [f"the limit was {words.size(approved.limit)} and is {is_now}"]
        try:
            return list(words.some(await self._moved(row.library, approved)))
        except ArcanumError as error:
            return [error.message]

    async def _moved(self, name: str, approved: _Approved) -> list[str]:
        library = await self._ground.use(Catalogue).library(name)  # type: ignore[type-abstract]
        if library.path.data != approved.root:
            return [f"{name} is another folder than when the plan was made"]
        if problems := await moved(approved.root, approved.items, *approved.root_inode):
            return problems
        if problems := await self._planner.held(approved.items):
            return problems
        excess = library.bytes - approved.limit
        if await asyncio.to_thread(needed, approved.items, excess):
            return []
        over = words.size(max(0, excess))
        return [f"{name} is {over} over its limit now: less needs to move"]

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        approved = await asyncio.to_thread(_Approved, plan)
        total = len(approved.items)
        row = await self._book.plan(approved.plan_id)
        async with self._trash.lock(row.library):
            try:
                folder = await asyncio.to_thread(_make_bin, approved)
            except Unreachable as error:
                return Outcome(
                    state=ApprovalState.FAILED,
                    total=total,
                    summary=error.message,
                    problems=(error.hint,),
                )
            row = await self._begin(row, folder, plan.approval_id)
            report = Report()
            try:
                stopped = await self._move(row, approved.items, report, run)
            finally:
                try:
                    await unbroken(self._trash.finish(row, report.done))
                except Unreachable as error:
                    report.problems.append(error.message)
        return _outcome(row, report, total, stopped=stopped)

    async def settle(self, plan: StoredPlan) -> Outcome:
        total = len(plan.payload["items"])
        row = await self._book.plan(plan.payload["plan_id"])
        problems: tuple[str, ...] = ()
        async with self._trash.lock(row.library):
            try:
                await self._trash.settle(row)
            except Unreachable as error:
                problems = (f"Where the files in flight are is not known: {error.message}",)
        done = (await self._book.tally(row)).get(Place.TRASH, Tally())
        ended = done.files == total and not problems
        return Outcome(
            state=ApprovalState.DONE if ended else ApprovalState.INTERRUPTED,
            done=done.files,
            total=total,
            summary=f"{done.files:,} of {words.files(total)} moved to the trash of {row.id}",
            problems=problems,
            result={"plan_id": row.id, "moved": done.files, "bytes": done.bytes},
            undo=row.undo if done.files else None,
        )

    async def _begin(self, row: PlanRow, folder: str, approval: int) -> PlanRow:
        try:
            await self._book.begin(row, folder, approval)
        except ArcanumError:
            await asyncio.to_thread(drop, row, folder)
            raise
        return await self._book.plan(row.id)

    async def _move(self, row: PlanRow, items: list[Item], report: Report, run: Execution) -> bool:
        """Moves chunk after chunk; True where it was stopped before the end."""
        wanted = frozenset(item.inode for item in items)
        touched: dict[tuple[int, int], int] = {}
        busy: dict[tuple[int, int], str] = {}
        looked_at = float("-inf")
        for chunk in chunks(items):
            if run.stopping() or self._trash.stopping:
                return True
            if time.monotonic() - looked_at > _IN_USE_S:
                use = await asyncio.to_thread(in_use.look, wanted)
                held = await self._holders.held(wanted)
                busy = {**dict.fromkeys(use.inodes, words.OPEN), **dict.fromkeys(held, words.HELD)}
                looked_at = time.monotonic()
            whose = busy

            def act(root: Root, trash: Bin, some: Sequence[Item]) -> Problems:
                return moves.to_trash(root, trash, some, whose, touched)  # noqa: B023

            try:
                problems = await unbroken(
                    self._trash.step(row, chunk, Place.MOVING, Place.TRASH, act)
                )
            except Unreachable as error:
                report.problems.append(error.message)
                return False
            report_problems(report, chunk, problems)
            await run.progress(len(report.done), len(items))
        return False


class _Approved:
    """What was approved, read back from the stored plan. CPU-bound for a large one."""

    def __init__(self, plan: StoredPlan) -> None:
        library, *identities = plan.preconditions
        self.plan_id: str = plan.payload["plan_id"]
        self.root = PathRef(display="", raw=plan.payload["root"]).data
        self.root_inode: tuple[int, int] = (library["root_dev"], library["root_ino"])
        self.limit: int = library["limit"]
        self.items = [
            Item(
                int(item["key"]),
                PathRef(display="", raw=item["path"]).data,
                Identity(**{name: found[name] for name in Identity.__dataclass_fields__}),
            )
            for item, found in zip(plan.payload["items"], identities, strict=True)
        ]


def _make_bin(approved: _Approved) -> str:
    with Root(approved.root) as root:
        if (root.dev, root.ino) != approved.root_inode:
            raise Unreachable(
                f"{PathRef.of(approved.root).display} is another folder than when the plan was"
                " made. Nothing was moved.",
                "Make a new plan.",
            )
        return disk.make_bin(root, approved.plan_id, index_of(approved.items))


def _draft(
    plan: PlanRow, items: list[Item], seeding: words.Seeding, copied: words.Copied, ttl_s: float
) -> Draft:
    use = in_use.look(frozenset(item.inode for item in items))
    known = words.Known(use, seeding, copied)
    card = words.prune_card(plan, items, known, disk.file_system(plan.root))
    return Draft(
        request=request_of(plan),
        payload=payload_of(plan, items),
        preconditions=preconditions_of(plan, items),
        card=card,
        ttl_s=ttl_s,
    )


def _outcome(row: PlanRow, report: Report, total: int, *, stopped: bool) -> Outcome:
    done = len(report.done)
    if done == total:
        state = ApprovalState.DONE
    elif stopped:
        state = ApprovalState.INTERRUPTED
    else:
        state = ApprovalState.PARTIAL if done else ApprovalState.FAILED
    summary = f"{words.files(done)}, {words.size(report.bytes)}, moved to the trash of {row.id}"
    if done < total:
        summary += f"; {words.files(total - done)} stayed"
    return Outcome(
        state=state,
        done=done,
        total=total,
        summary=summary,
        problems=words.some(report.problems),
        result={
            "plan_id": row.id,
            "moved": done,
            "bytes": report.bytes,
            "stayed": total - done,
        },
        undo=row.undo if done else None,
    )
