"""The durable records of approvals: rows to models, and the transitions between their states.

    pending → approved → executing → done | partial | failed | interrupted
    pending → denied | expired

A transition names the state that it starts from; where the row has another, somebody answered
first and nothing is changed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.contract import approvals
from engine.contract.approvals import (
    OPEN_STATES,
    Approval,
    ApprovalState,
    ApprovalSummary,
    Card,
    Outcome,
    Undo,
)
from engine.contract.base import Json, now
from engine.contract.digest import canonical, parsed
from engine.contract.errors import AlreadyAnswered, NotFound
from engine.contract.ports import StoredPlan
from engine.ground import Ground
from engine.store import Database, Transaction


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def summary(row: Any) -> ApprovalSummary:
    """One line of the queue."""
    undoable = row["undo_operation"] is not None and not row["undone"]
    return ApprovalSummary(
        id=row["id"],
        operation=row["operation"],
        state=ApprovalState(row["state"]),
        machine=row["machine"],
        verb=row["verb"],
        subject=row["subject"],
        headline=row["headline"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        reason=row["reason"],
        undoable=undoable,
        undo_until=_time(row["undo_until"]) if undoable else None,
        undone=bool(row["undone"]),
    )


def missing(number: int) -> NotFound:
    """The error where nobody made such an approval."""
    return NotFound(f"There is no approval #{number}.", "arcanum approvals list shows them.")


async def fetch(source: Database | Transaction, number: int) -> Any:
    """The row. Raises NotFound."""
    read = source.read if isinstance(source, Database) else source.fetch
    rows = await read("SELECT * FROM approval WHERE id = ?", (number,))
    if not rows:
        raise missing(number)
    return rows[0]


async def load(state: Database, number: int) -> Approval:
    """The whole record, card included. Raises NotFound."""
    row = await fetch(state, number)
    cards = await state.read("SELECT card FROM payload WHERE approval_id = ?", (number,))
    outcome = None if row["outcome"] is None else Outcome.model_validate_json(row["outcome"])
    if outcome is not None and row["undo_operation"] is None:
        outcome = outcome.model_copy(update={"undo": None})  # A later act may have ended it.
    return Approval(
        id=row["id"],
        operation=row["operation"],
        state=ApprovalState(row["state"]),
        digest=row["digest"],
        machine=row["machine"],
        requested_by=row["requested_by"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        card=Card.model_validate_json(cards[0]["card"]),
        answered_by=row["answered_by"],
        answered_at=_time(row["answered_at"]),
        reason=row["reason"],
        outcome=outcome,
        undone=bool(row["undone"]),
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """What an answer is held against. Read without the card, which may list 100,000 items."""

    state: ApprovalState
    digest: str
    answered_by: str | None
    confirm_count: int | None
    keepable: bool


async def terms(state: Database, number: int) -> Terms:
    """Raises NotFound."""
    row = await fetch(state, number)
    card = await state.read(
        "SELECT json_extract(card, '$.confirm_count') AS count,"
        " json_extract(card, '$.keepable') AS keepable FROM payload WHERE approval_id = ?",
        (number,),
    )
    return Terms(
        ApprovalState(row["state"]),
        row["digest"],
        row["answered_by"],
        card[0]["count"],
        bool(card[0]["keepable"]),
    )


async def keys(state: Database, number: int) -> dict[str, bool]:
    """The keys of the card's items, and whether each can be left out."""
    rows = await state.read(
        "SELECT json_extract(item.value, '$.key') AS key,"
        " json_extract(item.value, '$.fixed') AS fixed"
        " FROM payload, json_each(payload.card, '$.items') AS item WHERE approval_id = ?",
        (number,),
    )
    return {row["key"]: not row["fixed"] for row in rows}


async def plan_of(state: Database, number: int) -> StoredPlan:
    """The plan as it was stored. Raises NotFound."""
    row = await fetch(state, number)
    stored = await state.read("SELECT * FROM payload WHERE approval_id = ?", (number,))

    def plan() -> StoredPlan:
        return StoredPlan(
            approval_id=number,
            operation=row["operation"],
            request=parsed(stored[0]["request"]),
            payload=parsed(stored[0]["payload"]),
            preconditions=tuple(parsed(stored[0]["preconditions"])),
            digest=row["digest"],
        )

    return await asyncio.to_thread(plan)  # It may be of 100,000 files.


async def move(
    tx: Transaction,
    number: int,
    come_from: ApprovalState,
    go_to: ApprovalState,
    machine: str,
    **columns: Any,
) -> None:
    """One transition, told as a durable event. Raises AlreadyAnswered or NotFound."""
    row = await fetch(tx, number)
    if row["state"] != come_from:
        raise already(number, ApprovalState(row["state"]), row["answered_by"])
    if come_from is ApprovalState.PENDING and go_to is not ApprovalState.EXPIRED:
        columns.setdefault("answered_at", now().isoformat())
    names = "".join(f", {name} = ?" for name in columns)
    await tx.execute(
        f"UPDATE approval SET state = ?{names} WHERE id = ?",  # noqa: S608 - names are ours
        (go_to, *columns.values(), number),
    )
    await tell(tx, number, machine)


async def end_undo(tx: Transaction, undo: Undo, machine: str) -> None:
    """This undo is no longer possible: the approvals that offer it stop doing so."""
    for row in await tx.fetch(
        "SELECT id FROM approval WHERE undo_operation = ? AND undo_request = ? AND NOT undone",
        (undo.operation, canonical(undo.request).decode()),
    ):
        await tx.execute("UPDATE approval SET undo_operation = NULL WHERE id = ?", (row["id"],))
        await tell(tx, row["id"], machine)


async def change(
    ground: Ground,
    number: int,
    come_from: ApprovalState,
    go_to: ApprovalState,
    *,
    ends: Undo | None = None,
    **columns: Any,
) -> None:
    """One transition in a transaction of its own, counted where it ends the approval.

    ``ends``: an earlier approval's undo that is no longer possible.
    """

    async def work(tx: Transaction) -> None:
        await move(tx, number, come_from, go_to, ground.machine, **columns)
        if ends is not None:
            await end_undo(tx, ends, ground.machine)

    await ground.state.write(work)
    if go_to not in OPEN_STATES:
        ground.metrics.approvals.labels(go_to).inc()


async def tell(tx: Transaction, number: int, machine: str) -> None:
    """Emits the approval as it is now."""
    line = summary(await fetch(tx, number))
    await tx.emit(approvals.ApprovalChanged(summary=line, machine=machine))


def already(number: int, state: ApprovalState, by: str | None) -> AlreadyAnswered:
    """The error where somebody was faster, with who and what."""
    who = f" by {by}" if by else ""
    return AlreadyAnswered(
        f"Approval #{number} is {state}{who}.",
        f"arcanum approvals show {number} says how it ended.",
    )


def outcome_columns(outcome: Outcome) -> Json:
    """The columns that an outcome fills."""
    undo = outcome.undo
    return {
        "outcome": outcome.model_dump_json(),
        "undo_operation": None if undo is None else undo.operation,
        "undo_request": None if undo is None else canonical(undo.request).decode(),
        "undo_until": None if undo is None or undo.until is None else undo.until.isoformat(),
    }
