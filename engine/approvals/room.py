"""The queue of approvals, and the execution of what was approved: once, from the stored plan.

An execution belongs to the engine, not to the face that said yes: a closed terminal does not stop
it. After a crash the one item in flight is settled, nothing else is started, and the approval is
``interrupted``: a person decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from engine.approvals import records
from engine.approvals.execution import Execution
from engine.contract import approvals
from engine.contract.approvals import Approval, ApprovalState, ApprovalSummary, Outcome
from engine.contract.base import Json, now
from engine.contract.call import Call
from engine.contract.digest import canonical, digest
from engine.contract.errors import (
    ArcanumError,
    Internal,
    Invalid,
    Refused,
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
from engine.core.audit import AuditLog
from engine.ground import Ground
from engine.store import Transaction

_log = logging.getLogger("arcanum.approvals")


class ApprovalsRoom:
    """Owns the tables ``approval`` and ``payload``; provides the port ``ApprovalDesk``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state
        self._audit = ground.use(AuditLog)
        self._gate = ground.use(HighRiskOperations)  # type: ignore[type-abstract]
        self._executing: dict[int, tuple[Execution, asyncio.Task[Outcome]]] = {}
        self._expiry: asyncio.Task[None] | None = None
        self._submitted = asyncio.Event()

    async def start(self) -> None:
        await self._settle()
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
            with suppress(asyncio.CancelledError):
                await self._expiry
        for execution, _task in self._executing.values():
            execution.stop()
        await asyncio.gather(
            *(task for _execution, task in self._executing.values()), return_exceptions=True
        )

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
        self._submitted.set()
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
        await self._expire()
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
        await self._expire()
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
        approval = await records.load(self._state, request.id)
        if approval.state is not ApprovalState.PENDING:
            raise records.already(request.id, approval.state, approval.answered_by)
        if request.digest is not None and request.digest != approval.digest:
            raise WorldMoved(
                f"Approval #{request.id} has another digest than the one you saw.",
                f"Read it again: arcanum approvals show {request.id}",
            )
        wanted = approval.card.confirm_count
        if wanted is not None and request.count != wanted:
            raise Invalid(
                f"Approval #{request.id} cannot be undone: it asks for the number of things.",
                f"If you mean it: arcanum approvals approve {request.id} --count {wanted}",
            )
        plan = await records.plan_of(self._state, request.id)
        acts = await self._gate.acts(plan.operation)
        moved = await acts.check(plan)
        if moved:
            await self._refuse(request.id, moved, call)
        await self._move(
            request.id, ApprovalState.PENDING, ApprovalState.APPROVED, answered_by=str(call.actor)
        )
        execution = Execution(plan, self._child(call, plan), self._ground)
        task = asyncio.create_task(self._execute(execution, plan), name=f"approval:{request.id}")
        self._executing[request.id] = (execution, task)
        task.add_done_callback(lambda _task: self._executing.pop(request.id, None))
        # The person who said yes may leave; what they said yes to goes on.
        await asyncio.shield(task)
        return await records.load(self._state, request.id)

    def _child(self, call: Call, plan: StoredPlan) -> Call:
        return Call(
            actor=call.actor,
            on_behalf_of=call.on_behalf_of,
            parent=call.id,
            machine=self._ground.machine,
        )

    async def _refuse(self, number: int, moved: list[str], call: Call) -> None:
        """The world moved before the first act: the approval is over, a new plan can be made."""
        reason = "; ".join(moved[:5]) + (f"; and {len(moved) - 5} more" if len(moved) > 5 else "")
        outcome = Outcome(
            state=ApprovalState.FAILED, summary="nothing was touched", problems=tuple(moved[:100])
        )
        await self._move(
            number,
            ApprovalState.PENDING,
            ApprovalState.FAILED,
            answered_by=str(call.actor),
            reason=reason,
            **records.outcome_columns(outcome),
        )
        raise WorldMoved(f"{reason}. Nothing was touched.", "Make a new plan and look at it again.")

    async def _execute(self, execution: Execution, plan: StoredPlan) -> Outcome:
        number, call = plan.approval_id, execution.call
        await self._move(number, ApprovalState.APPROVED, ApprovalState.EXECUTING)
        await self._audit.intent(plan.operation, call, {"approval": number, "digest": plan.digest})
        try:
            acts = await self._gate.acts(plan.operation)
            outcome = await acts.execute(plan, execution)
        except ArcanumError as error:
            outcome = _failed(error)
        except Exception as error:  # noqa: BLE001 - the plan ends as failed
            _log.exception("approval %d (%s) failed", number, plan.operation)
            outcome = _failed(Internal(str(error) or type(error).__name__))
        await self._end(number, ApprovalState.EXECUTING, plan, outcome, call)
        return outcome

    async def _end(
        self,
        number: int,
        come_from: ApprovalState,
        plan: StoredPlan,
        outcome: Outcome,
        call: Call,
    ) -> None:
        self._ground.metrics.approvals.labels(outcome.state).inc()
        await self._move(number, come_from, outcome.state, **records.outcome_columns(outcome))
        await self._audit.outcome(
            plan.operation,
            call,
            outcome.state,
            {"approval": number, "done": outcome.done, "total": outcome.total},
        )

    async def _deny(self, request: approvals.Deny, call: Call) -> Approval:
        await self._expire()
        await self._move(
            request.id,
            ApprovalState.PENDING,
            ApprovalState.DENIED,
            answered_by=str(call.actor),
            reason=request.reason,
        )
        self._ground.metrics.approvals.labels(ApprovalState.DENIED).inc()
        return await records.load(self._state, request.id)

    async def _keep(self, request: approvals.Keep, call: Call) -> approvals.Kept:
        """A new plan without these items; the old one is closed in favour of it."""
        await self._expire()
        approval = await records.load(self._state, request.id)
        if approval.state is not ApprovalState.PENDING:
            raise records.already(request.id, approval.state, approval.answered_by)
        if not approval.card.keepable:
            raise Refused(f"Approval #{request.id} is one thing: nothing can be left out.")
        known = {item.key for item in approval.card.items}
        unknown = [key for key in request.keep if key not in known]
        if unknown:
            raise Invalid(
                f"{len(unknown)} of the items to keep are not in approval #{request.id}.",
                f"arcanum approvals show {request.id} --json lists them with their keys.",
            )
        plan = await records.plan_of(self._state, request.id)
        kept = sorted({*plan.request.get("keep", ()), *request.keep})
        replacement = await self._gate.propose(plan.operation, plan.request | {"keep": kept}, call)
        await self._move(
            request.id,
            ApprovalState.PENDING,
            ApprovalState.DENIED,
            answered_by=str(call.actor),
            reason=f"replaced by #{replacement}",
        )
        return approvals.Kept(approval_id=replacement)

    async def _move(
        self, number: int, come_from: ApprovalState, go_to: ApprovalState, **columns: Any
    ) -> None:
        await self._state.write(
            lambda tx: records.move(tx, number, come_from, go_to, self._ground.machine, **columns)
        )

    # --- time and crashes -----------------------------------------------------------------------

    async def _expire(self) -> None:
        """Closes what waited too long; cheap where there is nothing."""
        stamp = now().isoformat()
        due = await self._state.read(
            "SELECT id FROM approval WHERE state = ? AND expires_at <= ?",
            (ApprovalState.PENDING, stamp),
        )
        if not due:
            return

        async def work(tx: Transaction) -> None:
            for row in await tx.fetch(
                "SELECT id FROM approval WHERE state = ? AND expires_at <= ?",
                (ApprovalState.PENDING, stamp),
            ):
                await records.move(
                    tx,
                    row["id"],
                    ApprovalState.PENDING,
                    ApprovalState.EXPIRED,
                    self._ground.machine,
                )

        await self._state.write(work)

    async def _expire_forever(self) -> None:
        while True:
            await self._expire()
            rows = await self._state.read(
                "SELECT min(expires_at) AS at FROM approval WHERE state = ?",
                (ApprovalState.PENDING,),
            )
            self._submitted.clear()
            due = rows[0]["at"]
            wait = 3600.0
            if due is not None:
                wait = (datetime.fromisoformat(due) - now()).total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait, 0.05), 3600.0)):
                    await self._submitted.wait()

    async def _settle(self) -> None:
        """What was executing when the engine died: settle the item in flight, start no other."""
        rows = await self._state.read(
            "SELECT id, state FROM approval WHERE state IN ('approved', 'executing')"
        )
        for row in rows:
            plan = await records.plan_of(self._state, row["id"])
            try:
                outcome = await (await self._gate.acts(plan.operation)).settle(plan)
            except ArcanumError as error:
                outcome = Outcome(
                    state=ApprovalState.INTERRUPTED,
                    summary="interrupted; how far it got is not known",
                    problems=(error.message,),
                )
            call = Call(machine=self._ground.machine)
            await self._end(row["id"], ApprovalState(row["state"]), plan, outcome, call)


def _stored(draft: Draft) -> tuple[str, tuple[str, str, str, str]]:
    return digest(draft.request, draft.payload, draft.preconditions), (
        canonical(draft.request).decode(),
        canonical(draft.payload).decode(),
        canonical(list(draft.preconditions)).decode(),
        draft.card.model_dump_json(),
    )


def _failed(error: ArcanumError) -> Outcome:
    problems = tuple(text for text in (error.message, error.hint) if text)
    return Outcome(state=ApprovalState.FAILED, summary=error.message, problems=problems)


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
