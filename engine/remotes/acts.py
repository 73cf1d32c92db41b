"""The four acts of a transfer: plan, check, execute, settle; and those of a copy and a sync."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from engine.contract.approvals import ApprovalState, Card, Outcome
from engine.contract.base import PathRef, visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, NotFound, Refused, StoreFailed
from engine.contract.events import Event
from engine.contract.ports import Draft, Execution, StoredPlan
from engine.contract.remotes import Send, Sent
from engine.remotes import comparing, local, plans, words
from engine.remotes.cards import card
from engine.remotes.inventory import take
from engine.remotes.local import Place
from engine.remotes.plans import Approved, Findings, Item, Planner
from engine.remotes.rc import Rc
from engine.remotes.reach import Reach
from engine.remotes.running import (
    DELETED,
    DELETING,
    SENDING,
    SENT,
    VERIFIED,
    Report,
    Running,
)
from engine.remotes.sending import Sending
from engine.remotes.target import Target, resolve
from engine.remotes.telling import Telling
from engine.remotes.transfers import Transfers
from engine.remotes.walking import Object, walk
from engine.store import Transaction

_FEW = 50
"""So many files are asked for one by one; for more the remote is listed again."""


class Acts(ABC):
    """Implements ``HighRisk[Send]``. ``verb``: what its card says; ``moved``: what was done with
    the files of it that were carried over, and ``way`` where they went."""

    moved: ClassVar[str]
    way: ClassVar[str]

    def __init__(self, reach: Reach, transfers: Transfers, verb: str) -> None:
        self._reach = reach
        self._transfers = transfers
        self._verb = verb

    @abstractmethod
    async def _find(
        self, rc: Rc, place: Place, target: Target, chosen: Findings, pace: Telling
    ) -> Findings:
        """What would be done. Whatever was listed for it is forgotten again."""

    @abstractmethod
    def _nothing(self, place: Place, target: Target, found: Findings) -> Refused:
        """Says why there is nothing to do."""

    @abstractmethod
    def _card(self, place: Place, target: Target, found: Findings, rate: int) -> Card: ...

    @abstractmethod
    def _running(self, number: int, operation: str, plan: Approved) -> Running:
        """What carries it out."""

    @abstractmethod
    def _event(self, plan: Approved, outcome: Outcome) -> Event: ...

    @abstractmethod
    async def _after(self, number: int, plan: Approved, report: Report) -> None:
        """What is to be done with that which was carried over, however it ended."""

    # --- plan -----------------------------------------------------------------------------------

    async def plan(self, request: Send, call: Call) -> Draft:
        catalogue = await self._reach.catalogue()
        place = await local.place(catalogue, request.library, request.folder)
        settings = self._reach.settings
        rate = int(settings.bandwidth if request.bandwidth is None else request.bandwidth)
        chosen = Findings(frozenset(request.only), frozenset(request.keep))
        async with self._reach.rcd.use() as rc:
            target = await resolve(rc, request.remote)
            await self._reach.apart(target)
            pace = Telling(self._reach.ground, place.name, target.fs)
            found = await self._find(rc, place, target, chosen, pace)
        if not found.items:
            if found.kept:
                raise Refused("All of it would be left out: nothing is left.", "Deny it instead.")
            raise self._nothing(place, target, found)
        hours = self._reach.ground.config.approvals.expires_hours
        draft = await asyncio.to_thread(self._draft, place, target, found, rate)
        return replace(draft, ttl_s=hours * 3600)

    def _draft(self, place: Place, target: Target, found: Findings, rate: int) -> Draft:
        kind = self._reach.kind(target)
        folder = PathRef.of(place.folder).model_dump() if place.folder else None
        return Draft(
            request={
                "library": place.name,
                "remote": target.fs,
                "folder": folder,
                "bandwidth": rate,
                # Whoever leaves some of these out is offered no other: see ``approvals.keep``.
                "only": [item.key for item in found.items],
                "keep": sorted(found.keep),
            },
            payload=plans.payload_of(place, target, found, kind, rate) | {"act": self._verb},
            preconditions=plans.preconditions_of(place, target, found),
            card=self._card(place, target, found, rate),
        )

    # --- check ----------------------------------------------------------------------------------

    async def check(self, plan: StoredPlan) -> list[str]:
        approved = await asyncio.to_thread(plans.approved, plan)
        try:
            problems = await asyncio.to_thread(_moved_here, approved)
            if not problems:
                async with self._reach.rcd.use() as rc:
                    target = await resolve(rc, approved.remote)
                    problems = _renamed(approved, target)
                    problems = problems or await self._moved_there(rc, approved, target)
        except ArcanumError as error:
            return [error.message.rstrip(".")]
        return list(words.some(problems))

    async def _moved_there(self, rc: Rc, plan: Approved, target: Target) -> list[str]:
        now = await self._now(rc, plan, target)
        return await asyncio.to_thread(_moved_since, plan, now)

    async def _now(self, rc: Rc, plan: Approved, target: Target) -> dict[str, Object]:
        """The planned files that are there, as they are now."""
        kind = self._reach.cheap(target)
        wanted = await asyncio.to_thread(lambda: {item.name for item in plan.items})
        found: dict[str, Object] = {}
        if len(wanted) <= _FEW:
            for name in wanted:
                if (there := await comparing.stat(rc, target, name, kind)) is not None:
                    found[name] = there
            return found
        try:
            async for batch in walk(rc, target, kind):
                found |= {each.path: each for each in batch.objects if each.path in wanted}
        except NotFound:
            return {}
        return found

    # --- execute --------------------------------------------------------------------------------

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        approved = await asyncio.to_thread(plans.approved, plan)
        running = self._running(plan.approval_id, plan.operation, approved)
        async with self._transfers.turn(running, approved.bandwidth):
            await self._reach.book.forget_acts(plan.approval_id)
            async with self._reach.rcd.use() as rc:
                target = await resolve(rc, approved.remote)
                if moved := _renamed(approved, target):
                    raise Refused(f"{moved[0]}. Nothing was done.", "Make a new plan.")
            report = await running.run(target, run)
            await self._after(plan.approval_id, approved, report)
        outcome = await asyncio.to_thread(self._outcome, approved, report.states, report)
        await self._tell(approved, report, outcome)
        return outcome

    async def _tell(self, plan: Approved, report: Report, outcome: Outcome) -> None:
        ground, event = self._reach.ground, self._event(plan, outcome)

        async def work(tx: Transaction) -> None:
            await tx.emit(event)

        try:
            await ground.state.write(work)
        except StoreFailed as error:  # How it ended is recorded by who asked, as soon as it can.
            report.problems.append(error.message)

    # --- settle ---------------------------------------------------------------------------------

    async def settle(self, plan: StoredPlan) -> Outcome:
        """rclone ended with the engine: a file in flight is there whole, in part, or not at all.
        That is for the remote to say, which may be away: it is named, and a check tells."""
        approved = await asyncio.to_thread(plans.approved, plan)
        states = await self._reach.book.acts(plan.approval_id)
        report = Report(states, stopped="the engine ended")
        return await asyncio.to_thread(self._outcome, approved, states, report)

    def _outcome(self, plan: Approved, states: dict[int, str], report: Report) -> Outcome:
        total = len(plan.items)

        def count(*which: str) -> Sequence[Item]:
            return [item for item in plan.items if states.get(item.n) in which]

        sent, verified, deleted = count(SENT, VERIFIED), count(VERIFIED), count(DELETED)
        done = len(verified) + len(deleted)
        problems = list(report.problems)
        if flying := count(SENDING, DELETING):
            names = ", ".join(item.shown for item in flying[:3])
            problems.insert(
                0, f"{words.files(len(flying))} in flight, there in part or not at all: {names}"
            )
        if len(sent) > len(verified):
            unsure = words.files(len(sent) - len(verified))
            problems.insert(0, f"{unsure} {self.moved}, and not verified")
        if done == total:
            state = ApprovalState.DONE
        elif report.stopped:
            state = ApprovalState.INTERRUPTED
            problems.insert(0, f"stopped: {report.stopped}")
        else:
            state = ApprovalState.PARTIAL if done else ApprovalState.FAILED
        size = sum(item.size for item in sent)
        where = f"{self.moved} {self.way} {visible(plan.remote)}"
        summary = f"{words.files(len(sent))}, {words.size(size)}, {where}"
        if len(sent) > len(verified):
            summary += f"; {len(sent) - len(verified):,} of them not verified"
        if deleted:
            summary += f"; {len(deleted):,} deleted there"
        if left := total - len(sent) - len(deleted):
            summary += f"; {words.files(left)} not done"
        return Outcome(
            state=state,
            done=done,
            total=total,
            summary=summary,
            problems=words.some(problems),
            result={
                "remote": visible(plan.remote),
                self.moved: len(sent),
                "bytes": size,
                "verified": len(verified),
                "verified_by_hash": report.by_hash,
                "deleted": len(deleted),
                "left": total - done,
            },
        )


class SendActs(Acts):
    """``deletes``: it is a sync."""

    moved, way = "sent", "to"

    def __init__(self, reach: Reach, transfers: Transfers, *, deletes: bool) -> None:
        super().__init__(reach, transfers, "sync" if deletes else "copy")
        self._deletes = deletes

    async def _find(
        self, rc: Rc, place: Place, target: Target, chosen: Findings, pace: Telling
    ) -> Findings:
        book = self._reach.book
        planner = Planner(
            rc, book, place, target, kind=self._reach.kind(target), deletes=self._deletes
        )
        try:
            tally = await take(rc, book, target, self._reach.cheap(target), pace)
        except NotFound:  # It is made when something is sent there.
            return await planner.find(await self._reach.catalogue(), None, chosen, pace)
        try:
            return await planner.find(await self._reach.catalogue(), tally, chosen, pace)
        finally:
            await book.drop(tally.number)

    def _nothing(self, place: Place, target: Target, found: Findings) -> Refused:
        there = words.files(sum(found.there.values()))
        left = f"; {words.files(found.left_count)} left out: {found.left[0]}" if found.left else ""
        where = visible(target.fs)
        return Refused(
            f"There is nothing to do: {there} of {place.name} are on {where} already{left}.",
            f"arcanum remotes check {place.name} {where} compares what they hold.",
        )

    def _card(self, place: Place, target: Target, found: Findings, rate: int) -> Card:
        return card(self._verb, place, target, found, rate)

    def _running(self, number: int, operation: str, plan: Approved) -> Running:
        reach = self._reach
        return Sending(
            number, operation, plan, rcd=reach.rcd, book=reach.book,
            at_once=reach.settings.transfers,
        )  # fmt: skip

    async def _after(self, number: int, plan: Approved, report: Report) -> None:
        """Nothing: what was sent is the remote's."""

    def _event(self, plan: Approved, outcome: Outcome) -> Event:
        return Sent(
            library=plan.place.name,
            remote=plan.remote,
            files=outcome.result["sent"],
            bytes=outcome.result["bytes"],
            deleted=outcome.result["deleted"],
            complete=outcome.state is ApprovalState.DONE,
            machine=self._reach.ground.machine,
        )


def _moved_since(plan: Approved, now: dict[str, Object]) -> list[str]:
    problems = []
    for item in plan.items:
        there = now.get(item.name)
        if item.there is not None:
            moved = item.there.differs(there)
        else:
            moved = "is there by now" if there is not None else ""
        if moved:
            problems.append(f"{visible(item.name)} {moved}")
    return problems


def _moved_here(plan: Approved) -> list[str]:
    problems = []
    with local.opened(plan.place.path, plan.place.root) as root:
        for item in plan.items:
            if item.act == "fetch":
                moved = "" if local.is_free(root, item.path) else "is here by now"
            elif item.here is None:
                moved = "" if plan.place.is_absent(root, item.name) else "is here again"
            else:
                moved = local.moved(root, item.path, item.here)
            if moved:
                problems.append(f"{item.shown} {moved}")
    return problems


def _renamed(plan: Approved, target: Target) -> list[str]:
    if target.kind == plan.kind:
        return []
    return [f"{visible(plan.remote)} is another place than when the plan was made"]
