"""Recall: SQLite's FTS5 (BM25, Porter stemmer) over what the person said in a conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.contract.memory import RecallHit
from engine.memory import tree
from engine.store import Database

_WORD = re.compile(r"\w+")
_MOST_WORDS = 32
# Words that stand in nearly every sentence: they would recall whatever was said last.
_EMPTY_WORDS = frozenset(
    _WORD.findall("""
    a an and are as at be but by can did do does for from had has have how i if in is it its me my
    not of on or our please she so tell that the their them then there they this to us was we were
    what when where which who why will with would you your
    """)
)

RECALL = (
    f"{tree.UP} SELECT turn.id, turn.question, turn.asked_at, session.name AS session,"  # noqa: S608 - ours
    " bm25(turn_text) AS rank FROM turn_text"
    " JOIN turn ON turn.id = turn_text.rowid JOIN session ON session.id = turn.session_id"
    " WHERE turn_text MATCH ? AND session.name = ? AND session.deleted_at IS NULL"
    " AND turn.id IN (SELECT id FROM up) AND turn.status != 'open'"
    " ORDER BY rank, turn.id DESC LIMIT ?"
)


async def recall(
    state: Database,
    session: str,
    query: str,
    limit: int,
    exclude: Sequence[int],
    *,
    last: int,
) -> list[RecallHit]:
    """Turns of the session's branch that ends with the turn ``last`` and that bear on ``query``,
    best first, no text twice."""
    match = _match(query)
    if not match:
        return []
    rows = await state.read(RECALL, (last, 0, match, session, limit + len(exclude) + 32))
    hits: dict[str, RecallHit] = {}
    for row in rows:
        same = " ".join(_WORD.findall(row["question"].lower()))
        if row["id"] not in exclude and same not in hits:
            hits[same] = _hit(row)
    return list(hits.values())[:limit]


def _match(query: str) -> str:
    """An FTS5 query: any of the telling words. Quoted, so that no word is an operator."""
    words = [word for word in _WORD.findall(query.lower()) if word not in _EMPTY_WORDS]
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(words[:_MOST_WORDS]))


def _hit(row: Any) -> RecallHit:
    return RecallHit(
        turn_id=row["id"],
        session=row["session"],
        text=row["question"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
        score=-row["rank"],
    )
