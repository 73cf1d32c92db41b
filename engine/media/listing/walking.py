"""Walking the index of an order, row by row, until enough of them match: for a page, not for all.

A row that has to be looked up takes a microsecond, one that lies beside the one before it a sixth
of that. So patience is a time, not a number of rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

from engine.media.listing.aside import Reading
from engine.media.listing.matching import Mark, Match, Phase

TOGETHER = 40
"""Indexes of so many libraries are walked together."""
_STEP = 10_000
"""Rows of an index between two looks at the time."""
_LEAST = 1000

Lane = tuple[str, tuple[Any, ...]]
"""FROM and WHERE for a part of the files that an index holds in an order, and the values."""


def lanes(found: Match, phase: Phase) -> list[Lane]:
    """An index for each library; by path one for each of its kinds that are wanted."""
    if phase.column == "path" and 0 < len(found.kinds) * len(found.libraries) <= TOGETHER:
        one = "file f INDEXED BY file_by_kind WHERE f.library = ? AND f.kind = ?"
        return [(one, (library, kind)) for library in found.libraries for kind in found.kinds]
    one = f"file f INDEXED BY {phase.index} WHERE f.library = ?"
    return [(one, (library,)) for library in found.libraries]


def along(
    found: Match, phase: Phase, behind: tuple[Any, ...], rows: int
) -> tuple[str, tuple[Any, ...]]:
    """A SELECT for the ids and keys (``k``) of the first ``rows`` rows, and more, whatever else is
    asked of them; ``behind`` a key and its id."""
    more, ends = phase.between(found)
    if phase.where and phase.exact:
        more += f" AND {phase.where}"
    if behind:
        more += f" AND {phase.beyond}"
    each = lanes(found, phase)
    parts = [
        f"SELECT f.id AS id, {phase.key} AS k FROM {lane}{more} ORDER BY {phase.order}"  # noqa: S608
        for lane, _of_lane in each
    ]
    values = [(*of_lane, *ends, *behind) for _lane, of_lane in each]
    if len(each) == 1:
        return parts[0], values[0]
    together = " UNION ALL ".join(f"SELECT * FROM ({part} LIMIT ?)" for part in parts)  # noqa: S608
    bound = tuple(chain(*((*of_lane, rows) for of_lane in values)))
    return f"SELECT id, k FROM ({together}) ORDER BY {phase.order}", bound  # noqa: S608


def picked(
    found: Match, phase: Phase, behind: tuple[Any, ...], rows: int, limit: int
) -> tuple[str, tuple[Any, ...]]:
    """A SELECT for those of them that match."""
    walk, values = along(found, phase, behind, rows)
    where = f"{found.by_row} AND {phase.where or '1'}"
    sql = (
        f"SELECT p.id AS id, p.k AS k FROM ({walk} LIMIT ?) p"  # noqa: S608
        f" CROSS JOIN file f ON f.id = p.id WHERE {where} ORDER BY {phase.order} LIMIT ?"
    )
    return sql, (*values, rows, *found.values, limit)


def walk(
    reading: Reading,
    found: Match,
    phases: Sequence[Phase],
    after: Mark | None,
    *,
    limit: int,
    within_s: float,
) -> list[Mark] | None:
    """The first rows that match. None: too few of them were met within so much processor time."""
    if len(found.libraries) > TOGETHER:
        return None
    marks: list[Mark] = []
    until = time.thread_time() + within_s
    begin = after.phase if after else 0
    for number, phase in enumerate(phases[begin:], begin):
        step = max(_LEAST, _STEP // len(lanes(found, phase)))
        end = [(after.id, after.key)] if after and after.phase == number else []
        while True:
            if time.thread_time() >= until:
                return None
            behind = (end[0][1], end[0][0]) if end else ()
            sql, values = picked(found, phase, behind, step, limit - len(marks))
            marks += [Mark(number, key, id_) for id_, key in reading.all(sql, values)]
            if len(marks) >= limit:
                return marks
            sql, values = along(found, phase, behind, step)
            if not (end := reading.all(f"{sql} LIMIT 1 OFFSET ?", (*values, step - 1))):
                break
    return marks
