"""Another model: everything waits for another vector, and those of the one before go.

Of a million that is the work of seconds, and a search would have to wait for it. So the old tables
are put aside, which takes a moment, and emptied in steps; those who wait are marked in steps, too.
Where it was broken off, it goes on.
"""

from __future__ import annotations

from engine.recall.index.shelf import SHARED, VECTORS, Shelf

_ASIDE = {"unembedded": 4_096, "vector": 512, "placed": 4_096, "signs": 1}
"""Tables that are put aside, and how many of their rows go at a time."""
_MARKED = 2_048


def begin(shelf: Shelf) -> None:
    """Nothing has a vector any more. Within a transaction."""
    db = shelf.db
    if db.execute("SELECT 1 FROM vector LIMIT 1").fetchone() is None:
        return  # Everything waits already.
    _put_aside(shelf)
    [last] = db.execute("SELECT coalesce(max(memory), 0) FROM place").fetchone()
    [left] = db.execute(
        "SELECT coalesce(sum(entries), 0) FROM space WHERE id != ?", (SHARED,)
    ).fetchone()
    shelf.put("unmarked", last)
    shelf.put("unmarked_left", left)
    _mark(shelf)


def _put_aside(shelf: Shelf) -> None:
    number = int(shelf.get("models") or 0) + 1
    shelf.put("models", number)
    for table in _ASIDE:
        shelf.db.execute(f"ALTER TABLE {table} RENAME TO old{number}_{table}")
    shelf.db.execute("DELETE FROM part")
    for statement in VECTORS:
        shelf.db.execute(statement.format(number))


def waiting(shelf: Shelf) -> int:
    """How many wait for a vector."""
    return shelf.count("unembedded") + int(shelf.get("unmarked_left") or 0)


def step(shelf: Shelf) -> bool:
    """A little of what is left to do; False where that is nothing."""
    db = shelf.db
    if shelf.get("unmarked") is not None:
        db.execute("BEGIN IMMEDIATE")
        _mark(shelf)
        db.execute("COMMIT")
        return True
    aside = db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'old[0-9]*' LIMIT 1"
    ).fetchone()
    if aside is None:
        return False
    [table] = aside
    some = _ASIDE[table.partition("_")[2]]
    gone = db.execute(
        f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} LIMIT {some})"  # noqa: S608
    )
    if gone.rowcount < some:
        db.execute(f"DROP TABLE {table}")
    return True


def _mark(shelf: Shelf) -> None:
    """The newest of those that are not marked yet wait for a vector."""
    rows = shelf.db.execute(
        "SELECT memory FROM place WHERE memory <= ? ORDER BY memory DESC LIMIT ?",
        (int(shelf.get("unmarked") or 0), _MARKED),
    ).fetchall()
    shelf.db.executemany(
        "INSERT OR IGNORE INTO unembedded SELECT ?1"
        " WHERE NOT EXISTS (SELECT 1 FROM vector WHERE memory = ?1)",
        rows,
    )
    if len(rows) < _MARKED:
        shelf.db.execute("DELETE FROM meta WHERE name IN ('unmarked', 'unmarked_left')")
        return
    shelf.put("unmarked", rows[-1][0] - 1)
    shelf.put("unmarked_left", max(0, int(shelf.get("unmarked_left") or 0) - len(rows)))
