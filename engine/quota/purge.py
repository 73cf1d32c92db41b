"""The four acts of a purge: what waits in the trash of one plan is deleted for good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from engine.contract.approvals import ApprovalState, Outcome
from engine.contract.base import Json
from engine.contract.call import Call
from engine.contract.errors import Refused, Unavailable
from engine.contract.holding import Copies, GoneFile, Holders, Wanted
from engine.contract.ports import Draft, Execution, StoredPlan
from engine.contract.quota import PlanId
from engine.ground import Ground
from engine.quota import moves, words
from engine.quota.book import DONE, PARTIAL, Book, PlanRow, frees_of, weigh
from engine.quota.disk import Bin, Item, Obstacle, Root, Unreachable
from engine.quota.moves import Place, Problems
from engine.quota.trash import Report, TrashRoom, chunks, opened, report_problems, unbroken


class PurgeActs:
    """Implements ``HighRisk[PlanId]``."""

    def __init__(self, ground: Ground, book: Book, trash: TrashRoom) -> None:
        self._ground = ground
        self._book = book
        self._trash = trash

    async def plan(self, request: PlanId, call: Call) -> Draft:
        row = await self._book.plan(request.plan_id)
        async with self._trash.lock(row.library):
            await self._trash.settle(row)
            row = await self._book.plan(request.plan_id)
            items = await self._book.items(row, Place.TRASH)
            if row.state not in {DONE, PARTIAL} or not items:
                raise Refused(
                    f"Nothing of {row.id} is in the trash: it is {row.state}.",
                    "arcanum quota trash lists what is.",
                )
            lost = await self._lost(row, items)
        intact = [item for item in items if item.n not in lost]
        if not intact:
            raise Refused(
                f"No file in the trash of {row.id} is what was put there.",
                "Look at the library's trash folder yourself.",
            )
        wanted, copied = await self._wanted(row, intact), await self._copied(intact)
        hours = timedelta(hours=self._ground.config.approvals.expires_hours)
        return await asyncio.to_thread(_draft, row, intact, wanted, copied, hours.total_seconds())

    async def _copied(self, items: Sequence[Item]) -> words.Copied | None:
        """None where nobody is there who could tell."""
        try:
            copies = self._ground.use(Copies)  # type: ignore[type-abstract]
        except Unavailable:
            return None
        hashes = {item.blake3 for item in items if item.blake3 is not None}
        return await copies.copied(hashes, {item.inode for item in items})

    async def _wanted(self, row: PlanRow, items: Sequence[Item]) -> Wanted:
        """What torrents would find again if it were brought back, where there is a client."""
        clients = self._ground.config.media.clients
        if not clients:
            return Wanted()
        try:
            holders = self._ground.use(Holders)  # type: ignore[type-abstract]
        except Unavailable:
            return Wanted(unasked=tuple((one.name, "media is not running") for one in clients))
        return await holders.wanted(
            GoneFile(row.root.rstrip(b"/") + b"/" + i.path, i.identity.size, i.inode) for i in items
        )

    async def check(self, plan: StoredPlan) -> list[str]:
        row = await self._book.plan(plan.payload["plan_id"])
        if row.state not in {DONE, PARTIAL}:
            return [f"nothing of {row.id} is in the trash: it is {row.state}"]
        items = await self._approved(plan, row)
        if len(items) != len(plan.payload["items"]):
            return ["some of the files are not in the trash any more"]
        try:
            lost = await self._lost(row, items)
        except Unreachable as error:
            return [error.message]
        return list(words.some([f"{i.display} {lost[i.n]}" for i in items if i.n in lost]))

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        row = await self._book.plan(plan.payload["plan_id"])
        report, stopped = Report(), False
        async with self._trash.lock(row.library):
            items = await self._approved(plan, row)
            try:
                for chunk in chunks(items):
                    if stopped := run.stopping() or self._trash.stopping:
                        break
                    step = self._trash.step(row, chunk, Place.DELETING, Place.GONE, moves.delete)
                    report_problems(report, chunk, await unbroken(step))
                    await run.progress(len(report.done), len(plan.payload["items"]))
            except Unreachable as error:
                report.problems.append(error.message)
            finally:
                try:
                    await unbroken(self._trash.finish(row))
                except Unreachable as error:
                    report.problems.append(error.message)
        return _outcome(row, plan, report.done, report.problems, stopped=stopped)

    async def settle(self, plan: StoredPlan) -> Outcome:
        row = await self._book.plan(plan.payload["plan_id"])
        problems: list[str] = []
        async with self._trash.lock(row.library):
            try:
                await self._trash.settle(row)
            except Unreachable as error:
                problems.append(f"Which files are deleted is not known: {error.message}")
        approved = _keys(plan)
        gone = [i for i in await self._book.items(row, Place.GONE) if i.key in approved]
        return _outcome(row, plan, gone, problems, stopped=True)

    async def _approved(self, plan: StoredPlan, row: PlanRow) -> list[Item]:
        approved = _keys(plan)
        items = await self._book.items(row, Place.TRASH)
        return [item for item in items if item.key in approved]

    async def _lost(self, row: PlanRow, items: list[Item]) -> Problems:
        """The files that are not in the trash as they were put there."""
        lost: Problems = {}
        for chunk in chunks(items):
            lost |= await asyncio.to_thread(opened, row, chunk, _look)
        return lost


def _look(_root: Root, trash: Bin, items: Sequence[Item]) -> Problems:
    lost: Problems = {}
    for item in items:
        try:
            moves.still_ours(trash, item)
        except Obstacle as obstacle:
            lost[item.n] = str(obstacle)
    return lost


def _keys(plan: StoredPlan) -> set[str]:
    return {item["key"] for item in plan.payload["items"]}


def _draft(
    row: PlanRow, items: list[Item], wanted: Wanted, copied: words.Copied | None, ttl_s: float
) -> Draft:
    frees = sum(frees_of(items).values())
    library: Json = {"library": row.library, "folder": row.folder}
    return Draft(
        request={"plan_id": row.id},
        payload={
            "act": "purge",
            "plan_id": row.id,
            "items": [{"key": item.key} for item in items],
            "wanted": [item.key for item in items if item.inode in wanted.by],
            "unasked": [name for name, _why in wanted.unasked],
        },
        preconditions=(
            library,
            *(
                {
                    "key": item.key,
                    "ino": item.identity.ino,
                    "size": item.identity.size,
                    "mtime_ns": item.identity.mtime_ns,
                }
                for item in items
            ),
        ),
        card=words.purge_card(row, items, frees, wanted, copied),
        ttl_s=ttl_s,
    )


def _outcome(
    row: PlanRow, plan: StoredPlan, gone: list[Item], problems: list[str], *, stopped: bool
) -> Outcome:
    total, done = len(plan.payload["items"]), len(gone)
    if done == total:
        state = ApprovalState.DONE
    elif stopped:
        state = ApprovalState.INTERRUPTED
    else:
        state = ApprovalState.PARTIAL if done else ApprovalState.FAILED
    freed = sum(frees_of(gone).values())
    return Outcome(
        state=state,
        done=done,
        total=total,
        summary=f"{done:,} of {words.files(total)} of {row.id} deleted, {words.size(freed)} free",
        problems=words.some(problems),
        result={"plan_id": row.id, "deleted": done, "bytes": weigh(gone), "freed": freed},
        ends=row.undo if state is ApprovalState.DONE else None,
    )
