"""What takes whose place: what the index noticed, written down in the truth.

A newer memory takes the place of one that says the same, or that it contradicts; nothing is lost by
it, and a person brings it back with one command. Both are of one namespace and of one speaker: a
turn and a note without a speaker are both the person's. A passage of a document only says what its
file does. A turn replaces only what is known on no branch but its own: of turns one that it
follows, a note where no branch of the conversation goes past the turn. What a person pinned for all
is replaced only by what they pinned, too: a pin never goes over to other words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.ground import Ground
from engine.recall import book
from engine.store import Transaction


class Tending:
    """Applies verdicts of the index."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state

    async def judge(self, verdicts: Sequence[tuple[int, int, str]]) -> list[int]:
        """(older, newer, how); returns which of the older ones stay as they are."""

        async def work(tx: Transaction) -> list[int]:
            refused = []
            for older, newer, how in verdicts:
                if not await self._replace(tx, older, newer, how):
                    refused.append(older)
            return refused

        return await self._state.write(work)

    async def _replace(self, tx: Transaction, older: int, newer: int, how: str) -> bool:
        rows = await book.rows_of(tx, (older, newer))
        old, new = rows.get(older), rows.get(newer)
        if old is None or new is None or how not in {"merged", "replaced"}:
            return False
        if old["state"] != "live" or new["state"] != "live" or old["kept"]:
            return False
        if _whose(old) != _whose(new) or "document" in {old["kind"], new["kind"]}:
            return False
        if how == "replaced" and old["pinned"] and not new["pinned"]:
            return False
        if new["turn_id"] is not None and not await _may_replace(tx, new, old):
            return False
        await self._write(tx, old, new, how)
        return True

    async def _write(self, tx: Transaction, old: Any, new: Any, how: str) -> None:
        """What the older one was worth to its person goes over to the newer."""
        await tx.execute(
            "UPDATE memory SET state = ?, replaced_by = ?, pinned = 0 WHERE id = ?",
            (how, new["id"], old["id"]),
        )
        await tx.execute(
            "UPDATE memory SET uses = uses + ?, used_at = max(coalesce(used_at, ?2), ?2)"
            " WHERE id = ?3 AND ?2 IS NOT NULL",
            (old["uses"], old["used_at"], new["id"]),
        )
        await tx.execute(
            "UPDATE memory SET importance = coalesce(importance, ?) WHERE id = ?",
            (old["importance"], new["id"]),
        )
        if old["pinned"] and not new["pinned"]:
            await tx.execute("UPDATE memory SET pinned = 1 WHERE id = ?", (new["id"],))
        # What the older one had replaced is told of the newer.
        await tx.execute(
            "UPDATE memory SET replaced_by = ? WHERE replaced_by = ?", (new["id"], old["id"])
        )
        await book.told(tx, how, [old["id"]], self._ground.machine, old["namespace"])


def _whose(row: Any) -> tuple[int, str]:
    return row["namespace_id"], row["speaker"]


async def _may_replace(tx: Transaction, turn: Any, old: Any) -> bool:
    """Whether no branch would miss the older one, and not see the turn that stands for it."""
    if old["turn_id"] is None:
        return not await _passed_by(tx, turn)
    return await _follows(tx, turn, old)


async def _passed_by(tx: Transaction, turn: Any) -> bool:
    """Whether a branch of the conversation does not hold the turn."""
    found = await tx.fetch(
        "WITH RECURSIVE up (id, parent_id) AS (SELECT id, parent_id FROM turn WHERE id = ?1"
        " UNION ALL SELECT above.id, above.parent_id FROM up JOIN turn AS above"
        " ON above.id = up.parent_id)"
        " SELECT 1 FROM up JOIN turn AS beside ON beside.parent_id IS up.parent_id"
        " AND beside.id != up.id"
        " WHERE beside.session_id = (SELECT session_id FROM turn WHERE id = ?1) LIMIT 1",
        (turn["turn_id"],),
    )
    return bool(found)


async def _follows(tx: Transaction, new: Any, old: Any) -> bool:
    """Whether the older turn is on the way from the newer one to the beginning."""
    found = await tx.fetch(
        "WITH RECURSIVE up (id, parent_id) AS (SELECT id, parent_id FROM turn WHERE id = ?1"
        " UNION ALL SELECT above.id, above.parent_id FROM up JOIN turn AS above"
        " ON above.id = up.parent_id WHERE above.id >= ?2)"
        " SELECT 1 FROM up WHERE id = ?2 LIMIT 1",
        (new["turn_id"], old["turn_id"]),
    )
    return bool(found)
