"""What was a passage and is remembered no more, where copies still hold it: the plan to erase it.

A passage goes when its file no longer says it, or when its folder is unwatched. Nobody was asked
then, so copies of the database keep it until somebody says yes. Its tombstone tells which it was;
its words stand in the copies alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.contract.approvals import Card, CardItem, CardRow, Mark
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.errors import NotFound
from engine.contract.memories import Forget
from engine.contract.ports import Draft, StoredPlan
from engine.recall import copies
from engine.recall.copies import Unclean
from engine.recall.forget_card import NOT_LOOKED_FOR
from engine.recall.records import memories, one_line
from engine.store import Database

_ACT = "gone"


@dataclass(slots=True)
class Left:
    """What copies hold, by the number that it had. ``problems``: copies that cannot be read."""

    passages: dict[int, Any] = field(default_factory=dict)
    copies: int = 0
    problems: list[str] = field(default_factory=list)
    more: bool = False


async def left(state: Database, folder: Path, most: int) -> Left:
    """At most so many passages. Raises NotFound where nothing ever went."""
    tombs = await state.read("SELECT memory_id, uid FROM forgotten")
    if not tombs:
        raise NotFound(
            "Nothing is gone: all that was ever remembered still is.",
            "Take a text out of its file, or: arcanum memory unwatch FOLDER",
        )
    return await asyncio.to_thread(_left, tombs, folder, most)


def _left(tombs: Sequence[Any], folder: Path, most: int) -> Left:
    numbers = {row["uid"]: row["memory_id"] for row in tombs}
    found = Left()
    try:
        paths = copies.copies(folder)
    except OSError as error:
        found.problems.append(f"{folder} could not be looked through: {visible(str(error))}")
        return found
    for path in paths:
        try:
            held = {numbers[row["uid"]]: row for row in copies.passages(path, numbers)}
        except Unclean as error:
            found.problems.append(f"{path} could not be looked through: {error}")
            continue
        found.copies += bool(held)
        for number, row in held.items():
            if number in found.passages or len(found.passages) < most:
                found.passages[number] = row
            else:
                found.more = True
    return found


def is_gone(plan: StoredPlan) -> bool:
    """Whether it is a plan of this file."""
    return bool(plan.payload["act"] == _ACT)


def drafted(request: Forget, found: Left, call: Call, ttl_s: float) -> Draft:
    """Call it in a thread."""
    order = sorted(found.passages)
    return Draft(
        request=request.model_dump(mode="json"),
        payload={"act": _ACT, "namespace": None, "turns": []},
        preconditions=tuple(
            {"id": number, "uid": found.passages[number]["uid"].hex()} for number in order
        ),
        card=Card(
            verb="forget",
            subject="what files no longer say",
            headline=f"{memories(len(order))}, for good"
            if order
            else "no copy remembers any of it",
            rows=tuple(_rows(found, call)),
            items=tuple(_item(number, found.passages[number]) for number in order),
            confirm_count=len(order) or None,
        ),
        ttl_s=ttl_s,
    )


def _rows(found: Left, call: Call) -> Iterator[CardRow]:
    if found.passages:
        where = "1 copy" if found.copies == 1 else f"{found.copies:,} copies"
        text = f"erase {memories(len(found.passages))}, for good, from {where} in backups"
        yield CardRow(label="DO", text=text, mark=Mark.WARN)
    yield CardRow(
        label="DO",
        text="empty the plans of approvals that hold what is gone, take it out of the archives, and"
        " write the database, its copies and the index anew, so that no free space keeps it",
    )
    yield CardRow(label="WHY", text=f"asked for by {call.actor}")
    yield CardRow(
        label="SAFE",
        text="no file is touched, and nothing that is remembered",
        mark=Mark.OK,
    )
    yield NOT_LOOKED_FOR
    for problem in found.problems:
        yield CardRow(label="RISK", text=problem, mark=Mark.WARN)
    if found.more:
        text = "these are not all: there are as many as are forgotten at once"
        yield CardRow(label="RISK", text=text, mark=Mark.WARN)
    yield CardRow(label="UNDO", text="none: forgotten is forgotten", mark=Mark.WARN)


def _item(number: int, row: Any) -> CardItem:
    at = datetime.fromisoformat(row["at"]).astimezone()
    return CardItem(
        key=str(number),
        text=one_line(row["text"]),
        size=len(row["text"].encode()),
        note=f"{at:%Y-%m-%d} · {visible(row['source'])}",
    )
