"""The execution of what was approved: once, from the stored plan, and recorded however it ends.

An execution belongs to the engine, not to the face that said yes: a closed terminal does not stop
it. After a crash the one item in flight is settled, nothing else is started, and the approval is
``interrupted``: a person decides.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from engine.approvals import records
from engine.contract.approvals import ApprovalProgressed, ApprovalState, Outcome
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.errors import AlreadyAnswered, ArcanumError, Internal, Unavailable
from engine.contract.ports import HighRiskOperations, StoredPlan
from engine.core.audit import AuditLog
from engine.ground import Ground
from engine.store import Transaction
from engine.worker.failures import said

_log = logging.getLogger("arcanum.approvals")


class Execution:
    """Implements the port ``Execution`` for one approved plan."""

    def __init__(self, plan: StoredPlan, call: Call, ground: Ground) -> None:
        self._number = plan.approval_id
        self._call = call
        self._ground = ground
        self._stopping = False

    @property
    def call(self) -> Call:
        return self._call

    def stop(self) -> None:
        """Asks it to finish the item in flight and start no other."""
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    async def progress(self, done: int, total: int, note: str = "") -> None:
        self._ground.bus.publish(
            ApprovalProgressed(
                id=self._number,
                done=done,
                total=total,
                note=visible(note),
                machine=self._ground.machine,
            )
        )


@dataclass(frozen=True, slots=True)
class _End:
    plan: StoredPlan
    come_from: ApprovalState
    outcome: Outcome
    call: Call


class Executions:
    """The plans that run in this process, and those that another left behind."""

    def __init__(self, ground: Ground, gate: HighRiskOperations) -> None:
        self._ground = ground
        self._gate = gate
        self._audit = ground.use(AuditLog)
        self._running: dict[int, tuple[Execution, asyncio.Task[None]]] = {}
        self._late: list[_End] = []
        self._stopping = False
        self.failed_to_record = asyncio.Event()
        """Set when ``record_late`` has something to do."""

    async def run(self, plan: StoredPlan, approved_by: Call) -> None:
        """Runs it and returns once it has ended. Raises AlreadyAnswered where it was answered.

        The person who said yes may leave; what they said yes to goes on.
        """
        number = plan.approval_id
        if self._stopping:
            raise Unavailable("The engine is stopping.", "Start it again: the plan still waits.")
        if number in self._running:
            raise records.already(number, ApprovalState.EXECUTING, None)
        # Not its deadline: the act is not the answer.
        call = Call(
            actor=approved_by.actor,
            on_behalf_of=approved_by.on_behalf_of,
            parent=approved_by.id,
            machine=self._ground.machine,
        )
        execution = Execution(plan, call, self._ground)
        task = asyncio.create_task(self._execute(execution, plan), name=f"approval:{number}")
        self._running[number] = (execution, task)
        task.add_done_callback(lambda _task: self._running.pop(number, None))
        await asyncio.shield(task)

    async def _execute(self, execution: Execution, plan: StoredPlan) -> None:
        number, call = plan.approval_id, execution.call
        machine, answered_by = self._ground.machine, str(call.actor)

        async def begin(tx: Transaction) -> None:
            """Whoever moves it out of pending is the one who runs it."""
            pending, approved, executing = (
                ApprovalState.PENDING,
                ApprovalState.APPROVED,
                ApprovalState.EXECUTING,
            )
            await records.move(tx, number, pending, approved, machine, answered_by=answered_by)
            await records.move(tx, number, approved, executing, machine)

        await self._ground.state.write(begin)
        details = {"approval": number, "digest": plan.digest}
        try:
            await self._audit.intent(plan.operation, call, details)
            acts = await self._gate.acts(plan.operation)
            outcome = await acts.execute(plan, execution)
        except ArcanumError as error:
            outcome = _failed(error)
        except Exception as error:  # noqa: BLE001 - the plan ends as failed
            _log.exception("approval %d (%s) failed", number, plan.operation)
            outcome = _failed(Internal(visible(said(error))))
        end = _End(plan, ApprovalState.EXECUTING, outcome, call)
        try:
            await self._record(end)
        except ArcanumError as error:
            # The disk is full, say. What happened is known here, so it is told as soon as it can.
            _log.error("approval %d ended as %s, not recorded: %s", number, outcome.state, error)
            self._late.append(end)
            self.failed_to_record.set()
            raise

    async def _record(self, end: _End) -> None:
        await records.change(
            self._ground,
            end.plan.approval_id,
            end.come_from,
            end.outcome.state,
            ends=end.outcome.ends,
            **records.outcome_columns(end.outcome),
        )
        await self._audit_end(end)

    async def _audit_end(self, end: _End) -> None:
        counts = {"done": end.outcome.done, "total": end.outcome.total}
        await self._audit.outcome(
            end.plan.operation,
            end.call,
            end.outcome.state,
            {"approval": end.plan.approval_id} | counts,
        )

    async def record_late(self) -> None:
        """Records the ends that could not be recorded before. Raises what still is in the way."""
        while self._late:
            end = self._late[0]
            try:
                await self._record(end)
            except AlreadyAnswered:  # Only its audit was missing.
                await self._audit_end(end)
            del self._late[0]

    async def settle(self) -> None:
        """What was executing when the engine died: settle the item in flight, start no other."""
        rows = await self._ground.state.read(
            "SELECT id, state FROM approval WHERE state IN ('approved', 'executing')"
        )
        for row in rows:
            plan = await records.plan_of(self._ground.state, row["id"])
            call = Call(machine=self._ground.machine)
            outcome = await self._settled(plan)
            await self._record(_End(plan, ApprovalState(row["state"]), outcome, call))

    async def _settled(self, plan: StoredPlan) -> Outcome:
        try:
            return await (await self._gate.acts(plan.operation)).settle(plan)
        except ArcanumError as error:
            problem = error.message
        except Exception as error:  # noqa: BLE001 - one room's defect may not close the queue
            _log.exception("approval %d could not be settled", plan.approval_id)
            problem = visible(said(error))
        return Outcome(
            state=ApprovalState.INTERRUPTED,
            summary="interrupted; how far it got is not known",
            problems=(problem,),
        )

    async def stop(self) -> None:
        """Lets each finish the item in flight; it is recorded as interrupted."""
        self._stopping = True
        for execution, _task in self._running.values():
            execution.stop()
        await asyncio.gather(
            *(task for _execution, task in self._running.values()), return_exceptions=True
        )
        with suppress(ArcanumError):  # Settled at the next start.
            await self.record_late()


def _failed(error: ArcanumError) -> Outcome:
    problems = tuple(text for text in (error.message, error.hint) if text)
    return Outcome(state=ApprovalState.FAILED, summary=error.message, problems=problems)
