"""One page of a list. The first rows come by the order's index, whatever the list's length.

1. Whole libraries: the index has them in order.
2. Narrowed: a few thousand rows of the index are looked at; mostly that fills a page.
3. What is rare is not found so: then the order of all that matches is made, aside, and read from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.contract.assets import AssetPage, ListAssets, ListedAsset
from engine.contract.base import PathRef
from engine.media.catalogue import Numbers
from engine.media.listing.aside import Aside
from engine.media.listing.matching import (
    KIND,
    TRAIT,
    Mark,
    Match,
    Phase,
    cursor,
    mark_at,
    mark_of,
    match,
)
from engine.media.listing.orders import Ask, Ordered, Orders, source
from engine.media.paging import when
from engine.store import Database

_PEEK = 6_000
"""Rows of an index that are looked at before all that matches is looked for: about 20 ms."""
_AT_ONCE = 200
"""So many rows are made before others have their turn: about 4 ms."""

_ROWS = f"""
SELECT f.id, f.library, f.path, f.size, f.mtime_ns, f.nlink, f.blake3, f.seen_at, f.first_seen_at,
    f.taken_at, f.damage, {KIND} AS kind, t.type, coalesce(t.camera, '') AS camera
FROM file f {TRAIT} WHERE f.id IN (SELECT value FROM json_each(?))
"""  # noqa: S608


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
            return await self._at(asked, ask, libraries, asked.at)
        after = None if asked.after is None else mark_of(asked.sort, asked.reverse, asked.after)
        marks = await self._by_index(ask, libraries, after, asked.limit + 1)
        if marks is None and after is None:
            return await self._at(asked, ask, libraries, 0)
        if marks is None:
            marks = await self._beyond(ask, after, asked.limit + 1)
        more = len(marks) > asked.limit
        page = AssetPage(
            library=asked.library,
            assets=await _made(await self.rows([m.id for m in marks[: asked.limit]]), names),
            total=len(marks),
            bytes=0,
            at=0 if after is None else None,
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
        whole = ask.match.everything or all(lib.numbers.files <= _PEEK for lib in libraries)
        for number, phase in enumerate(ask.phases[begin:], begin):
            mark = after if after and after.phase == number else None
            sql, values = _first(ask.match, phase, mark, limit - len(found))
            rows = await self._db.read(sql, values)
            found += [Mark(number, row["k"], row["id"]) for row in rows]
            if len(found) >= limit:
                return found
            if not whole:
                return None
        return found

    async def _beyond(self, ask: Ask, after: Mark | None, limit: int) -> list[Mark]:
        """What comes behind a row, of all that there is."""
        found: list[Mark] = []
        begin = after.phase if after else 0
        for number, phase in enumerate(ask.phases[begin:], begin):
            where, values = "", tuple[Any, ...]()
            if after and after.phase == number:
                where, values = f" AND {phase.beyond}", (after.key, after.id)
            if phase.where:
                where += f" AND {phase.where}"
            sql = (
                f"SELECT f.id AS id, {phase.key} AS k {source(ask.match, where)}"
                f" ORDER BY {phase.order} LIMIT ?"
            )
            bound = (*ask.match.bound, *values, limit - len(found))
            rows = await self._aside.run(lambda reading, s=sql, b=bound: reading.all(s, b))  # type: ignore[misc]
            found += [Mark(number, row[1], row[0]) for row in rows]
            if len(found) >= limit:
                break
        return found

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


def _first(
    found: Match, phase: Phase, after: Mark | None, limit: int
) -> tuple[str, tuple[Any, ...]]:
    """The first rows of a phase, by its index in each library; of a list that is narrowed only as
    far as a few thousand rows of each go."""
    parts: list[str] = []
    values: list[Any] = []
    for library in found.libraries:
        where = "f.library = ?"
        values.append(library)
        if found.below and phase.column == "path":
            where += " AND f.path >= ? AND f.path < ?"
            values += found.below
        if phase.where:
            where += f" AND {phase.where}"
        if after is not None:
            where += f" AND {phase.beyond}"
            values += [after.key, after.id]
        parts.append(
            f"SELECT * FROM (SELECT f.id AS id, {phase.key} AS k FROM file f WHERE {where}"  # noqa: S608
            f" ORDER BY {phase.order} LIMIT ?)"
        )
        values.append(limit if found.everything else _PEEK)
    rows = " UNION ALL ".join(parts)
    if not found.everything:
        rows = (
            f"SELECT p.id AS id, p.k AS k FROM ({rows}) p CROSS JOIN file f ON f.id = p.id"  # noqa: S608
            f" {found.join} WHERE {' AND '.join(found.where)}"
        )
        values += found.values
    return f"SELECT id, k FROM ({rows}) ORDER BY {phase.order} LIMIT ?", (*values, limit)  # noqa: S608


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
        kind=None if row["kind"] == "unknown" else row["kind"],
        type=row["type"],
        taken_at=None if row["taken_at"] is None else when(row["taken_at"]),
        camera=row["camera"],
        damage=row["damage"] or None,
    )
