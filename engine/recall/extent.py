"""What would be forgotten: the memories, and those of which they took the place.

What was merged into one of them says the same, and goes along. What one of them replaced says
something else: it can be left out, and is live again then. Answers that were made with them may
repeat them, and go too; these can be left out as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.contract.base import Json
from engine.contract.ports import StoredPlan
from engine.recall.book import fetch, numbers
from engine.recall.records import memories
from engine.store import Database, Transaction

# ?1: the wanted ones. ?2: which of those that were replaced stay, ?3: whether all of these do.
_CLOSURE = (
    "WITH RECURSIVE gone (id) AS (SELECT value FROM json_each(?1) UNION"
    " SELECT memory.id FROM gone JOIN memory ON memory.replaced_by = gone.id WHERE NOT"
    " (memory.state = 'replaced' AND (?3 OR memory.id IN (SELECT value FROM json_each(?2))))) "
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
# Where none of those that they replaced goes, whoever these replaced in turn stays as it is.
_LEFT = (
    f"{_CLOSURE} SELECT memory.id, memory.rev FROM memory"  # noqa: S608 - ours
    " WHERE memory.replaced_by IN (SELECT id FROM gone) AND memory.id NOT IN (SELECT id FROM gone)"
    " ORDER BY memory.id"
)
# A turn keeps the numbers of the memories that its answer was told; of each, the first is named.
_ANSWERS = (
    f"{_CLOSURE} SELECT turn.id AS turn_id, turn.asked_at, turn.status, session.name AS session,"  # noqa: S608 - ours
    " min(json_extract(told.value, '$.id')) AS memory_id, substr(turn.answer, 1, 400) AS beginning,"
    " length(CAST(turn.answer AS BLOB)) AS size"
    " FROM turn CROSS JOIN json_each(turn.recalled) AS told"
    " JOIN session ON session.id = turn.session_id"
    " WHERE turn.recalled IS NOT NULL AND (turn.answered OR turn.status = 'open')"
    " AND json_extract(told.value, '$.id') IN (SELECT id FROM gone) GROUP BY turn.id"
)
# What goes into an answer is written down with the first of its words.
_NOT_TOLD_YET = (
    f"{_CLOSURE} SELECT turn.id FROM turn"  # noqa: S608 - ours
    " JOIN namespace ON namespace.session_id = turn.session_id"
    " WHERE turn.status = 'open' AND turn.recalled IS NULL AND EXISTS"
    " (SELECT 1 FROM gone JOIN memory ON memory.id = gone.id"
    " WHERE memory.pinned OR memory.namespace_id = namespace.id) LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is left out: these memories that were replaced, or all that were (``older``); the
    answers in these turns, or all (``answers``)."""

    memories: frozenset[int] = frozenset()
    older: bool = False
    turns: frozenset[int] = frozenset()
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """``rows`` by number, those that the ``wanted`` ones have replaced included; ``left``: those
    that stay, and are live again; ``turns``: number and time of those that would be emptied;
    ``answers`` were made with what goes, and go, ``kept`` stay; ``open``: an answer is being
    written in one of these turns, or one that may be made with what goes."""

    wanted: frozenset[int]
    rows: Sequence[Any]
    left: Sequence[Any]
    turns: tuple[tuple[int, str], ...]
    answers: Sequence[Any]
    kept: Sequence[Any]
    open: bool

    @property
    def ids(self) -> list[int]:
        return [row["id"] for row in self.rows]

    @property
    def preconditions(self) -> list[Json]:
        return [{"id": row["id"], "rev": row["rev"], "uid": row["uid"].hex()} for row in self.rows]

    def is_older(self, row: Any) -> bool:
        """Whether it goes because of one that took its place."""
        return row["id"] not in self.wanted

    def can_stay(self, row: Any) -> bool:
        """Whether it says something else than what is wanted to go."""
        return self.is_older(row) and row["state"] == "replaced"


async def extent_of(
    source: Database | Transaction, ids: Sequence[int], keep: Keeping = Keeping()
) -> Extent:
    given = (numbers(ids), numbers(sorted(keep.memories)), keep.older)
    rows = await fetch(source, _ROWS, *given)
    before = await fetch(source, _ASKED_BEFORE, *given)
    left = await fetch(source, _LEFT, *given)
    asked = [row for row in (*rows, *before) if row["turn_id"] is not None]
    turns = sorted({(row["turn_id"], row["asked_at"]) for row in asked})
    emptied = {number for number, _at in turns}
    made = [row for row in await fetch(source, _ANSWERS, *given) if row["turn_id"] not in emptied]
    being_written = any(row["status"] == "open" for row in (*asked, *made))
    being_written = being_written or bool(await fetch(source, _NOT_TOLD_YET, *given))
    answers: list[Any] = []
    kept: list[Any] = []
    for row in made:
        (kept if keep.answers or row["turn_id"] in keep.turns else answers).append(row)
    return Extent(frozenset(ids), rows, left, tuple(turns), answers, kept, being_written)


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
    kept = frozenset(plan.payload.get("kept", ()))
    answers = bool(plan.request.get("keep_answers"))
    stay = Keeping(frozenset(left_of(plan)), turns=kept, answers=answers)
    found = await extent_of(source, [each["id"] for each in plan.preconditions], stay)
    name = plan.payload["namespace"]
    inside = [] if name is None else await in_namespace(source, name)
    return await asyncio.to_thread(_differences, plan, found, inside)


def _differences(plan: StoredPlan, found: Extent, inside: Sequence[int]) -> list[str]:
    if found.open:
        return ["an answer is being written to one of them, or may be made with one"]
    held = {each["id"]: each["rev"] for each in plan.preconditions}
    there = {row["id"]: row["rev"] for row in found.rows}
    problems = [f"memory {number} is not there any more" for number in sorted(held.keys() - there)]
    problems += [
        f"memory {number} changed" for number, rev in held.items() if there.get(number, rev) != rev
    ]
    problems += [f"memory {number} was replaced by one of them" for number in there.keys() - held]
    if more := len(set(inside) - held.keys()):
        problems.append(f"{plan.payload['namespace']} holds {memories(more)} more")
    left, stay = {row["id"]: row["rev"] for row in found.left}, left_of(plan)
    problems += [
        f"memory {number}, which stays, changed"
        for number, rev in stay.items()
        if left.get(number) != rev
    ]
    planned = {number for number, _at in answers_of(plan)}
    problems += [
        f"turn {row['turn_id']} of {row['session']} was answered with one of them"
        for row in found.answers
        if row["turn_id"] not in planned
    ]
    if not problems and found.turns != turns_of(plan):
        problems.append("they were said in other turns")
    return problems


def turns_of(plan: StoredPlan) -> tuple[tuple[int, str], ...]:
    return tuple((each["turn"], each["asked_at"]) for each in plan.payload["turns"])


def answers_of(plan: StoredPlan) -> tuple[tuple[int, str], ...]:
    """The turns whose answers go, as ``turns_of`` has those that are emptied."""
    return tuple((each["turn"], each["asked_at"]) for each in plan.payload.get("answers", ()))


def left_of(plan: StoredPlan) -> dict[int, int]:
    """Those that stay and are live again, with their revisions."""
    return {each["id"]: each["rev"] for each in plan.payload.get("left", ())}
