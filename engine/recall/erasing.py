"""Where the words of memories stand in a database, and what empties each of these places.

The same for the database in use and for its copies, whatever version wrote them: so this file alone
knows the tables of other rooms, as they were in every version. Pure: it makes statements.

A stored plan holds words, too: what was to be sent to a model elsewhere, the questions of a
conversation that was to be deleted, the memories that were to be forgotten. What was decided, by
whom and when stays; what was said goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from engine.recall.book import numbers

Statement = tuple[str, tuple[Any, ...]]

GONE = "(forgotten)"
"""What an emptied turn asks."""


def answer_key(turn: int) -> str:
    """What a card calls the answer in a turn."""
    return f"turn-{turn}"


# ?1: the memories' numbers, as JSON.
_ORPHANED = (
    "UPDATE memory SET replaced_by = NULL, state = 'live'"
    " WHERE replaced_by IN (SELECT value FROM json_each(?1))"
    " AND id NOT IN (SELECT value FROM json_each(?1))"
)
_TAKEN_OUT = "DELETE FROM memory WHERE id IN (SELECT value FROM json_each(?1))"
# ?1: the turns' numbers.
_DETACHED = "DELETE FROM attachment WHERE turn_id IN (SELECT value FROM json_each(?1))"
_TITLES = (
    "UPDATE session SET title = NULL WHERE id IN"
    " (SELECT session_id FROM turn WHERE id IN (SELECT value FROM json_each(?1)))"
)
_SILENT = (
    "UPDATE turn SET question = ?2, answer = '', note = 'forgotten'"
    " WHERE id IN (SELECT value FROM json_each(?1))"
)
# Whoever reads the conversation, or what is exported of it, sees that there was an answer.
_UNSAID = (
    "UPDATE turn SET answer = '(forgotten on ' || date('now') || ')', note = 'forgotten'"
    " WHERE id IN (SELECT value FROM json_each(?1))"
)
_UNANSWERED = "UPDATE turn SET answered = 0 WHERE id IN (SELECT value FROM json_each(?1))"
_WORDS_OF_TURNS = "INSERT INTO turn_text (turn_text) VALUES ('rebuild')"

_CARD = "UPDATE payload SET card = ? WHERE approval_id = ?"
_PLAN = (
    "UPDATE payload SET request = '{}', payload = '{}', preconditions = '[]', card = ?"
    " WHERE approval_id = ?"
)
_ANSWER = (
    "UPDATE approval SET outcome = json_set(outcome, '$.result', json('{}'))"
    " WHERE id = ? AND operation = 'agent0.structure' AND outcome IS NOT NULL"
)
_HEADLINE = (
    "UPDATE approval SET headline = ?, outcome = CASE"
    " WHEN json_extract(outcome, '$.result.title') IS NULL THEN outcome"
    " ELSE json_set(outcome, '$.result.title', '') END WHERE id = ?"
)
_TOLD = (
    "UPDATE event SET data = json_set(data, '$.summary.headline', ?)"
    " WHERE kind IN ('approvals.requested', 'approvals.changed')"
    " AND json_extract(data, '$.summary.id') = ?"
)

_WORD = re.compile(r"\w+")
_START = 4
"""So many words of a text are looked up at once."""

PLANS = (
    "SELECT approval.id, approval.operation, approval.headline, approval.outcome,"
    " payload.request, payload.payload, payload.card"
    " FROM approval JOIN payload ON payload.approval_id = approval.id WHERE approval.id > ?"
    " AND approval.operation IN"
    " ('agent0.ask', 'agent0.structure', 'memory.delete', 'recall.forget')"
    " ORDER BY approval.id LIMIT 50"
)
"""The stored plans after one of them that may hold words; for ``plan_emptied``."""


def emptied(
    memories: Iterable[int],
    turns: Iterable[int],
    answers: Iterable[int],
    tables: Collection[str],
) -> Iterator[Statement]:
    """Takes the memories out, and what was said in the turns, answers and attachments included;
    ``answers``: turns of which the answers alone go."""
    turns, answers = tuple(turns), tuple(answers)
    ids, asked, both = (numbers(memories),), numbers(turns), (numbers((*turns, *answers)),)
    if "memory" in tables:
        yield _ORPHANED, ids
        yield _TAKEN_OUT, ids
    if "attachment" in tables:
        yield _DETACHED, (asked,)
    if "session" in tables:
        # A title is made of a conversation's first answered turn.
        yield _TITLES, both
        yield _UNANSWERED, both  # No prompt takes it along any more.
    if "turn" in tables:
        yield _SILENT, (asked, GONE)
        yield _UNSAID, (numbers(answers),)
    if "turn_text" in tables:
        yield _WORDS_OF_TURNS, ()


class Words:
    """Tells where something that was said stands in other words: as a run of the same words; where
    one of the ``answers`` does, which may be a word, as the whole of a text."""

    def __init__(self, texts: Iterable[str], answers: Iterable[str] = ()) -> None:
        self._answers = {answer.strip() for answer in answers} - {""}
        self._starts: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        self._signs: list[str] = []
        for text in set(texts):
            if words := _words(text):
                self._starts.setdefault(words[:_START], []).append(words)
            elif text.strip():
                self._signs.append(text.strip())
        self._lengths = sorted({len(start) for start in self._starts})

    def within(self, value: Any) -> bool:
        """Whether any of the strings of a JSON value holds one of them."""
        if isinstance(value, str):
            return self._in_text(value)
        if isinstance(value, dict):
            return any(self.within(each) for each in value.values())
        if isinstance(value, list):
            return any(self.within(each) for each in value)
        return False

    def _in_text(self, text: str) -> bool:
        if text.strip() in self._answers or any(sign in text for sign in self._signs):
            return True
        words = _words(text)
        for at in range(len(words)):
            for length in self._lengths:
                for wanted in self._starts.get(words[at : at + length], ()):
                    if words[at : at + len(wanted)] == wanted:
                        return True
        return False


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def plan_emptied(
    row: Any,
    memories: Collection[int],
    turns: Collection[int],
    answers: Collection[int],
    words: Words,
) -> list[Statement]:
    """What takes their words out of a stored plan; empty where they do not stand in it.

    CPU-bound: call it in a thread.
    """
    card = json.loads(row["card"])
    if row["operation"] == "recall.forget":
        said = {answer_key(number) for number in (*turns, *answers)}
        return _items_emptied(row, card, said | {str(number) for number in memories})
    if row["operation"] == "memory.delete":
        return _deletion_emptied(row, card, set(map(str, turns)), set(map(str, answers)))
    outcome = json.loads(row["outcome"]) if row["outcome"] else {}
    request, payload = json.loads(row["request"]), json.loads(row["payload"])
    own = outcome.get("result", {}).get("turn_id") in {*turns, *answers}
    own = own or any(json.loads(one)["id"] in memories for one in payload.get("recalled", ()))
    if not own and not words.within([request, payload]):
        return []
    return [
        (_PLAN, (_written(card | {"items": []}), row["id"])),
        (_ANSWER, (row["id"],)),
    ]


def _items_emptied(row: Any, card: Any, keys: Collection[str]) -> list[Statement]:
    changed = card | {"items": _emptied(card["items"], keys)}
    return [] if changed == card else [(_CARD, (_written(changed), row["id"]))]


def _emptied(items: Any, keys: Collection[str]) -> list[Any]:
    return [each | {"text": ""} if each["key"] in keys else each for each in items]


def _deletion_emptied(row: Any, card: Any, turns: set[str], answers: set[str]) -> list[Statement]:
    """Its items are the questions; the title is made of questions and answers."""
    if not any(each["key"] in turns | answers for each in card["items"]):
        return []
    changed = card | {
        "items": _emptied(card["items"], turns),
        "headline": _headline(card["headline"]),
    }
    return [(_CARD, (_written(changed), row["id"])), *_untitled(row)] if changed != card else []


def _untitled(row: Any) -> list[Statement]:
    """A deleted conversation's title stands in the record and in the events about it."""
    headline = _headline(row["headline"])
    return [(_HEADLINE, (headline, row["id"])), (_TOLD, (headline, row["id"]))]


def _headline(text: str) -> str:
    """Of ``conversation · 3 turns · its title``, all but the title."""
    return " · ".join(text.split(" · ")[:2])


def _written(card: Any) -> str:
    return json.dumps(card, ensure_ascii=False, separators=(",", ":"))
