"""One page of a list. The first rows come within a tenth of a second, whatever the list's length.

1. Whole libraries: the index has them in order, and a jump counts its way through it.
2. Narrowed: a few thousand rows of the index are looked at; mostly that fills a page.
3. Aside, what few files have is looked up, if ``ways`` knows where; else the columns of all files
   are looked through.
4. Where there are no columns yet, a ``walk`` goes on, or all that matches is sorted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from engine.contract.assets import AssetPage, ListAssets, ListedAsset
from engine.contract.base import PathRef
from engine.media.catalogue import Numbers
from engine.media.integrity.record import damage_of
from engine.media.listing import packing, walking, ways
from engine.media.listing.aside import Aside, Reading
from engine.media.listing.matching import (
    Mark,
    Match,
    Phase,
    cursor,
    mark_at,
    mark_of,
    match,
)
from engine.media.listing.orders import Ask, Ordered, Orders
from engine.media.paging import when
from engine.store import Database

_PEEK = 6_000
"""Rows of an index that are looked at before it is said what would be better: 1 to 5 ms."""
_PATIENCE_S = 0.025
"""Processor time for a longer walk where files mostly lie as they are listed: 100,000 of them."""
_HURRY_S = 0.01
"""Where each row has to be looked up, or the index of facets answers as soon."""
_AT_ONCE = 50
"""So many rows are made before others have their turn: about a millisecond."""
_SKIPPED = 4
"""Of so many libraries the indexes are counted through together; of more the order is made."""

_ROWS = "SELECT * FROM file WHERE id IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Shelved:
    """A library as lists need it."""

    id: int
    name: str
    numbers: Numbers


class Pages:
    """``aside`` is where what is rare is looked for."""

    def __init__(self, database: Database, aside: Aside) -> None:
        self._db, self._aside = database, aside
        self.orders = Orders(aside)

    async def page(self, libraries: Sequence[Shelved], asked: ListAssets) -> AssetPage:
        """Raises Invalid where ``after`` is not a page's ``next``, StoreFailed."""
        if not libraries:
            return AssetPage(library=None, assets=(), total=0, bytes=0)
        names = {library.id: library.name for library in libraries}
        found = match(tuple(names), asked)
        ask = Ask(found, asked.sort, asked.reverse)
        if asked.at:
            marks = await self._skipped(ask, libraries, asked)
            if marks is None:
                return await self._at(asked, ask, libraries, asked.at)
            return await self._shown(asked, ask, libraries, marks, asked.at)
        after = None if asked.after is None else mark_of(asked.sort, asked.reverse, asked.after)
        marks = await self._by_index(ask, libraries, after, asked.limit + 1)
        if marks is None:
            marks = await self._aside.run(
                lambda reading: _beyond(reading, ask, after, asked.limit + 1)
            )
        return await self._shown(asked, ask, libraries, marks, 0 if after is None else None)

    async def _shown(
        self,
        asked: ListAssets,
        ask: Ask,
        libraries: Sequence[Shelved],
        marks: Sequence[Mark],
        at: int | None,
    ) -> AssetPage:
        """The page of these rows; one more than are wanted tells that it is not the last."""
        more = len(marks) > asked.limit
        names = {library.id: library.name for library in libraries}
        page = AssetPage(
            library=asked.library,
            assets=await _made(await self.rows([m.id for m in marks[: asked.limit]]), names),
            total=len(marks),
            bytes=0,
            at=at,
            next=cursor(asked.sort, asked.reverse, marks[asked.limit - 1]) if more else None,
        )
        return await self._counted(page, ask, libraries, known=None, quick=asked.quick)

    async def _counted(
        self,
        page: AssetPage,
        ask: Ask,
        libraries: Sequence[Shelved],
        *,
        known: Ordered | None,
        quick: bool,
    ) -> AssetPage:
        """The page with the numbers of all that matches; ``quick``: with what is known of them."""
        if ask.match.everything:
            told = [library.numbers for library in libraries]
            files = len(known.ids) if known else sum(numbers.files for numbers in told)
            told_bytes = sum(numbers.bytes for numbers in told)
            return page.model_copy(update={"total": files, "bytes": told_bytes})
        if quick and (known is None or known.bytes is None):
            size = sum(asset.size for asset in page.assets)
            plain = all(asset.links == 1 for asset in page.assets)
            if page.at == 0 and page.next is None and plain:
                return page.model_copy(update={"bytes": size})
            return page.model_copy(update={"bytes": size, "counted": False})
        order = known or await self.orders.of(ask)
        size = await self.orders.weigh(order)
        total = len(order.ids)
        return page.model_copy(update={"total": total, "bytes": size, "handle": order.name})

    async def _at(
        self, asked: ListAssets, ask: Ask, libraries: Sequence[Shelved], at: int
    ) -> AssetPage:
        order = self.orders.held(asked.handle, ask) or await self.orders.of(ask)
        ids = order.ids[at : at + asked.limit]
        rows = await self.rows(ids)
        following = None
        if rows and at + len(ids) < len(order.ids):
            following = cursor(asked.sort, asked.reverse, mark_at(asked.sort, rows[-1]))
        page = AssetPage(
            library=asked.library,
            assets=await _made(rows, {library.id: library.name for library in libraries}),
            total=len(order.ids),
            bytes=0,
            at=at,
            handle=order.name,
            next=following,
        )
        return await self._counted(page, ask, libraries, known=order, quick=asked.quick)

    # --- ids ------------------------------------------------------------------------------------

    async def _by_index(
        self, ask: Ask, libraries: Sequence[Shelved], after: Mark | None, limit: int
    ) -> list[Mark] | None:
        """None: the page could not be filled by a few thousand rows of the index."""
        found: list[Mark] = []
        begin = after.phase if after else 0
        small = sum(library.numbers.files for library in libraries) <= _PEEK
        for number, phase in enumerate(ask.phases[begin:], begin):
            behind = (after.key, after.id) if after and after.phase == number else ()
            whole = ask.match.everything and phase.exact
            if not whole and len(libraries) > walking.TOGETHER:
                return None
            left = limit - len(found)
            if whole:
                sql, values = walking.along(ask.match, phase, behind, left)
                sql, values = f"{sql} LIMIT ?", (*values, left)
            else:
                sql, values = walking.picked(ask.match, phase, behind, _PEEK, left)
            found += [Mark(number, r["k"], r["id"]) for r in await self._db.read(sql, values)]
            if len(found) >= limit:
                return found
            if not (small or whole):
                return None
        return found

    async def _skipped(
        self, ask: Ask, libraries: Sequence[Shelved], asked: ListAssets
    ) -> list[Mark] | None:
        """The rows of a jump into whole libraries, who are in a hurry. None: by their order."""
        held = self.orders.held(asked.handle, ask) is not None
        if held or not (asked.quick and asked.at and ask.match.everything):
            return None
        if len(libraries) > _SKIPPED:
            return None
        at, limit = asked.at, asked.limit + 1
        total = sum(library.numbers.files for library in libraries)
        return await self._aside.run(lambda reading: _skip(reading, ask, at, limit, total))

    # --- rows -----------------------------------------------------------------------------------

    async def rows(self, ids: Sequence[int]) -> list[Any]:
        """What is known of these files, in this order."""
        found = {row["id"]: row for row in await self.read(_ROWS, (json.dumps(list(ids)),))}
        return [found[id_] for id_ in ids if id_ in found]

    async def read(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """A few rows, at once."""
        return list(await self._db.read(sql, values))


async def _made(rows: Sequence[Any], names: Mapping[int, str]) -> tuple[ListedAsset, ...]:
    assets: list[ListedAsset] = []
    for row in rows:
        if (library := names.get(row["library"])) is not None:
            assets.append(listed(row, library))
        if len(assets) % _AT_ONCE == 0:  # The event loop is never held for long.
            await asyncio.sleep(0)
    return tuple(assets)


def _beyond(reading: Reading, ask: Ask, after: Mark | None, limit: int) -> list[Mark]:
    """The first rows behind a row, or from the beginning on, of all that there is."""
    told, by_path = ways.told(reading, ask.match), ask.sort == "path"
    found = ways.quickest(reading, told, ways.FEW, by_path=by_path)
    if found.effort is None:
        by_columns = _by_columns(reading, ask, after, limit)
        if by_columns is not None:
            return by_columns
        found = ways.quickest(reading, told, ways.MANY, by_path=by_path)
    if found.effort is None or found.effort > ways.FEW:
        within_s = _HURRY_S
        if by_path and found.effort is None:
            within_s = inf  # It is met as it lies: there is no better way.
        elif by_path or (ask.sort == "added" and not found.covered):
            within_s = _PATIENCE_S
        walked = walking.walk(reading, told, ask.phases, after, limit=limit, within_s=within_s)
        if walked is not None:
            return walked
    marks: list[Mark] = []
    begin = after.phase if after else 0
    if after is None and len(ask.phases) > 1 and not found.everything:
        sql, values = ways.in_one(found, ask.phases)
        rows = reading.all(f"{sql} LIMIT ?", (*values, limit))
        return [Mark(number, key, id_) for id_, key, number in rows]
    for number, phase in enumerate(ask.phases[begin:], begin):
        behind = (after.key, after.id) if after and after.phase == number else ()
        sql, values = ways.rows(reading, found, phase, behind)
        rows = reading.all(f"{sql} LIMIT ?", (*values, limit - len(marks)))
        marks += [Mark(number, key, id_) for id_, key in rows]
        if len(marks) >= limit:
            break
    return marks


def _by_columns(reading: Reading, ask: Ask, after: Mark | None, limit: int) -> list[Mark] | None:
    if not packing.some(reading):
        return None
    from engine.media.listing import finding  # It loads NumPy, which not all need.

    return finding.first(reading, ask.match, ask.phases, after, limit)


def _skip(reading: Reading, ask: Ask, at: int, limit: int, total: int) -> list[Mark] | None:
    """Counted from the nearer end of a phase. None where that would take longer than the order."""
    number, phase = 0, ask.phases[0]
    if len(ask.phases) > 1:
        dated = _dated(reading, ask.match, phase)
        if at >= dated:
            number, phase, at, total = 1, ask.phases[1], at - dated, total - dated
        elif at + limit > dated:
            return None
        else:
            total = dated
    if at >= total:
        return []
    last = max(0, total - at - limit)
    back = last < at
    skipped = last if back else at
    if not phase.exact and skipped > _PEEK:
        return None
    way = replace(phase, descending=not phase.descending) if back else phase
    sql, values = ways.rows(reading, ask.match, way, by_index=True)
    rows = reading.all(f"{sql} LIMIT ? OFFSET ?", (*values, min(limit, total - at), skipped))
    marks = [Mark(number, key, id_) for id_, key in rows]
    return marks[::-1] if back else marks


def _dated(reading: Reading, found: Match, phase: Phase) -> int:
    """How many files are in the first of two phases."""
    one = (
        f"SELECT count(*) FROM file f INDEXED BY {phase.index}"  # noqa: S608
        f" WHERE f.library = ? AND {phase.where}"
    )
    return sum(reading.all(one, (library,))[0][0] for library in found.libraries)


def listed(row: Any, library: str) -> ListedAsset:
    """A row of what is known of a file."""
    return ListedAsset(
        id=row["id"],
        path=PathRef.of(row["path"]),
        size=row["size"],
        modified_at=when(row["mtime_ns"]),
        links=row["nlink"],
        blake3=row["blake3"] and row["blake3"].hex(),
        seen_at=when(row["seen_at"]),
        library=library,
        first_seen_at=when(row["first_seen_at"]),
        kind=row["kind"],
        type=row["type"],
        taken_at=None if row["taken_at"] is None else when(row["taken_at"]),
        camera=row["camera"] or "",
        damage=damage_of(row["damage"]),
    )
