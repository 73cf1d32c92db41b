"""The plan of forgetting as it is stored, and the card that tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.contract.approvals import Card, CardItem, CardRow, Mark
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.memories import Forget
from engine.contract.ports import Draft
from engine.recall.erasing import answer_key
from engine.recall.extent import Extent
from engine.recall.records import memories, one_line

_NAMED = 5
"""So many of a kind are named on a card; the rest is counted."""
NOT_LOOKED_FOR = CardRow(
    label="RISK",
    text="not looked for: exports and copies that you made, what was sent elsewhere, other"
    " memories and answers that say the same",
    mark=Mark.WARN,
)


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
            "left": [{"id": row["id"], "rev": row["rev"]} for row in found.left],
            "answers": [
                {"turn": row["turn_id"], "asked_at": row["asked_at"]} for row in found.answers
            ],
            "kept": [row["turn_id"] for row in found.kept],
        },
        preconditions=tuple(found.preconditions),
        card=_card(found, request.namespace, texts, call),
        ttl_s=ttl_s,
    )


def _card(found: Extent, namespace: str | None, texts: Mapping[int, str], call: Call) -> Card:
    """What a person reads before it."""
    count = memories(len(found.rows))
    first = found.rows[0]["id"]
    items = (
        *(_item(found, row, texts) for row in found.rows),
        *(_answer(row) for row in found.answers),
    )
    return Card(
        verb="forget",
        subject=namespace or (f"memory {first}" if len(found.rows) == 1 else count),
        headline=f"{count}{also(len(found.answers))}, for good",
        rows=tuple(_rows(found, call)),
        items=items,
        confirm_count=len(items),
        keepable=not all(item.fixed for item in items),
    )


def _rows(found: Extent, call: Call) -> Iterator[CardRow]:
    yield from _memories(found)
    yield from _turns(found)
    yield from _answers(found)
    yield CardRow(label="WHY", text=f"asked for by {call.actor}")
    yield from _left(found)
    yield CardRow(
        label="SAFE",
        text="one that changes until then is not touched, and none with it",
        mark=Mark.OK,
    )
    yield CardRow(label="SAFE", text="no answer is being written with them", mark=Mark.OK)
    yield CardRow(
        label="RISK",
        text="it cannot be undone: it goes from the database, the index, the archives and"
        " the copies in backups",
        mark=Mark.WARN,
    )
    if found.kept:
        text = f"left as they are, and may repeat it: {_counted(found.kept)}"
        yield CardRow(label="RISK", text=text, mark=Mark.WARN)
    yield NOT_LOOKED_FOR
    if pinned := sum(row["pinned"] for row in found.rows):
        yield CardRow(label="RISK", text=f"{pinned:,} pinned: seen everywhere", mark=Mark.WARN)
    if merged := _said_elsewhere(found):
        yield CardRow(label="RISK", text=merged, mark=Mark.WARN)
    yield CardRow(label="UNDO", text="none: forgotten is forgotten", mark=Mark.WARN)


def _memories(found: Extent) -> Iterator[CardRow]:
    """Those that go, and which of them say something else."""
    text = f"erase {memories(len(found.rows))}, for good"
    if older := sum(found.is_older(row) for row in found.rows):
        text += f", {older:,} of them " + ("an older version" if older == 1 else "older versions")
    yield CardRow(label="DO", text=text, mark=Mark.WARN)
    others = [row for row in found.rows if found.can_stay(row)]
    for row in others[:_NAMED]:
        by = row["replaced_by"]
        text = f"memory {row['id']} too: an older statement that memory {by} replaced; k keeps it"
        yield CardRow(label="DO", text=text, mark=Mark.WARN)
    if (more := len(others) - _NAMED) > 0:
        text = f"and {more:,} more older statements that were replaced; k keeps any of them"
        yield CardRow(label="DO", text=text, mark=Mark.WARN)


def _turns(found: Extent) -> Iterator[CardRow]:
    """What goes with the memories because they stand there too."""
    if not found.turns:
        return
    turns = "1 turn" if len(found.turns) == 1 else f"{len(found.turns):,} turns"
    what = f"empty {turns}: the answers go with the questions"
    if attached := sum(row["attached"] for row in found.rows):
        what += f", and {attached:,} attached"
    yield CardRow(label="DO", text=what, mark=Mark.WARN)


def _answers(found: Extent) -> Iterator[CardRow]:
    """What was made with it, and where it stands."""
    if found.answers:
        text = f"erase {_counted(found.answers)}; the questions stay, and k keeps an answer"
        yield CardRow(label="DO", text=text, mark=Mark.WARN)


def _counted(answers: Sequence[Any]) -> str:
    """``2 answers that were made with it: turn 3 of a, turn 7 of b``."""
    count = "1 answer that was" if len(answers) == 1 else f"{len(answers):,} answers that were"
    named = [f"turn {row['turn_id']} of {visible(row['session'])}" for row in answers[:_NAMED]]
    more = len(answers) - len(named)
    return f"{count} made with it: {', '.join(named)}{f' and {more:,} more' if more else ''}"


def also(answers: int) -> str:
    """What goes with memories, in words; "" where nothing does."""
    if not answers:
        return ""
    return " and 1 answer" if answers == 1 else f" and {answers:,} answers"


def _left(found: Extent) -> Iterator[CardRow]:
    """What stays of all that they took the place of."""
    if found.left:
        text = f"memory {found.left[0]['id']} stays: what replaced it goes, so it is live again"
        if len(found.left) > 1:
            text = f"{memories(len(found.left))} stay: what replaced them goes, so they live again"
        yield CardRow(label="SAFE", text=text, mark=Mark.OK)


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


def _item(found: Extent, row: Any, texts: Mapping[int, str]) -> CardItem:
    archived = row["state"] == "archived"
    text = texts.get(row["id"], "(in an archive that is damaged)") if archived else row["beginning"]
    at = datetime.fromisoformat(row["at"]).astimezone()
    note = f"{at:%Y-%m-%d} · {row['namespace']}"
    can_stay = found.can_stay(row)
    if can_stay:
        note = f"older, replaced by {row['replaced_by']}; k keeps it · {note}"
    elif row["state"] != "live":
        note += f" · {row['state']}"
    return CardItem(
        key=str(row["id"]),
        text=one_line(text),
        size=len(text.encode()) if archived else row["size"],
        note=note,
        fixed=not can_stay,
    )


def _answer(row: Any) -> CardItem:
    where = f"turn {row['turn_id']} of {row['session']}"
    return CardItem(
        key=answer_key(row["turn_id"]),
        text=one_line(row["beginning"]),
        size=row["size"],
        note=f"answer in {where}; k keeps it · made with memory {row['memory_id']}",
    )
