"""The order of all rows that match: their ids, eight bytes each, so that any row is at hand.

A million ids take 8 MB and half a second; they are made aside, while the first page is shown
already, and kept for whoever scrolls. What is kept is bounded, the latest stay.
"""

from __future__ import annotations

import asyncio
import secrets
from array import array
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from engine.media.listing.aside import Aside, Reading
from engine.media.listing.matching import Match, Phase, phases

_KEPT_IDS = 4_000_000
"""Ids in memory at most, in all orders: 32 MB."""
_KEPT = 64
_FEW = 50_000
"""Files of a folder that are found one by one in less time than a walk over a million takes."""
_TOGETHER = 40
"""Indexes of so many libraries are merged; of more the rows are sorted instead."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is listed, and how."""

    match: Match
    sort: str
    reverse: bool

    @property
    def phases(self) -> tuple[Phase, ...]:
        return phases(self.sort, reverse=self.reverse)


@dataclass(slots=True)
class Ordered:
    """``bytes`` of all rows, each inode once, None until somebody asked. ``version``: of the
    catalogue that it was read from."""

    name: str
    ask: Ask
    ids: array[int]
    version: int
    bytes: int | None = None


def source(match: Match, where: str = "") -> str:
    """FROM and WHERE for all that matches; the values are ``match.bound``."""
    way = "NOT INDEXED"
    if match.index:
        way = f"INDEXED BY {match.index}"
    return f"FROM file f {way} {match.join} WHERE {match.condition}{where}"


class Orders:
    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._kept: OrderedDict[str, Ordered] = OrderedDict()
        self._making: dict[Ask, asyncio.Task[Ordered]] = {}
        self._waiting: dict[Ask, int] = {}

    def held(self, name: str, ask: Ask) -> Ordered | None:
        """The order of this name, if it is still remembered and is of this request."""
        found = self._kept.get(name)
        if found is None or found.ask != ask:
            return None
        self._kept.move_to_end(name)
        return found

    async def of(self, ask: Ask) -> Ordered:
        """As the catalogue is now. Who asks for the same meanwhile shares it."""
        task = self._making.get(ask)
        if task is None:
            task = self._making[ask] = asyncio.create_task(self._make(ask), name="media:order")
        self._waiting[ask] = self._waiting.get(ask, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[ask] -= 1
            if not self._waiting[ask]:
                del self._waiting[ask]
                if self._making.get(ask) is task:
                    del self._making[ask]
                task.cancel()  # Nobody waits for it; one that is done stays as it is.

    async def weigh(self, order: Ordered) -> int:
        """The bytes of all that matches. Raises StoreFailed."""
        if order.bytes is None:
            found = order.ask.match
            order.bytes = await self._aside.run(lambda reading: _weight(reading, found))
        return order.bytes

    async def _make(self, ask: Ask) -> Ordered:
        version = await self._aside.version()
        for kept in reversed(self._kept.values()):
            if kept.ask == ask and kept.version == version:
                self._kept.move_to_end(kept.name)
                return kept
        # What is written between the two is in it, and makes it out of date for the next one.
        made = await self._aside.run(lambda reading: _read(reading, ask, version))
        for old in [n for n, kept in self._kept.items() if kept.ask == ask][:-1]:
            del self._kept[old]
        self._kept[made.name] = made
        while len(self._kept) > 1 and (
            len(self._kept) > _KEPT or sum(len(o.ids) for o in self._kept.values()) > _KEPT_IDS
        ):
            self._kept.popitem(last=False)
        return made


def _read(reading: Reading, ask: Ask, version: int) -> Ordered:
    ids: array[int] = array("q")
    found = _by_the_folder(reading, ask.match)
    for phase in ask.phases:
        for batch in reading.rows(*_ids(found, phase)):
            ids.extend([row[0] for row in batch])
    return Ordered(secrets.token_hex(8), ask, ids, version)


def _by_the_folder(reading: Reading, found: Match) -> Match:
    """A small part of a library is read by its range of paths, not by a walk over all."""
    if found.below is None or found.index:
        return found
    [(files,)] = reading.all(
        "SELECT count(*) FROM (SELECT 1 FROM file INDEXED BY file_by_path"
        " WHERE library = ? AND path >= ? AND path < ? LIMIT ?)",
        (*found.libraries, *found.below, _FEW + 1),
    )
    return replace(found, index="file_by_path") if files <= _FEW else found


def _ids(found: Match, phase: Phase) -> tuple[str, tuple[Any, ...]]:
    where = f" AND {phase.where}" if phase.where else ""
    if found.everything and phase.indexed and len(found.libraries) <= _TOGETHER:
        one = f"SELECT f.id AS id, {phase.key} AS k FROM file f WHERE f.library = ?{where}"  # noqa: S608
        parts = " UNION ALL ".join([one] * len(found.libraries))
        return f"SELECT id, k FROM ({parts}) ORDER BY {phase.order}", found.libraries  # noqa: S608
    if found.below and phase.column == "path":
        found = replace(found, index=found.index or "file_by_path")
    sql = f"SELECT f.id AS id, {phase.key} AS k {source(found, where)} ORDER BY {phase.order}"
    return sql, found.bound


def _weight(reading: Reading, match: Match) -> int:
    """An inode weighs as much as the largest of its rows that match."""
    match = _by_the_folder(reading, match)
    size, linked = reading.all(
        f"SELECT coalesce(sum(f.size), 0), coalesce(sum(f.nlink > 1), 0) {source(match)}",
        match.bound,
    )[0]
    if linked:
        size -= reading.all(
            "SELECT coalesce(sum(size - most), 0) FROM ("  # noqa: S608
            f" SELECT sum(f.size) AS size, max(f.size) AS most {source(match, ' AND f.nlink > 1')}"
            " GROUP BY f.library, f.dev, f.ino)",
            match.bound,
        )[0][0]
    return int(size)
