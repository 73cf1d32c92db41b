"""The parts of a report, each from the tables that were made for all of them."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

from engine.contract.assets import Library
from engine.contract.base import PathRef, visible
from engine.contract.copies import DuplicateTotals
from engine.contract.report import (
    MOST_ROWS,
    MOST_YEARS,
    Amount,
    Breakdown,
    Duplicates,
    HeldTwice,
    Integrity,
    LargeFile,
    Share,
    Sources,
)
from engine.media.duplicates.snapshot import TOTALS
from engine.media.paging import when

_NONE = Amount()
_STATES = (
    "month", "quarter", "year", "older", "unchecked", "pending", "unread", "rotten", "unreadable",
)  # fmt: skip


def _amount(rows: list[Any]) -> Amount:
    return Amount(files=rows[0]["files"] or 0, bytes=rows[0]["bytes"] or 0)


def breakdown(db: sqlite3.Connection, table: str, column: str, most: int = MOST_ROWS) -> Breakdown:
    """The largest first."""
    return _divided(db, table, column, most, "bytes DESC, files DESC, name")


def years(db: sqlite3.Connection, column: str) -> Breakdown:
    """In the order of time; what is older than MOST_YEARS of them is in ``others``."""
    found = _divided(db, "times", column, MOST_YEARS, "name DESC")
    return found.model_copy(update={"rows": found.rows[::-1]})


def _divided(db: sqlite3.Connection, table: str, column: str, most: int, order: str) -> Breakdown:
    named = (
        f"SELECT {column} AS name, sum(files) AS files, sum(bytes) AS bytes FROM {table}"  # noqa: S608
        f" WHERE {column} NOT IN (0, '') GROUP BY 1 ORDER BY {order}"
    )
    others = f"SELECT sum(files) AS files, sum(bytes) AS bytes FROM ({named} LIMIT -1 OFFSET ?)"  # noqa: S608
    unknown = (
        f"SELECT sum(files) AS files, sum(bytes) AS bytes FROM {table} WHERE {column} IN (0, '')"  # noqa: S608
    )
    return Breakdown(
        rows=tuple(
            Share(name=visible(str(row["name"])), files=row["files"], bytes=row["bytes"])
            for row in db.execute(f"{named} LIMIT ?", (most,))
        ),
        others=_amount(db.execute(others, (most,)).fetchall()),
        unknown=_amount(db.execute(unknown).fetchall()),
    )


def sources(db: sqlite3.Connection) -> Sources:
    return Sources(kinds=breakdown(db, "origins", "kind"), hosts=breakdown(db, "origins", "host"))


def bytes_once(db: sqlite3.Connection) -> int:
    """All that is shown, whichever libraries hold it."""
    return int(
        db.execute(
            "SELECT coalesce(sum(size), 0) FROM (SELECT max(file.size) AS size"
            " FROM file NOT INDEXED CROSS JOIN shown ON shown.library = file.library"
            " LEFT JOIN light ON light.id = file.id WHERE light.id IS NULL"
            " GROUP BY file.dev, file.ino)"
        ).fetchone()[0]
    )


def largest(db: sqlite3.Connection, names: Mapping[int, str], most: int) -> tuple[LargeFile, ...]:
    """Every inode once."""
    rows = [
        row
        for library in names
        for row in db.execute(
            "SELECT library, path, dev, ino, size, mtime_ns, nlink, (SELECT kind FROM trait"
            " WHERE file = file.id AND size = file.size AND mtime_ns = file.mtime_ns) AS kind"
            " FROM file WHERE library = ? AND id NOT IN light"
            " ORDER BY size DESC, id DESC LIMIT ?",
            (library, most),
        )
    ]
    once = {(row["dev"], row["ino"]): row for row in reversed(rows)}
    return tuple(
        LargeFile(
            library=names[row["library"]],
            path=PathRef.of(row["path"]),
            size=row["size"],
            links=row["nlink"],
            modified_at=when(row["mtime_ns"]),
            kind=row["kind"],
        )
        for row in heapq.nlargest(most, once.values(), key=lambda row: row["size"])
    )


def duplicates(
    db: sqlite3.Connection, names: Mapping[int, str], most: int, pending: int
) -> Duplicates:
    """The groups that ``media.duplicates`` pages through, by the same statement."""
    totals = db.execute(TOTALS).fetchone()
    groups = []
    for row in db.execute("SELECT * FROM same ORDER BY frees, blake3 LIMIT ?", (most,)):
        first = db.execute(
            "SELECT file.library, path, size FROM file INDEXED BY file_by_blake3"
            " CROSS JOIN shown ON shown.library = file.library"
            " WHERE blake3 = ? AND path = ? ORDER BY file.library LIMIT 1",
            (row["blake3"], row["path"]),
        ).fetchone()
        groups.append(
            HeldTwice(
                size=first["size"],
                copies=-row["copies"],
                frees=-row["frees"],
                library=names[first["library"]],
                path=PathRef.of(first["path"]),
            )
        )
    return Duplicates(
        totals=DuplicateTotals(groups=totals[0], copies=totals[1], frees=totals[2]),
        pending=pending,
        groups=tuple(groups),
    )


def integrity(
    db: sqlite3.Connection, id_: int, library: Library, row: sqlite3.Row | None
) -> Integrity:
    """One library. Nothing is sound of which something is unknown."""
    found = {
        state["state"]: Amount(files=state["files"], bytes=state["bytes"])
        for state in db.execute(
            "SELECT state, sum(files) AS files, sum(bytes) AS bytes FROM times"
            " WHERE library = ? GROUP BY state",
            (id_,),
        )
    }
    names = row["unreadable"] if row else 0
    away = library.state in {"missing", "unreadable"} or library.last_scan_at is None
    verdict: Literal["sound", "damaged", "unknown"] = "sound"
    if "rotten" in found or "unreadable" in found:
        verdict = "damaged"
    elif away or names or found.keys() & {"pending", "unread", "unchecked"}:
        verdict = "unknown"
    amounts = {state: found.get(state, _NONE) for state in _STATES}
    return Integrity(library=library.name, verdict=verdict, unreadable_names=names, **amounts)
