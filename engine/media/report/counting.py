"""What the libraries hold, counted in a thread, all at the same moment of the catalogue."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence

from engine.contract.assets import Library
from engine.contract.errors import NotFound
from engine.contract.report import LibraryShare, MediaReport, Total
from engine.media.paging import when
from engine.media.report import growth, sections, tables
from engine.store import Database


class Counting:
    """The port ``MediaCounts``. ``libraries``: those that there are, by their id."""

    def __init__(
        self, database: Database, machine: str, libraries: Callable[[], Mapping[int, Library]]
    ) -> None:
        self._db, self._machine, self._libraries = database, machine, libraries

    async def count(self, libraries: Sequence[str], most: int) -> MediaReport:
        """See the port. Raises NotFound, StoreFailed."""
        known = self._libraries()
        names = {library.name for library in known.values()}
        for name in libraries:
            if name not in names:
                listed = ", ".join(sorted(names)) or "none yet: arcanum media add PATH"
                raise NotFound(f"There is no library {name}.", f"Libraries: {listed}.")
        shown = {
            id_: library
            for id_, library in sorted(known.items(), key=lambda pair: pair[1].name)
            if not libraries or library.name in libraries
        }
        return await self._db.study(lambda db: _report(db, self._machine, shown, most))


def _report(
    db: sqlite3.Connection, machine: str, shown: Mapping[int, Library], most: int
) -> MediaReport:
    started = time.monotonic()
    now = tables.prepare(db, shown)
    rows = {row["id"]: row for row in db.execute("SELECT * FROM library")}
    # One that was added just now may have no row yet.
    libraries = tuple(_library(library, rows.get(id_)) for id_, library in shown.items())
    names = {id_: library.name for id_, library in shown.items()}
    integrity = tuple(
        sections.integrity(db, id_, library, rows.get(id_)) for id_, library in shown.items()
    )
    total = Total(
        files=sum(library.files for library in libraries),
        bytes=sum(library.bytes for library in libraries),
        bytes_once=sections.bytes_once(db),
        pending=sum(rows[id_]["pending"] for id_ in shown if id_ in rows),
        damaged=sum(one.rotten.files + one.unreadable.files for one in integrity),
        unreadable=sum(one.unreadable_names for one in integrity),
    )
    return MediaReport(
        at=when(now),
        machine=machine,
        total=total,
        libraries=libraries,
        kinds=sections.breakdown(db, "contents", "kind"),
        types=sections.breakdown(db, "contents", "type"),
        cameras=sections.breakdown(db, "contents", "camera"),
        modified=sections.years(db, "modified"),
        first_seen=sections.years(db, "first_seen"),
        growth=growth.ledger(db, names),
        largest=sections.largest(db, names, most),
        duplicates=sections.duplicates(db, names, most, total.pending),
        sources=sections.sources(db),
        integrity=integrity,
        seconds=time.monotonic() - started,
    )


def _library(library: Library, row: sqlite3.Row | None) -> LibraryShare:
    """Its numbers are those of the moment; how it stands is told as of now."""
    return LibraryShare(
        library=library.name,
        path=library.path,
        state=library.state,
        note=library.note,
        files=row["files"] if row else 0,
        bytes=row["bytes"] if row else 0,
        last_scan_at=library.last_scan_at,
    )
