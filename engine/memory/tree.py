"""The tree of a conversation's turns, and which branch of it is current.

A turn is always younger than the one that it follows: ids grow along a branch, so the current
branch in order is its turns by id, and its head the highest of them.
"""

from __future__ import annotations

from engine.memory import rows
from engine.store import Database, Transaction

UP = (
    "WITH RECURSIVE up (id, parent_id, answered) AS ("
    "SELECT id, parent_id, answered FROM turn WHERE id = ?"
    " UNION ALL SELECT above.id, above.parent_id, above.answered"
    " FROM up JOIN turn AS above INDEXED BY turn_tree ON above.id = up.parent_id"
    " WHERE above.id > ?) "
)
"""From a turn towards the beginning, as far as the ids are above the second value; in order."""

_DOWN = (
    "WITH RECURSIVE down (id) AS (VALUES (?) UNION ALL SELECT turn.id"
    " FROM down JOIN turn ON turn.session_id = ? AND turn.parent_id = down.id) "
)


def window(count: int, least: int, most: int) -> int:
    """How many of ``count`` earlier turns are used: from ``least`` to ``most``, then ``least``.

    The first of them stays the same while the number grows.
    """
    if count <= most:
        return count
    return least + (count - least) % (most - least + 1)


async def head(source: Database | Transaction, session_id: int) -> int | None:
    """The last turn of the current branch; None where there is none yet."""
    found = await rows.fetch(
        source, "SELECT max(turn_id) AS head FROM branch WHERE session_id = ?", session_id
    )
    return None if found[0]["head"] is None else int(found[0]["head"])


async def newest_leaf(tx: Transaction, session_id: int, turn_id: int) -> int:
    """The newest of all turns that follow this one, however far: nothing follows it."""
    found = await tx.fetch(
        f"{_DOWN} SELECT max(id) AS leaf FROM down",  # noqa: S608 - ours
        (turn_id, session_id),
    )
    return int(found[0]["leaf"])


async def make_current(tx: Transaction, session_id: int, leaf: int) -> None:
    """The branch that ends with ``leaf`` is the current one from now on.

    Only what differs is written: in a conversation that goes on, one row.
    """
    shared = await tx.fetch(
        f"{UP} SELECT id FROM up WHERE EXISTS"  # noqa: S608 - ours
        " (SELECT 1 FROM branch WHERE session_id = ? AND turn_id = up.id) LIMIT 1",
        (leaf, 0, session_id),
    )
    fork = int(shared[0]["id"]) if shared else 0
    await tx.execute("DELETE FROM branch WHERE session_id = ? AND turn_id > ?", (session_id, fork))
    if leaf > fork:
        await tx.execute(
            f"{UP} INSERT INTO branch (session_id, turn_id) SELECT ?, id FROM up",  # noqa: S608
            (leaf, fork, session_id),
        )
