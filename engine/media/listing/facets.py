"""How many of the files that match have which value, counted aside.

Of whole libraries each facet is read off indexes; else one walk over the index of facets tells it:
a tenth of a second for a million files. What was counted is kept until the catalogue is another;
what takes too long is given up, and said to be.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.contract.listing import FACETS, MOST_VALUES, AskFacets, Facet, Facets, FacetValue
from engine.media.listing import ways
from engine.media.listing.aside import Aside, Reading
from engine.media.listing.matching import DATE, Match, match, nanoseconds
from engine.media.paging import when

_KEPT = 128
_WITHIN_S = 5.0
SIZES = tuple(10**n for n in range(10, 5, -1))
"""Bytes from which on a file is as large as one may look for: 10 GB to 1 MB."""

_LOOKS = ("kind", "type", "camera")
_YEAR = f"strftime('%Y', {DATE} / 1000000000, 'unixepoch')"
Counted = list[tuple[str, int]]
Rows = Sequence[tuple[Any, ...]]
"""Values, and last how many files have them."""


class Counting:
    """``within_s``: so long may all facets of one request take."""

    def __init__(self, aside: Aside, within_s: float = _WITHIN_S) -> None:
        self._aside, self._within_s = aside, within_s
        self._kept: OrderedDict[tuple[str, Match], tuple[int, Rows]] = OrderedDict()

    async def facets(self, libraries: Mapping[int, str], asked: AskFacets) -> Facets:
        """Raises Invalid, StoreFailed."""
        began = time.monotonic()
        names = asked.facets or FACETS
        found: dict[str, Counted] = {}
        try:
            async with asyncio.timeout(self._within_s):
                for name in names if libraries else ():
                    narrowed = match(tuple(libraries), asked, without=name)
                    found[name] = await self._count(name, narrowed)
        except TimeoutError:
            pass  # What was not reached says so.
        facets = tuple(
            _facet(name, found[name], libraries)
            if name in found or not libraries
            else Facet(name=name, values=(), counted=False)
            for name in names
            if libraries
        )
        return Facets(facets=facets, seconds=time.monotonic() - began)

    async def _count(self, name: str, narrowed: Match) -> Counted:
        """The three that tell what files look like are counted in one walk."""
        of = "looks" if name in _LOOKS else name
        version = await self._aside.version()
        kept = self._kept.get((of, narrowed))
        if kept is None or kept[0] != version:
            counted = await self._aside.run(lambda reading: _COUNTED[of](reading, narrowed))
            kept = self._kept[of, narrowed] = (version, counted)
        self._kept.move_to_end((of, narrowed))
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return _added(kept[1], _LOOKS.index(name) if name in _LOOKS else 0)


def _added(counted: Sequence[tuple[Any, ...]], column: int) -> Counted:
    """The values of one column, and how many files have each."""
    found: dict[str, int] = {}
    for row in counted:
        if row[column] is not None and row[column] != "" and row[-1]:
            value = str(row[column])
            found[value] = found.get(value, 0) + row[-1]
    return list(found.items())


def _looks(reading: Reading, match: Match) -> Rows:
    """In the order of the index, so that nothing is sorted."""
    match = ways.narrowed(reading, match)
    return reading.all(
        "SELECT coalesce(f.kind, 'unknown'), coalesce(f.type, 'unknown'), f.camera, count(*)"
        f" {ways.source(match)} GROUP BY f.kind, f.type, f.camera",
        match.bound,
    )


def _libraries(reading: Reading, match: Match) -> Rows:
    match = ways.narrowed(reading, match)
    return reading.all(
        f"SELECT f.library, count(*) {ways.source(match)} GROUP BY f.library", match.bound
    )


def _years(reading: Reading, match: Match) -> Rows:
    match = ways.narrowed(reading, match)
    if not match.everything:
        return reading.all(
            f"SELECT {_YEAR} AS y, count(*) {ways.source(match)} GROUP BY y", match.bound
        )
    found: list[tuple[int, int]] = []
    for library in match.libraries:
        found += _whole_years(reading, library)
    return found


def _whole_years(reading: Reading, library: int) -> list[tuple[int, int]]:
    """Each year is a range of two indexes: what was taken in it, and what was changed in it, less
    those of the latter that were taken at a known time."""
    ends = [
        f"SELECT {way}({column}) FROM file INDEXED BY {index} WHERE library = ?1 AND {known}"  # noqa: S608
        for way in ("min", "max")
        for column, index, known in (
            ("mtime_ns", "file_by_age", "1"),
            ("taken_at", "file_by_taken", "taken_at IS NOT NULL"),
        )
    ]
    at = [reading.all(end, (library,))[0][0] for end in ends]
    years = [when(nanosecond).year for nanosecond in at if nanosecond is not None]
    counts = ", ".join(
        f"(SELECT count(*) FROM file INDEXED BY {index} WHERE library = ?1"  # noqa: S608
        f" AND {column} BETWEEN ?2 AND ?3{known})"
        for column, index, known in (
            ("taken_at", "file_by_taken", " AND taken_at IS NOT NULL"),
            ("mtime_ns", "file_by_age", ""),
            ("mtime_ns", "file_taken_by_age", " AND taken_at IS NOT NULL"),
        )
    )
    found = []
    for year in range(min(years), max(years) + 1) if years else ():
        [(taken, changed, both)] = reading.all(f"SELECT {counts}", (library, *nanoseconds(year)))
        found.append((year, taken + changed - both))
    return found


def _states(reading: Reading, match: Match) -> Rows:
    """What is damaged or waits is in indexes of its own; all else is sound."""
    match = ways.narrowed(reading, match)
    [(files,)] = reading.all(f"SELECT count(*) {ways.source(match)}", match.bound)
    one = f"FROM file f INDEXED BY {{}} WHERE {match.condition} AND f.damage"
    bad = "coalesce(sum(f.damage = 'rotten'), 0)"
    [(rotten, damaged)] = reading.all(
        f"SELECT {bad}, count(*) {one.format('file_damaged')} <> ''", match.bound
    )
    [(pending,)] = reading.all(
        f"SELECT count(*) {one.format('file_pending')} = '' AND f.blake3 IS NULL", match.bound
    )
    return [
        ("sound", files - damaged - pending),
        ("pending", pending),
        ("damaged", rotten),
        ("unreadable", damaged - rotten),
    ]


def _sizes(reading: Reading, match: Match) -> Rows:
    """How many are at least so large."""
    match = ways.narrowed(reading, match)
    if match.everything:
        one = (
            "SELECT count(*) FROM file f INDEXED BY file_by_size"  # noqa: S608
            f" WHERE {match.condition} AND f.size >= ?"
        )
        return [(least, reading.all(one, (*match.bound, least))[0][0]) for least in SIZES]
    sums = ", ".join(f"coalesce(sum(f.size >= {least}), 0)" for least in SIZES)
    least = f" AND f.size >= {SIZES[-1]}"
    [counts] = reading.all(f"SELECT {sums} {ways.source(match, least)}", match.bound)
    return [*zip(SIZES, counts, strict=True)]


def _of_sources(column: str) -> Callable[[Reading, Match], Rows]:
    def count(reading: Reading, match: Match) -> Rows:
        return reading.all(
            f"SELECT s.{column}, count(DISTINCT f.id) FROM source s"  # noqa: S608
            f" CROSS JOIN file f ON f.id = s.file WHERE {match.condition} GROUP BY s.{column}",
            match.bound,
        )

    return count


_COUNTED: Mapping[str, Callable[[Reading, Match], Rows]] = {
    "looks": _looks,
    "library": _libraries,
    "year": _years,
    "state": _states,
    "larger": _sizes,
    "source": _of_sources("kind"),
    "host": _of_sources("host"),
}


def _facet(name: str, counted: Counted, libraries: Mapping[int, str]) -> Facet:
    if name == "library":
        values = [(libraries[int(value)], files) for value, files in counted]
    else:
        values = counted
    if name == "year":
        values = sorted(values, key=lambda pair: pair[0], reverse=True)
    elif name != "larger":
        values = sorted(values, key=lambda pair: (-pair[1], pair[0]))
    return Facet.model_validate(
        {
            "name": name,
            "values": [FacetValue(value=v, files=n) for v, n in values[:MOST_VALUES]],
            "more": max(0, len(values) - MOST_VALUES),
        }
    )
