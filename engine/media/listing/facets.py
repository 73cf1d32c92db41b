"""How many of the files that match have which value, counted aside.

A million files take about half a second for each facet. What was counted is kept until the
catalogue is another; what takes too long is given up, and said to be.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping

from engine.contract.listing import FACETS, MOST_VALUES, AskFacets, Facet, Facets, FacetValue
from engine.media.listing.aside import Aside
from engine.media.listing.matching import DATE, KIND, STATE, TRAIT, TYPE, Match, match

_KEPT = 128
_WITHIN_S = 5.0
SIZES = tuple(10**n for n in range(10, 5, -1))
"""Bytes from which on a file is as large as one may look for: 10 GB to 1 MB."""

_BY_FILE = {
    "library": "f.library",
    "kind": KIND,
    "type": TYPE,
    "year": f"strftime('%Y', {DATE} / 1000000000, 'unixepoch')",
    "state": STATE,
    "camera": "t.camera",
    "larger": "CASE "
    + " ".join(f"WHEN f.size >= {least} THEN {least}" for least in SIZES)
    + " ELSE 0 END",
}
_BY_SOURCE = {"source": "s.kind", "host": "s.host"}
_OF_TRAIT = frozenset({"kind", "type", "camera"})

Counted = list[tuple[str, int]]


class Counting:
    """``within_s``: so long may all facets of one request take."""

    def __init__(self, aside: Aside, within_s: float = _WITHIN_S) -> None:
        self._aside, self._within_s = aside, within_s
        self._kept: OrderedDict[tuple[str, Match], tuple[int, Counted]] = OrderedDict()

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
        version = await self._aside.version()
        kept = self._kept.get((name, narrowed))
        if kept is not None and kept[0] == version:
            self._kept.move_to_end((name, narrowed))
            return kept[1]
        sql = _sql(name, narrowed)
        counted = await self._aside.run(
            lambda reading: [(str(value), files) for value, files in reading.all(*sql)]
        )
        self._kept[name, narrowed] = (version, counted)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return counted


def _sql(name: str, narrowed: Match) -> tuple[str, tuple[object, ...]]:
    if name in _BY_SOURCE:
        column = _BY_SOURCE[name]
        sql = (
            f"SELECT {column} AS value, count(DISTINCT f.id) FROM source s"  # noqa: S608
            f" CROSS JOIN file f ON f.id = s.file {narrowed.join}"
            f" WHERE {narrowed.condition} GROUP BY value HAVING value <> ''"
        )
        return sql, narrowed.bound
    join = TRAIT if name in _OF_TRAIT else narrowed.join
    way = f"INDEXED BY {narrowed.index}" if narrowed.index else "NOT INDEXED"
    sql = (
        f"SELECT {_BY_FILE[name]} AS value, count(*) FROM file f {way} {join}"  # noqa: S608
        f" WHERE {narrowed.condition} GROUP BY value HAVING value <> ''"
    )
    return sql, narrowed.bound


def _facet(name: str, counted: Counted, libraries: Mapping[int, str]) -> Facet:
    if name == "larger":
        classes = {int(value): files for value, files in counted}
        found = [(least, sum(n for size, n in classes.items() if size >= least)) for least in SIZES]
        values = [(str(least), files) for least, files in found if files]
    elif name == "library":
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
