"""The order of all rows that match: their ids, eight bytes each, so that any row is at hand.

A million ids take 8 MB and a third of a second; they are made aside, while the first page is shown
already, and kept for whoever scrolls. What is kept is bounded, the latest stay.
"""

from __future__ import annotations

import asyncio
import secrets
from array import array
from collections import OrderedDict
from dataclasses import dataclass

from engine.media.listing import packing, ways
from engine.media.listing.aside import Aside, Reading
from engine.media.listing.matching import Match, Phase, phases

_KEPT_IDS = 4_000_000
"""Ids in memory at most, in all orders: 32 MB."""
_KEPT = 64


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
    found = ways.narrowed(reading, ask.match, by_path=ask.sort == "path")
    ids = None
    if found.effort is None and ask.sort != "path" and packing.some(reading):
        from engine.media.listing import finding  # It loads NumPy, which not all need.

        ids = finding.ordered(reading, ask.match, ask.phases)
    if ids is None:
        ids = array("q")
        for phase in ask.phases:
            ids.extend(reading.ids(*ways.rows(reading, found, phase)))
    return Ordered(secrets.token_hex(8), ask, ids, version)


def _weight(reading: Reading, match: Match) -> int:
    """An inode weighs as much as the largest of its rows that match."""
    match = ways.narrowed(reading, match)
    size, linked = reading.all(
        f"SELECT coalesce(sum(f.size), 0), coalesce(sum(f.nlink > 1), 0) {ways.source(match)}",
        match.bound,
    )[0]
    if linked:
        several = ways.source(match, " AND f.nlink > 1")
        size -= reading.all(
            "SELECT coalesce(sum(size - most), 0) FROM ("  # noqa: S608
            f" SELECT sum(f.size) AS size, max(f.size) AS most {several}"
            " GROUP BY f.library, f.dev, f.ino)",
            match.bound,
        )[0][0]
    return int(size)
