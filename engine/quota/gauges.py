"""Libraries against their limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from engine.contract.assets import Library
from engine.contract.ports import Catalogue, Concern, Severity
from engine.contract.quota import Gauge
from engine.ground import Ground
from engine.quota import words
from engine.quota.book import EXECUTING, OPEN, Book


class Gauges:
    def __init__(self, ground: Ground, book: Book) -> None:
        self._ground = ground
        self._book = book

    async def every(self) -> tuple[Gauge, ...]:
        libraries = await self._ground.use(Catalogue).libraries()  # type: ignore[type-abstract]
        return await self._of(libraries)

    async def of(self, library: str) -> Gauge:
        """Raises NotFound."""
        found = await self._ground.use(Catalogue).library(library)  # type: ignore[type-abstract]
        return (await self._of([found]))[0]

    async def _of(self, libraries: Sequence[Library]) -> tuple[Gauge, ...]:
        limits = await self._book.limits()
        waiting = await self._book.in_trash()
        return tuple(
            _gauge(library, limits.get(library.name), waiting.get(library.name, 0))
            for library in libraries
        )

    async def concerns(self) -> list[Concern]:
        """Over the limit and nobody asked what to do, or not to be judged."""
        asked = {
            plan.library
            for plan in await self._book.plans(OPEN, EXECUTING)
            if plan.asked or plan.state == EXECUTING
        }
        found = []
        for gauge in await self.every():
            link = f"media/{gauge.library}"
            if gauge.state == "unknown":
                text = f"its limit cannot be judged: {gauge.note}"
                found.append(Concern(Severity.UNKNOWN, gauge.library, text, link=link))
            elif gauge.state == "over" and gauge.library not in asked:
                text = f"{words.size(gauge.over)} over its limit of {words.size(gauge.limit or 0)}"
                found.append(Concern(Severity.NEEDS_YOU, gauge.library, text, link=link))
        return found


def _gauge(library: Library, limit: int | None, in_trash: int) -> Gauge:
    state: Literal["ok", "over", "none", "unknown"]
    problem = unknown(library)
    over = max(0, library.bytes - limit) if limit and not problem else 0
    if limit is None:
        state = "none"
    elif problem:
        state = "unknown"
    else:
        state = "over" if over else "ok"
    note = problem
    # What is known and cannot be read is weighed all the same.
    hidden = library.unreadable - library.unread
    if not problem and hidden:
        note = f"{words.files(hidden)} could not be read and may not be counted"
    return Gauge(
        library=library.name,
        machine=library.machine,
        used=library.bytes,
        limit=limit,
        over=over,
        in_trash=in_trash,
        state=state,
        note=note,
    )


def unknown(library: Library) -> str:
    """Why the library's size is not known; empty where it is."""
    if library.state in {"missing", "unreadable"}:
        return library.note or f"its folder {library.path.display} is {library.state}"
    if library.last_scan_at is None:
        return "never scanned to the end"
    return ""
