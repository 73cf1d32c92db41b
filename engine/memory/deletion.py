"""The four acts of deleting a conversation. It is hidden, not destroyed: a restore undoes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.contract.approvals import (
    ApprovalState,
    Card,
    CardItem,
    CardRow,
    Mark,
    Outcome,
    Undo,
)
from engine.contract.base import Json
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Refused
from engine.contract.memory import RESTORE, OneSession, SessionSummary
from engine.contract.ports import Draft, Execution, StoredPlan
from engine.ground import Ground
from engine.memory import rows
from engine.memory.sessions import Sessions
from engine.memory.turns import Turns
from engine.store import Database, Transaction

_OPEN = "an answer is being written in it"


@dataclass(frozen=True, slots=True)
class _Extent:
    """What a conversation holds: the preconditions, and what the card tells of it."""

    session_id: int
    turns: int
    newest: int
    branches: int
    open: int
    attachments: int
    first_at: datetime
    last_at: datetime


class DeleteActs:
    """Implements ``HighRisk[OneSession]``."""

    def __init__(self, ground: Ground, sessions: Sessions, turns: Turns) -> None:
        self._ground = ground
        self._state = ground.state
        self._sessions = sessions
        self._turns = turns

    async def plan(self, request: OneSession, call: Call) -> Draft:
        session_id = await rows.find(self._state, request.session)
        extent = await _extent(self._state, session_id)
        if extent.open:
            raise Refused(
                f"{request.session!r} cannot be deleted: {_OPEN}.", "Stop it, or wait for its end."
            )
        line = await rows.summary_of(self._state, session_id)
        questions = await self._state.read(
            "SELECT id, substr(question, 1, 400) AS question,"
            " length(CAST(question AS BLOB)) + length(CAST(answer AS BLOB)) AS size"
            " FROM turn WHERE session_id = ? ORDER BY id",
            (session_id,),
        )
        hours = timedelta(hours=self._ground.config.approvals.expires_hours)
        return Draft(
            request={"session": request.session},
            payload={"act": "delete conversation", "session": request.session},
            preconditions=(_precondition(request.session, extent),),
            card=await asyncio.to_thread(_card, line, extent, questions, call),
            ttl_s=hours.total_seconds(),
        )

    async def check(self, plan: StoredPlan) -> list[str]:
        return await _moved(self._state, plan)

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        async def work(tx: Transaction) -> SessionSummary | list[str]:
            moved = await _moved(tx, plan)
            return moved or await self._sessions.delete(tx, _held(plan)["session_id"])

        gone = await self._state.write(work)
        if isinstance(gone, list):
            return Outcome(
                state=ApprovalState.FAILED,
                total=_held(plan)["turns"],
                summary="nothing was deleted",
                problems=tuple(gone),
            )
        return await self._deleted(plan, gone)

    async def settle(self, plan: StoredPlan) -> Outcome:
        """One transaction: it was deleted whole, or not at all."""
        held = _held(plan)
        line = await rows.summary_of(self._state, held["session_id"])
        if line.deleted_at is None:
            return Outcome(
                state=ApprovalState.INTERRUPTED,
                total=held["turns"],
                summary="the engine ended before; nothing was deleted",
            )
        return await self._deleted(plan, line)

    async def _deleted(self, plan: StoredPlan, gone: SessionSummary) -> Outcome:
        """Also what models keep on disk goes; where that fails, it is told."""
        problem = await self._turns.forget(gone.name)
        total = _held(plan)["turns"]
        return Outcome(
            state=ApprovalState.PARTIAL if problem else ApprovalState.DONE,
            done=total,
            total=total,
            summary=f"{gone.name} deleted, {_turns(total)}",
            problems=(f"What a model keeps on disk of it is still there: {problem}",)
            if problem
            else (),
            result=gone.model_dump(mode="json"),
            undo=Undo(operation=RESTORE.name, request={"session": gone.name}),
        )


def _held(plan: StoredPlan) -> Json:
    """The precondition: the conversation as the person saw it."""
    return plan.preconditions[0]


def _precondition(name: str, extent: _Extent) -> Json:
    return {
        "session": name,
        "session_id": extent.session_id,
        "turns": extent.turns,
        "newest": extent.newest,
    }


async def _extent(source: Database | Transaction, session_id: int) -> _Extent:
    found = await rows.fetch(
        source,
        "SELECT count(*) AS turns, max(id) AS newest, min(asked_at) AS first,"
        " max(asked_at) AS last,"
        " count(*) FILTER (WHERE status = 'open') AS open,"
        " count(*) FILTER (WHERE NOT EXISTS (SELECT 1 FROM turn AS next"
        " WHERE next.session_id = turn.session_id AND next.parent_id = turn.id)) AS branches,"
        " (SELECT count(*) FROM attachment JOIN turn AS its ON its.id = attachment.turn_id"
        " WHERE its.session_id = ?1) AS attachments FROM turn WHERE session_id = ?1",
        session_id,
    )
    row: Any = found[0]
    return _Extent(
        session_id,
        row["turns"],
        row["newest"],
        row["branches"],
        row["open"],
        row["attachments"],
        datetime.fromisoformat(row["first"]),
        datetime.fromisoformat(row["last"]),
    )


async def _moved(source: Database | Transaction, plan: StoredPlan) -> list[str]:
    """What is not as the plan has it."""
    held = _held(plan)
    try:
        session_id = await rows.find(source, held["session"])
    except ArcanumError as error:
        return [error.message.rstrip(".")]
    if session_id != held["session_id"]:
        return [f"another conversation is called {held['session']!r} now"]
    extent = await _extent(source, session_id)
    if extent.open:
        return [_OPEN]
    if _precondition(held["session"], extent) != held:
        return [f"it went on: {_turns(extent.turns)} instead of {_turns(held['turns'])}"]
    return []


def _turns(count: int) -> str:
    return "1 turn" if count == 1 else f"{count:,} turns"


def _card(line: SessionSummary, extent: _Extent, questions: Sequence[Any], call: Call) -> Card:
    """What a person reads before it. Call it in a thread."""
    held = _turns(extent.turns)
    if extent.branches > 1:
        held += f" in {extent.branches:,} branches"
    if extent.attachments:
        held += f", {extent.attachments:,} attached"
    first, last = (f"{at.astimezone():%Y-%m-%d}" for at in (extent.first_at, extent.last_at))
    when = first if first == last else f"{first} to {last}"
    return Card(
        verb="delete",
        subject=line.name,
        headline=f"conversation · {_turns(extent.turns)} · {line.title}",
        rows=(
            CardRow(label="DO", text=f"delete the conversation: {held} · {when}"),
            CardRow(label="FREES", text="0: it is hidden; its words stay in the database"),
            CardRow(label="WHY", text=f"asked for by {call.actor}"),
            CardRow(label="SAFE", text="no answer is being written in it", mark=Mark.OK),
            CardRow(label="RISK", text="nothing of it is recalled until it is restored"),
            CardRow(label="UNDO", text="u restores it · no end is set"),
        ),
        items=tuple(
            CardItem(key=str(row["id"]), text=rows.one_line(row["question"]), size=row["size"])
            for row in questions
        ),
    )
