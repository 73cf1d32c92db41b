"""What would be forgotten: the memories, what they stand for, and the card that tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.contract.approvals import Card, CardItem, CardRow, Mark
from engine.contract.call import Call
from engine.contract.ports import Draft, StoredPlan
from engine.contract.recall import Forget
from engine.recall.book import fetch, numbers
from engine.recall.records import memories, one_line
from engine.store import Database, Transaction

_CLOSURE = (
    "WITH RECURSIVE gone (id) AS (SELECT value FROM json_each(?1) UNION"
    " SELECT memory.id FROM gone JOIN memory ON memory.replaced_by = gone.id) "
)
_ROWS = (
    f"{_CLOSURE} SELECT memory.id, memory.rev, memory.uid, memory.kind, memory.state, memory.at,"  # noqa: S608 - ours
    " memory.replaced_by, memory.pinned, memory.source, memory.namespace_id,"
    " namespace.name AS namespace, turn.id AS turn_id, turn.asked_at, turn.status,"
    " folder.path AS folder,"
    " (SELECT count(*) FROM attachment WHERE attachment.turn_id = turn.id) AS attached,"
    " substr(memory.text, 1, 400) AS beginning, length(CAST(memory.text AS BLOB)) AS size"
    " FROM gone JOIN memory ON memory.id = gone.id"
    " JOIN namespace ON namespace.id = memory.namespace_id"
    " LEFT JOIN document ON document.id = memory.document_id"
    " LEFT JOIN folder ON folder.id = document.folder_id"
    " LEFT JOIN turn ON turn.id = memory.turn_id ORDER BY memory.id"
)
# A question that was corrected still stands in its turn as it was asked.
_ASKED_BEFORE = (
    f"{_CLOSURE} SELECT turn.id AS turn_id, turn.asked_at, turn.status"  # noqa: S608 - ours
    " FROM gone JOIN memory AS old ON old.id = gone.id AND old.state = 'replaced'"
    " AND old.turn_id IS NULL JOIN namespace ON namespace.id = old.namespace_id"
    " JOIN turn ON turn.session_id = namespace.session_id AND turn.question = old.text"
    " JOIN memory AS mine ON mine.turn_id = turn.id AND mine.text != old.text"
    " WHERE mine.id NOT IN (SELECT id FROM gone)"
)

NOT_LOOKED_FOR = CardRow(
    label="RISK",
    text="not looked for: exports and copies that you made, what was sent elsewhere, other"
    " memories and answers that say the same",
    mark=Mark.WARN,
)


@dataclass(frozen=True, slots=True)
class Extent:
    """``rows`` by number, those that the wanted ones have replaced included; ``turns``: number and
    time of those that would be emptied; ``open``: an answer is being written in one of them."""

    rows: Sequence[Any]
    turns: tuple[tuple[int, str], ...]
    open: bool

    @property
    def ids(self) -> list[int]:
        return [row["id"] for row in self.rows]

    @property
    def preconditions(self) -> list[dict[str, Any]]:
        return [{"id": row["id"], "rev": row["rev"], "uid": row["uid"].hex()} for row in self.rows]


async def extent_of(source: Database | Transaction, ids: Sequence[int]) -> Extent:
    rows = await fetch(source, _ROWS, numbers(ids))
    before = await fetch(source, _ASKED_BEFORE, numbers(ids))
    asked = [row for row in (*rows, *before) if row["turn_id"] is not None]
    turns = sorted({(row["turn_id"], row["asked_at"]) for row in asked})
    return Extent(rows, tuple(turns), any(row["status"] == "open" for row in asked))


async def in_namespace(source: Database | Transaction, name: str) -> list[int]:
    """All that it holds, also where its conversation was deleted."""
    rows = await fetch(
        source,
        "SELECT memory.id FROM memory JOIN namespace ON namespace.id = memory.namespace_id"
        " WHERE namespace.name = ? ORDER BY memory.id",
        name,
    )
    return [row["id"] for row in rows]


async def moved(source: Database | Transaction, plan: StoredPlan) -> list[str]:
    """What is not as the plan has it."""
    found = await extent_of(source, [each["id"] for each in plan.preconditions])
    name = plan.payload["namespace"]
    inside = [] if name is None else await in_namespace(source, name)
    return await asyncio.to_thread(_differences, plan, found, inside)


def _differences(plan: StoredPlan, found: Extent, inside: Sequence[int]) -> list[str]:
    if found.open:
        return ["an answer is being written to one of them"]
    held = {each["id"]: each["rev"] for each in plan.preconditions}
    there = {row["id"]: row["rev"] for row in found.rows}
    problems = [f"memory {number} is not there any more" for number in sorted(held.keys() - there)]
    problems += [
        f"memory {number} changed" for number, rev in held.items() if there.get(number, rev) != rev
    ]
    problems += [f"memory {number} was replaced by one of them" for number in there.keys() - held]
    if more := len(set(inside) - held.keys()):
        problems.append(f"{plan.payload['namespace']} holds {memories(more)} more")
    if not problems and found.turns != turns_of(plan):
        problems.append("they were said in other turns")
    return problems


def turns_of(plan: StoredPlan) -> tuple[tuple[int, str], ...]:
    return tuple((each["turn"], each["asked_at"]) for each in plan.payload["turns"])


def drafted(
    request: Forget, found: Extent, texts: Mapping[int, str], call: Call, ttl_s: float
) -> Draft:
    """``texts``: of those that are archived. Call it in a thread."""
    return Draft(
        request=request.model_dump(mode="json"),
        payload={
            "act": "forget",
            "namespace": request.namespace,
            "turns": [{"turn": number, "asked_at": at} for number, at in found.turns],
        },
        preconditions=tuple(
            {"id": row["id"], "rev": row["rev"], "uid": row["uid"].hex()} for row in found.rows
        ),
        card=_card(found, request.namespace, texts, call),
        ttl_s=ttl_s,
    )


def _card(found: Extent, namespace: str | None, texts: Mapping[int, str], call: Call) -> Card:
    """What a person reads before it."""
    count = memories(len(found.rows))
    first = found.rows[0]["id"]
    return Card(
        verb="forget",
        subject=namespace or (f"memory {first}" if len(found.rows) == 1 else count),
        headline=f"{count}, for good",
        rows=tuple(_rows(found, call)),
        items=tuple(_item(row, texts) for row in found.rows),
        confirm_count=len(found.rows),
    )


def _rows(found: Extent, call: Call) -> list[CardRow]:
    older = sum(row["state"] in {"merged", "replaced"} for row in found.rows)
    pinned = sum(row["pinned"] for row in found.rows)
    text = f"erase {memories(len(found.rows))}, for good"
    if older == 1:
        text += ", 1 of them an older version" if len(found.rows) > 1 else ": an older version"
    elif older:
        text += f", {older:,} of them older versions"
    rows = [CardRow(label="DO", text=text, mark=Mark.WARN)]
    if found.turns:
        turns = "1 turn" if len(found.turns) == 1 else f"{len(found.turns):,} turns"
        what = f"empty {turns}: the answers go with the questions"
        if attached := sum(row["attached"] for row in found.rows):
            what += f", and {attached:,} attached"
        rows.append(CardRow(label="DO", text=what, mark=Mark.WARN))
    rows += [
        CardRow(label="WHY", text=f"asked for by {call.actor}"),
        CardRow(
            label="SAFE",
            text="one that changes until then is not touched, and none with it",
            mark=Mark.OK,
        ),
        CardRow(label="SAFE", text="no answer is being written to them", mark=Mark.OK),
        CardRow(
            label="RISK",
            text="it cannot be undone: it goes from the database, the index, the archives and"
            " the copies in backups",
            mark=Mark.WARN,
        ),
        NOT_LOOKED_FOR,
    ]
    if pinned:
        rows.append(
            CardRow(label="RISK", text=f"{pinned:,} pinned: seen everywhere", mark=Mark.WARN)
        )
    if merged := _said_elsewhere(found):
        rows.append(CardRow(label="RISK", text=merged, mark=Mark.WARN))
    return [*rows, CardRow(label="UNDO", text="none: forgotten is forgotten", mark=Mark.WARN)]


def _said_elsewhere(found: Extent) -> str:
    """One that was merged says what another one says, which stays."""
    gone = set(found.ids)
    stay = sorted(
        {
            row["replaced_by"]
            for row in found.rows
            if row["state"] == "merged" and row["replaced_by"] not in gone | {None}
        }
    )
    if not stay:
        return ""
    if len(stay) == 1:
        return f"memory {stay[0]} says the same, and stays"
    return f"{memories(len(stay))} that say the same stay, memory {stay[0]} for one"


def _item(row: Any, texts: Mapping[int, str]) -> CardItem:
    archived = row["state"] == "archived"
    text = texts.get(row["id"], "(in an archive that is damaged)") if archived else row["beginning"]
    at = datetime.fromisoformat(row["at"]).astimezone()
    note = f"{at:%Y-%m-%d} · {row['namespace']}"
    note += f" · {row['state']}" if row["state"] != "live" else ""
    return CardItem(
        key=str(row["id"]),
        text=one_line(text),
        size=len(text.encode()) if archived else row["size"],
        note=note,
    )
