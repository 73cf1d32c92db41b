"""What a request to forget names, and what of it is refused."""

from __future__ import annotations

import shlex

from engine.contract.base import PathRef, visible
from engine.contract.errors import Invalid, NotFound, Refused
from engine.contract.memories import Forget
from engine.recall.book import fetch, numbers, row_of
from engine.recall.erasing import answer_key
from engine.recall.extent import Extent, Keeping, in_namespace
from engine.recall.forget_card import also
from engine.recall.records import memories
from engine.store import Database

MOST = 100_000
"""Memories, and answers that were made with them, that are forgotten at once."""


def refuse_unclear(request: Forget) -> None:
    """Raises Invalid."""
    if bool(request.ids) + (request.namespace is not None) + request.gone != 1:
        raise Invalid(
            "What to forget is not clear.", "Give memories' numbers, --namespace NAME, or --gone."
        )
    if request.gone and (request.keep or request.keep_answers):
        raise Invalid("Nothing is left out of what is gone.", "Give --gone alone.")
    if request.keep_older and not request.ids:
        raise Invalid(
            "Older statements are left out of what is named by number.",
            "Give memories' numbers with --keep-older.",
        )


def keeping(request: Forget, found: Extent) -> Keeping:
    """What of all that it took along is left out. Raises Invalid where it cannot be."""
    older = {str(row["id"]): row["id"] for row in found.rows if found.can_stay(row)}
    answers = {answer_key(row["turn_id"]): row["turn_id"] for row in (*found.answers, *found.kept)}
    if fixed := [key for key in request.keep if key not in older and key not in answers]:
        raise Invalid(
            f"{fixed[0]} cannot be left out: it is no older statement that one of them replaced,"
            " and no answer that was made with one.",
            "Give fewer numbers, or none to keep.",
        )
    return Keeping(
        frozenset(older[key] for key in request.keep if key in older),
        request.keep_older,
        frozenset(answers[key] for key in request.keep if key in answers),
        request.keep_answers,
    )


def refuse(found: Extent) -> None:
    """Raises Refused for what is not forgotten this way, or not now."""
    passages = [row for row in found.rows if row["folder"] is not None]
    if passages:
        folder = shlex.quote(PathRef.of(passages[0]["folder"]).display)
        raise Refused(
            f"Memory {passages[0]['id']} is a passage of {visible(passages[0]['source'])}: as long"
            " as that file says it, it would come back.",
            "Take it out of the file and run arcanum memory sync, or run arcanum memory unwatch"
            f" {folder}. Then run arcanum memory forget --gone: it asks before copies are changed.",
        )
    if found.open:
        raise Refused(
            "An answer is being written to what is to be forgotten, or may be made with it.",
            "Stop it, or wait for its end.",
        )
    if len(found.rows) + len(found.answers) > MOST:
        raise Refused(
            f"{memories(len(found.rows))}{also(len(found.answers))} are more than {MOST:,}, which"
            " are forgotten at once.",
            "Forget some of them first.",
        )


async def wanted(state: Database, request: Forget) -> list[int]:
    """The numbers of the memories that are named. Raises NotFound."""
    if request.namespace is None:
        there = await fetch(
            state,
            "SELECT id FROM memory WHERE id IN (SELECT value FROM json_each(?))",
            numbers(request.ids),
        )
        for number in sorted(set(request.ids) - {row["id"] for row in there}):
            await row_of(state, number)
        return sorted(set(request.ids))
    ids = await in_namespace(state, request.namespace)
    if not ids:
        raise NotFound(
            f"Nothing is remembered under {request.namespace!r}.",
            "arcanum memory namespaces lists the names.",
        )
    return ids
