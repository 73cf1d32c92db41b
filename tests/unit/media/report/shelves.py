"""A catalogue made up for a report, and the same numbers counted in another way."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from engine.contract.assets import Library
from engine.contract.base import PathRef, now
from engine.contract.report import Breakdown, MediaReport
from engine.media.report.counting import Counting
from engine.store import Database, Transaction

DAY = 86_400 * 10**9
NAMES = {1: "films", 2: "music", 3: "photos"}


@dataclass
class Row:
    """A name of a file. ``came_back``: when it returned after it was gone."""

    library: int
    path: bytes
    ino: int
    size: int
    modified: int = 0
    first_seen: int = field(default_factory=time.time_ns)
    checked: int | None = None
    blake3: bytes | None = None
    damage: str = ""
    kind: str = ""
    type: str = ""
    camera: str = ""
    sources: tuple[tuple[str, str, float], ...] = ()
    nlink: int = 1
    came_back: int | None = None


@dataclass
class Gone:
    library: int
    at: int
    size: int
    first_seen: int | None


async def fill(database: Database, rows: Iterable[Row], gone: Iterable[Gone] = ()) -> None:
    """Puts them there as the room would, so that the triggers count."""

    async def work(tx: Transaction) -> None:
        for library in NAMES:
            await tx.execute("INSERT INTO library (id, root) VALUES (?, ?)", (library, b"/srv"))
        for row in rows:
            number = await tx.insert(
                "INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns,"
                " nlink, blake3, seen_at, first_seen_at, checked_at, damage)"
                " VALUES (?, ?, '', 7, ?, ?, ?, 0, ?, ?, 0, ?, ?, ?)",
                (
                    *(row.library, row.path, row.ino, row.size, row.modified, row.nlink),
                    *(row.blake3, row.first_seen, row.checked, row.damage),
                ),
            )
            if row.kind:
                await tx.execute(
                    "INSERT INTO trait (file, size, mtime_ns, kind, type, camera)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (number, row.size, row.modified, row.kind, row.type, row.camera),
                )
            for kind, origin, confidence in row.sources:
                await tx.execute(
                    "INSERT INTO source (file, at, kind, origin, confidence)"
                    " VALUES (?, 0, ?, ?, ?)",
                    (number, kind, origin, confidence),
                )
            if row.came_back is not None:
                await _happened(tx, row, number, row.came_back - 1, "gone")
                await _happened(tx, row, number, row.came_back, "returned")
        for number, left in enumerate(gone, 10**6):
            await tx.execute(
                "INSERT INTO history (at, library, file, what, path, size, first_seen_at)"
                " VALUES (?, ?, ?, 'gone', x'61', ?, ?)",
                (left.at, left.library, number, left.size, left.first_seen),
            )

    await database.write(work)


async def _happened(tx: Transaction, row: Row, file: int, at: int, what: str) -> None:
    first = row.first_seen if what == "gone" else None
    await tx.execute(
        "INSERT INTO history (at, library, file, what, path, size, first_seen_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at, row.library, file, what, row.path, row.size, first),
    )


def library(name: str, **values: object) -> Library:
    known = {"state": "ok", "last_scan_at": now()} | values
    return Library.model_validate(
        {"name": name, "path": PathRef.of(b"/srv"), "machine": "nas"} | known
    )


def counting(database: Database, **states: Library) -> Counting:
    """What counts the libraries of NAMES, one or the other of them as told."""
    known = {id_: states.get(name, library(name)) for id_, name in NAMES.items()}
    return Counting(database, "nas", lambda: known)


def divisions(found: MediaReport) -> dict[str, Breakdown]:
    """Every division of the whole into parts."""
    return {
        "kinds": found.kinds,
        "types": found.types,
        "cameras": found.cameras,
        "modified": found.modified,
        "first_seen": found.first_seen,
        "sources": found.sources.kinds,
        "hosts": found.sources.hosts,
    }


def summed(part: Breakdown) -> tuple[int, int]:
    amounts = (*part.rows, part.others, part.unknown)
    return sum(each.files for each in amounts), sum(each.bytes for each in amounts)


def shares(part: Breakdown) -> dict[str, tuple[int, int]]:
    """What it says, by name; "" stands for what is unknown, "…" for what is beyond."""
    told = {row.name: (row.files, row.bytes) for row in part.rows}
    told["…"] = (part.others.files, part.others.bytes)
    told[""] = (part.unknown.files, part.unknown.bytes)
    return {name: amount for name, amount in told.items() if amount != (0, 0)}


def weights(rows: Iterable[Row]) -> list[tuple[Row, int]]:
    """Each row with what it weighs: an inode weighs as its heaviest, first name in a library."""
    inodes: dict[tuple[int, int], list[Row]] = defaultdict(list)
    rows = list(rows)
    for row in rows:
        inodes[row.library, row.ino].append(row)
    heavy = {id(max(names, key=lambda row: row.size)) for names in inodes.values()}
    return [(row, row.size if id(row) in heavy else 0) for row in rows]


def divided(rows: Iterable[Row], name: object) -> dict[str, tuple[int, int]]:
    """The same division, made here: ``name`` says what a row is called."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row, weight in weights(rows):
        called = name(row)  # type: ignore[operator]
        files, size = found[called]
        found[called] = (files + 1, size + weight)
    return dict(found)


def date(nanoseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
