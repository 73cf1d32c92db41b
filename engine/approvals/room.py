"""The queue of approvals: plans that wait, and what a person answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from engine.approvals import records
from engine.approvals.execution import Executions
from engine.contract import approvals
from engine.contract.approvals import Approval, ApprovalState, ApprovalSummary, Outcome
from engine.contract.base import Json, now
from engine.contract.call import Call
from engine.contract.digest import canonical, digest
from engine.contract.errors import (
    AlreadyAnswered,
    ArcanumError,
    Invalid,
    Refused,
    StoreFailed,
    WorldMoved,
)
from engine.contract.ports import (
    ApprovalDesk,
    Concern,
    Draft,
    HighRiskOperations,
    Severity,
    StoredPlan,
)
from engine.ground import Ground
from engine.store import Transaction

_log = logging.getLogger("arcanum.approvals")
_RETRY_S = 5.0


class ApprovalsRoom:
    """Owns the tables ``approval`` and ``payload``; provides the port ``ApprovalDesk``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state
        self._gate = ground.use(HighRiskOperations)  # type: ignore[type-abstract]
        self._executions = Executions(ground, self._gate)
        self._expiry: asyncio.Task[None] | None = None
        self._wake = self._executions.failed_to_record

    async def start(self) -> None:
        await self._executions.settle()
        door = self._ground.door
        door.unary(approvals.LIST, self._list)
        door.unary(approvals.SHOW, lambda request, _call: records.load(self._state, request.id))
        door.unary(approvals.APPROVE, self._approve)
        door.unary(approvals.DENY, self._deny)
        door.unary(approvals.KEEP, self._keep)
        self._ground.provide(ApprovalDesk, self)  # type: ignore[type-abstract]
        self._ground.probes["approvals"] = self._concerns
        self._expiry = asyncio.create_task(self._expire_forever(), name="approvals:expiry")

    async def stop(self) -> None:
        """Lets each execution finish the item in flight; it is recorded as interrupted."""
        if self._expiry is not None:
            self._expiry.cancel()
            await asyncio.wait([self._expiry])
        await self._executions.stop()

    # --- the desk -------------------------------------------------------------------------------

    async def submit(self, operation: str, draft: Draft, call: Call) -> int:
        """Stores the plan; a plan with the same digest that waits already is not asked twice."""
        fingerprint, stored = await asyncio.to_thread(_stored, draft)

        async def work(tx: Transaction) -> int:
            same = await tx.fetch(
                "SELECT id FROM approval WHERE digest = ? AND state = ? AND operation = ?"
                " AND expires_at > ?",
                (fingerprint, ApprovalState.PENDING, operation, now().isoformat()),
            )
            if same:
                return int(same[0]["id"])
            created = now()
            number = await tx.insert(
                "INSERT INTO approval (operation, state, digest, machine, requested_by, call,"
                " created_at, expires_at, verb, subject, headline)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    operation,
                    ApprovalState.PENDING,
                    fingerprint,
                    self._ground.machine,
                    str(call.actor),
                    call.id,
                    created.isoformat(),
                    (created + timedelta(seconds=draft.ttl_s)).isoformat(),
                    draft.card.verb,
                    draft.card.subject,
                    draft.card.headline,
                ),
            )
            await tx.execute("INSERT INTO payload VALUES (?, ?, ?, ?, ?)", (number, *stored))
            line = records.summary(await records.fetch(tx, number))
            await tx.emit(approvals.ApprovalRequested(summary=line, machine=self._ground.machine))
            return number

        number = await self._state.write(work)
        self._wake.set()
        return number

    async def taken_back(self, operation: str, request: Json) -> None:
        """Marks what this undo belongs to."""

        async def work(tx: Transaction) -> None:
            for row in await tx.fetch(
                "SELECT id FROM approval WHERE undo_operation = ? AND undo_request = ?"
                " AND NOT undone",
                (operation, canonical(request).decode()),
            ):
                await tx.execute("UPDATE approval SET undone = 1 WHERE id = ?", (row["id"],))
                await records.tell(tx, row["id"], self._ground.machine)

        await self._state.write(work)

    # --- reading --------------------------------------------------------------------------------

    async def _list(self, request: approvals.ListApprovals, _call: Call) -> approvals.ApprovalList:
        await self._expire_if_it_can()
        states = {
            "open": approvals.OPEN_STATES,
            "closed": frozenset(ApprovalState) - approvals.OPEN_STATES,
            "all": frozenset(ApprovalState),
        }[request.state]
        rows = await self._state.read(
            f"SELECT * FROM approval WHERE state IN ({', '.join('?' * len(states))})"  # noqa: S608
            " ORDER BY state NOT IN ('pending', 'approved', 'executing'), id DESC LIMIT ?",
            (*states, request.limit),
        )
        pending = await self._state.read(
            "SELECT count(*) AS n FROM approval WHERE state = ?", (ApprovalState.PENDING,)
        )
        return approvals.ApprovalList(
            approvals=tuple(records.summary(row) for row in rows), pending=pending[0]["n"]
        )

    async def _concerns(self) -> Sequence[Concern]:
        await self._expire_if_it_can()
        rows = await self._state.read(
            "SELECT * FROM approval WHERE state IN ('pending', 'interrupted', 'approved')"
            " AND NOT (state = 'interrupted' AND (undone OR answered_at < ?))"
            " ORDER BY id DESC LIMIT 100",
            ((now() - timedelta(days=7)).isoformat(),),
        )
        return [_concern(records.summary(row)) for row in rows]

    # --- answering ------------------------------------------------------------------------------

    async def _approve(self, request: approvals.Approve, call: Call) -> Approval:
        """Checks every precondition, then runs the plan; returns once it has ended."""
        await self._expire()
        terms = await self._open(request.id)
        if request.digest is not None and request.digest != terms.digest:
            raise WorldMoved(
                f"Approval #{request.id} has another digest than the one you saw.",
                f"Read it again: arcanum approvals show {request.id}",
            )
        wanted = terms.confirm_count
        if wanted is not None and request.count != wanted:
            raise Invalid(
                f"Approval #{request.id} cannot be undone: it asks for the number of things.",
                f"If you mean it: arcanum approvals approve {request.id} --count {wanted}",
            )
        plan = await records.plan_of(self._state, request.id)
        moved = await self._moved(plan)
        if moved:
            await self._refuse(request.id, moved, call)
        await self._executions.run(plan, call)
        return await records.load(self._state, request.id)

    async def _open(self, number: int) -> records.Terms:
        """Raises AlreadyAnswered."""
        terms = await records.terms(self._state, number)
        if terms.state is not ApprovalState.PENDING:
            raise records.already(number, terms.state, terms.answered_by)
        return terms

    async def _moved(self, plan: StoredPlan) -> list[str]:
        """Why the plan may not run; empty where it may."""
        found = await asyncio.to_thread(digest, plan.request, plan.payload, plan.preconditions)
        if found != plan.digest:
            return ["the stored plan is not the one that its digest names"]
        return await (await self._gate.acts(plan.operation)).check(plan)

    async def _refuse(self, number: int, moved: list[str], call: Call) -> None:
        """The world moved before the first act: the approval is over, a new plan can be made."""
        reason = "; ".join(moved[:5]) + (f"; and {len(moved) - 5} more" if len(moved) > 5 else "")
        outcome = Outcome(
            state=ApprovalState.FAILED, summary="nothing was touched", problems=tuple(moved[:100])
        )
        await self._close(
            number,
            ApprovalState.FAILED,
            answered_by=str(call.actor),
            reason=reason,
            **records.outcome_columns(outcome),
        )
        raise WorldMoved(f"{reason}. Nothing was touched.", "Make a new plan and look at it again.")

    async def _deny(self, request: approvals.Deny, call: Call) -> Approval:
        await self._expire()
        await self._close(
            request.id,
            ApprovalState.DENIED,
            answered_by=str(call.actor),
            reason=request.reason,
        )
        return await records.load(self._state, request.id)

    async def _keep(self, request: approvals.Keep, call: Call) -> approvals.Kept:
        """A new plan without these items; the old one is closed in favour of it."""
        await self._expire()
        if not (await self._open(request.id)).keepable:
            raise Refused(f"Approval #{request.id} is one thing: nothing can be left out.")
        known = await records.keys(self._state, request.id)
        unknown = [key for key in request.keep if key not in known]
        if unknown:
            raise Invalid(
                f"{len(unknown)} of the items to keep are not in approval #{request.id}.",
                f"arcanum approvals show {request.id} --json lists them with their keys.",
            )
        if fixed := [key for key in request.keep if not known[key]]:
            raise Refused(
                f"{fixed[0]} cannot be left out of approval #{request.id}: it was asked for.",
                "Deny it, and ask for less.",
            )
        plan = await records.plan_of(self._state, request.id)
        kept = sorted({*plan.request.get("keep", ()), *request.keep})
        replacement = await self._gate.propose(plan.operation, plan.request | {"keep": kept}, call)
        if replacement == request.id:
            raise Refused(f"Without these items approval #{request.id} is the same plan.")
        by = str(call.actor)
        try:
            await self._close(
                request.id,
                ApprovalState.DENIED,
                answered_by=by,
                reason=f"replaced by #{replacement}",
            )
        except AlreadyAnswered:
            # Somebody was faster: the plan without these items is not wanted any more.
            with suppress(AlreadyAnswered):
                await self._close(
                    replacement,
                    ApprovalState.DENIED,
                    answered_by=by,
                    reason=f"#{request.id} was answered first",
                )
            raise
        return approvals.Kept(approval_id=replacement)

    async def _close(self, number: int, go_to: ApprovalState, **columns: Any) -> None:
        await records.change(self._ground, number, ApprovalState.PENDING, go_to, **columns)

    # --- time -----------------------------------------------------------------------

    async def _expire(self) -> None:
        """Closes what waited too long; cheap where there is nothing."""
        stamp = now().isoformat()
        due = await self._state.read(
            "SELECT id FROM approval WHERE state = ? AND expires_at <= ?",
            (ApprovalState.PENDING, stamp),
        )
        for row in due:
            with suppress(AlreadyAnswered):
                await self._close(row["id"], ApprovalState.EXPIRED)

    async def _expire_if_it_can(self) -> None:
        """On a full disk the queue can still be read; then only its expired lines lag behind."""
        try:
            await self._expire()
        except StoreFailed as error:
            _log.warning("expired approvals could not be closed: %s", error)

    async def _expire_forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._expire()
                await self._executions.record_late()
                wait = await self._next_expiry()
            except ArcanumError as error:
                _log.error("approvals could not be brought up to date: %s", error)
                wait = _RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _next_expiry(self) -> float:
        """Seconds until it; at most an hour, because the clock may be set."""
        rows = await self._state.read(
            "SELECT min(expires_at) AS at FROM approval WHERE state = ?",
            (ApprovalState.PENDING,),
        )
        if rows[0]["at"] is None:
            return 3600.0
        left = (datetime.fromisoformat(rows[0]["at"]) - now()).total_seconds()
        return min(max(left, 0.05), 3600.0)


def _stored(draft: Draft) -> tuple[str, tuple[str, str, str, str]]:
    return digest(draft.request, draft.payload, draft.preconditions), (
        canonical(draft.request).decode(),
        canonical(draft.payload).decode(),
        canonical(list(draft.preconditions)).decode(),
        draft.card.model_dump_json(),
    )


def _concern(line: ApprovalSummary) -> Concern:
    text = line.headline
    if line.state is ApprovalState.INTERRUPTED:
        text = f"interrupted: {text}"
    return Concern(
        Severity.NEEDS_YOU,
        f"#{line.id} {line.verb} {line.subject}",
        text,
        line.created_at,
        f"approvals/{line.id}",
    )
