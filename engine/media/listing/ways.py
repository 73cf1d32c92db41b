"""The way through the catalogue to all that matches, chosen by what is there. Blocking.

Few files are looked up, if an index, a source or their names tell which. A walk over all rows takes
a tenth of a second for a million, one over the index of facets somewhat less, and much less where
it says which kinds there can be. Paths are not in it: so by path files are read as they lie, kind
by kind if kinds are wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engine.media.listing import packing
from engine.media.listing.aside import Reading
from engine.media.listing.matching import OF_INDEX, Match, Phase
from engine.media.listing.walking import TOGETHER, Lane, lanes

FEW = 20_000
"""Files that are looked up one by one in less time than any walk takes."""
MANY = 150_000
"""Files that are looked up where there are no columns yet, and a walk by the order has met too few:
mostly these lie together."""
FEW_BY_PATH = 150_000
"""Files that are looked up by the index of facets, and sorted by path, in less time than a walk by
path may take."""
_FACETS = "file_facets"
_SHARE = 5
"""So many entries of it are read while one file is looked up."""

# From one kind and type to the next that there is, by a step in the index.
_NEXT_TYPE = "SELECT kind, type FROM trait WHERE kind = ? AND type > ? ORDER BY type LIMIT 1"
_NEXT_KIND = "SELECT kind, type FROM trait WHERE kind > ? ORDER BY kind, type LIMIT 1"


def narrowed(reading: Reading, found: Match, *, by_path: bool = False) -> Match:
    """The match with the quickest way to few files, if there is one; else with what makes the index
    of facets do. ``by_path``: paths are asked for."""
    best = quickest(reading, told(reading, found), FEW, by_path=by_path)
    most = FEW if best.effort is None else min(best.effort, FEW)
    if found.needle and most > 0 and (ids := _named(reading, found, most)) is not None:
        where = (*found.where, "f.id IN (SELECT value FROM json_each(?))")
        values = (*found.values, json.dumps(ids))
        by_id = replace(found, where=where, values=values, index="", covered=False)
        return replace(by_id, effort=len(ids))
    return best


def _named(reading: Reading, found: Match, most: int) -> list[int] | None:
    if not packing.some(reading):
        return None
    from engine.media.listing import finding  # It loads NumPy, which not all need.

    return finding.matching(reading, found, most)


def quickest(reading: Reading, found: Match, most: int, *, by_path: bool) -> Match:
    """What was ``told`` with the way of the least effort, if that is at most ``most``."""
    best = found
    if found.everything or found.effort is not None:
        return found
    for way, sql, values in _ways(found):
        share = _SHARE if way.index == _FACETS and way.covered and not by_path else 1
        limit = min(most * share, MANY)
        files = _counted(reading, sql, values, limit)
        if files <= limit:
            most = files // share
            best = replace(way, effort=most)
    return best


def _ways(found: Match) -> Iterator[tuple[Match, str, tuple[Any, ...]]]:
    """The match that takes a way, and a SELECT with a row for each file that this one leads to."""
    libraries, of = found.libraries, f"f.library IN ({_marks(found.libraries)})"
    index = "SELECT f.id FROM file f INDEXED BY"
    if found.index:
        yield found, f"{index} {found.index} WHERE {of} AND {OF_INDEX[found.index]}", libraries
        return
    if found.below:
        below = f"{index} file_by_path WHERE {of} AND f.path >= ? AND f.path < ?"
        yield replace(found, index="file_by_path"), below, (*libraries, *found.below)
    if found.least:
        large = f"{index} file_by_size WHERE {of} AND f.size >= ?"
        yield replace(found, index="file_by_size"), large, (*libraries, found.least)
    if found.kinds:
        like, values = f"{index} {_FACETS} WHERE {of}", libraries
        for name in ("kind", "type", "camera"):
            if wanted := getattr(found, f"{name}s"):
                like, values = f"{like} AND f.{name} IN ({_marks(wanted)})", (*values, *wanted)
        yield replace(found, index=_FACETS), like, values
    if found.dates:
        dated = (
            f"{index} file_by_taken WHERE {of} AND f.taken_at BETWEEN ? AND ?"
            f" UNION ALL {index} file_by_age WHERE {of} AND f.mtime_ns BETWEEN ? AND ?"
        )
        values = (*libraries, *found.dates) * 2
        where = (*found.where, f"f.id IN ({dated})")
        by_id = replace(found, where=where, values=(*found.values, *values), covered=False)
        yield by_id, dated, values
    for sourced in found.sourced:
        yield found, sourced.files, sourced.values


def _counted(reading: Reading, sql: str, values: tuple[Any, ...], most: int) -> int:
    """How many rows a SELECT finds; of more than ``most`` one more."""
    return int(reading.all(f"SELECT count(*) FROM ({sql} LIMIT {most + 1})", values)[0][0])  # noqa: S608


def told(reading: Reading, found: Match) -> Match:
    """The match with the kinds and types that can fulfil it, where a type or a camera is wanted: so
    that the index is entered where they stand. A file's own are among those of `trait`."""
    if not (found.types or found.cameras):
        return found
    pairs = [
        (kind, type_)
        for kind, type_ in _pairs(reading)
        if kind in (found.kinds or (kind,)) and type_ in (found.types or (type_,))
    ]
    if found.cameras:
        pairs = [pair for pair in pairs if _has_camera(reading, found, pair)]
    kinds = tuple(dict.fromkeys(kind for kind, _type in pairs))
    types = tuple(dict.fromkeys(type_ for _kind, type_ in pairs))
    where = (f"f.kind IN ({_marks(kinds)})", f"f.type IN ({_marks(types)})")
    return replace(
        found,
        where=(*found.where, *where),
        values=(*found.values, *kinds, *types),
        kinds=kinds,
        types=types,
        index=found.index if pairs else _FACETS,
        effort=None if pairs else 0,
    )


def _pairs(reading: Reading) -> Iterator[tuple[str, str]]:
    """Every kind with every type that there is."""
    found = reading.all(_NEXT_KIND, ("",))
    while found:
        kind, type_ = found[0]
        yield kind, type_
        found = reading.all(_NEXT_TYPE, (kind, type_)) or reading.all(_NEXT_KIND, (kind,))


def _has_camera(reading: Reading, found: Match, pair: tuple[str, str]) -> bool:
    sql = (
        f"SELECT 1 FROM file f INDEXED BY {_FACETS} WHERE f.library IN"  # noqa: S608
        f" ({_marks(found.libraries)}) AND f.kind = ? AND f.type = ?"
        f" AND f.camera IN ({_marks(found.cameras)}) LIMIT 1"
    )
    return bool(reading.all(sql, (*found.libraries, *pair, *found.cameras)))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values)) or "NULL"


def source(match: Match, where: str = "") -> str:
    """FROM and WHERE for all that matches, in no order; the values are ``match.bound``."""
    index = match.index or (_FACETS if match.covered else "file_by_path" if match.below else "")
    way = f"INDEXED BY {index}" if index else "NOT INDEXED"
    return f"FROM file f {way} WHERE {match.condition}{where}"


def rows(
    reading: Reading,
    found: Match,
    phase: Phase,
    beyond: tuple[Any, ...] = (),
    *,
    by_index: bool = False,
) -> tuple[str, tuple[Any, ...]]:
    """A SELECT for the ids and keys (``k``) of a phase of what was ``narrowed``, in its order; with
    ``beyond`` only of what comes behind that key and id. ``by_index``: few are wanted, so the index
    of the order will do though it holds others, too."""
    where = f" AND {phase.where}" if phase.where else ""
    if beyond:
        where += f" AND {phase.beyond}"
    if _in_order(reading, found, phase, by_index=by_index):
        return _merged(found, phase, lanes(found, phase), where, beyond)
    sql = f"SELECT f.id AS id, {phase.key} AS k {source(found, where)} ORDER BY {phase.order}"
    return sql, (*found.bound, *beyond)


def in_one(found: Match, phases: Sequence[Phase]) -> tuple[str, tuple[Any, ...]]:
    """A SELECT for the ids and keys of two phases of what was ``narrowed``, one after the other,
    and in which each is."""
    first, second = phases
    key = f"CASE WHEN {first.where} THEN {first.key} ELSE {second.key} END"
    sql = f"SELECT f.id AS id, {key} AS k, NOT ({first.where}) AS phase {source(found)}"
    return f"{sql} ORDER BY phase, {first.order}", found.bound


def _in_order(reading: Reading, found: Match, phase: Phase, *, by_index: bool) -> bool:
    """Whether it is better to merge parts that an index holds in this order already."""
    if len(lanes(found, phase)) > TOGETHER:
        return False
    if found.everything:
        return phase.exact or by_index
    if phase.column != "path" or found.index or found.effort is not None or not found.covered:
        return False
    most = FEW if found.kinds else FEW_BY_PATH
    return _counted(reading, f"SELECT 1 {source(found)}", found.bound, most) > most


def _merged(
    found: Match, phase: Phase, parts: Sequence[Lane], where: str, beyond: tuple[Any, ...]
) -> tuple[str, tuple[Any, ...]]:
    conditions = "".join(f" AND {condition}" for condition in found.where)
    merged, values = [], tuple[Any, ...]()
    for lane, of_lane in parts:
        merged.append(f"SELECT f.id AS id, {phase.key} AS k FROM {lane}{conditions}{where}")  # noqa: S608
        values += (*of_lane, *found.values, *beyond)
    return f"SELECT id, k FROM ({' UNION ALL '.join(merged)}) ORDER BY {phase.order}", values  # noqa: S608
