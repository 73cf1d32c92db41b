"""The way through the catalogue to all that matches, chosen by what is there. Blocking.

A walk over a million rows takes half a second, one over the index of facets a tenth of that, and
less where it says which kinds there can be. Paths are not in it: so by path few files are found
there and looked up, many are read kind by kind, as they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engine.media.listing.aside import Reading
from engine.media.listing.matching import Match, Phase

FEW = 20_000
"""Files that are looked up one by one in less time than any walk takes."""
FEW_BY_PATH = 150_000
"""Files that are looked up by the index of facets, and sorted by path, in less time than a walk by
path may take."""
TOGETHER = 40
"""Indexes of so many libraries are merged; of more the rows are sorted instead."""
_FACETS = "file_facets"

# From one kind and type to the next that there is, by a step in the index.
_NEXT_TYPE = "SELECT kind, type FROM trait WHERE kind = ? AND type > ? ORDER BY type LIMIT 1"
_NEXT_KIND = "SELECT kind, type FROM trait WHERE kind > ? ORDER BY kind, type LIMIT 1"


def narrowed(reading: Reading, found: Match) -> Match:
    """The match with the index that holds little else, or with what makes the one of facets do."""
    found = _told(reading, found)
    if found.index or found.everything:
        return found
    if found.below and _few(
        reading,
        "SELECT 1 FROM file INDEXED BY file_by_path WHERE library = ? AND path >= ? AND path < ?",
        (*found.libraries, *found.below),
    ):
        return replace(found, index="file_by_path")
    of = f"library IN ({_marks(found.libraries)})"
    large = f"SELECT 1 FROM file INDEXED BY file_by_size WHERE {of} AND size >= ?"  # noqa: S608
    if found.least and _few(reading, large, (*found.libraries, found.least)):
        return replace(found, index="file_by_size")
    dated = (
        f"SELECT id FROM file INDEXED BY file_by_taken WHERE {of} AND taken_at BETWEEN ? AND ?"  # noqa: S608
        f" UNION ALL SELECT id FROM file INDEXED BY file_by_age WHERE {of} AND mtime_ns"
        " BETWEEN ? AND ?"
    )
    values = (*found.libraries, *(found.dates or ())) * 2
    if found.dates and _few(reading, dated, values):
        where, values = (*found.where, f"f.id IN ({dated})"), (*found.values, *values)
        return replace(found, where=where, values=values, covered=False)
    return found


def _few(reading: Reading, sql: str, values: tuple[Any, ...], most: int | None = None) -> bool:
    """Whether a SELECT finds so few rows."""
    most = FEW if most is None else most
    counted = f"SELECT count(*) FROM ({sql} LIMIT {most + 1})"  # noqa: S608
    return bool(reading.all(counted, values)[0][0] <= most)


def many_sources(reading: Reading, found: Match) -> bool:
    """Whether so many files have a source that is wanted that a walk meets enough of them soon."""
    return bool(found.sourced) and not all(_few(reading, *wanted) for wanted in found.sourced)


def _told(reading: Reading, found: Match) -> Match:
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
    index = match.index or (_FACETS if match.covered else "")
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
    """A SELECT for the ids and keys (``k``) of a phase, in its order; with ``beyond`` only of what
    comes behind that key and id. ``by_index``: few are wanted, so of whole libraries the index of
    the order will do though it holds others, too."""
    where = f" AND {phase.where}" if phase.where else ""
    if beyond:
        where += f" AND {phase.beyond}"
    found = narrowed(reading, found)
    if (lanes := _lanes(reading, found, phase, by_index=by_index)) is not None:
        return _merged(found, phase, lanes, where, beyond)
    if found.below and phase.column == "path":
        found = replace(found, index=found.index or "file_by_path")
    sql = f"SELECT f.id AS id, {phase.key} AS k {source(found, where)} ORDER BY {phase.order}"
    return sql, (*found.bound, *beyond)


def in_one(reading: Reading, found: Match, phases: Sequence[Phase]) -> tuple[str, tuple[Any, ...]]:
    """A SELECT for the ids and keys of two phases, one after the other, and in which each is."""
    found = narrowed(reading, found)
    first, second = phases
    key = f"CASE WHEN {first.where} THEN {first.key} ELSE {second.key} END"
    sql = f"SELECT f.id AS id, {key} AS k, NOT ({first.where}) AS phase {source(found)}"
    return f"{sql} ORDER BY phase, {first.order}", found.bound


def _lanes(
    reading: Reading, found: Match, phase: Phase, *, by_index: bool
) -> list[tuple[str, tuple[Any, ...]]] | None:
    """Parts that an index holds in this order already, if it is better to merge these."""
    libraries = [(library,) for library in found.libraries]
    parts: list[tuple[Any, ...]] = [*libraries]
    one = f"file f INDEXED BY {phase.index} WHERE f.library = ?"
    if not (found.everything and (phase.exact or by_index)):
        if found.everything or phase.column != "path" or not found.covered or found.index:
            return None
        most = FEW if found.kinds else FEW_BY_PATH
        if _few(reading, f"SELECT 1 {source(found)}", found.bound, most):
            return None
        if found.kinds:
            parts = [(*library, kind) for library in libraries for kind in found.kinds]
            one = "file f INDEXED BY file_by_kind WHERE f.library = ? AND f.kind = ?"
    return [(one, part) for part in parts] if len(parts) <= TOGETHER else None


def _merged(
    found: Match,
    phase: Phase,
    lanes: Sequence[tuple[str, tuple[Any, ...]]],
    where: str,
    beyond: tuple[Any, ...],
) -> tuple[str, tuple[Any, ...]]:
    conditions = "".join(f" AND {condition}" for condition in found.where)
    parts, values = [], tuple[Any, ...]()
    for lane, of_lane in lanes:
        parts.append(f"SELECT f.id AS id, {phase.key} AS k FROM {lane}{conditions}{where}")  # noqa: S608
        values += (*of_lane, *found.values, *beyond)
    return f"SELECT id, k FROM ({' UNION ALL '.join(parts)}) ORDER BY {phase.order}", values  # noqa: S608
