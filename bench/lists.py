"""Lists of a made-up catalogue of a million files, narrowed and ordered in hundreds of ways: how
soon the first rows are there, beside SQLite's own plan for the same.

Kinds, years, sources and names lie folder by folder, as they do on real disks: so much of what is
wanted lies at the far end of an order, which is where an index of that order is of no use.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, get_args

from arcanum_tui.wiring import spare_the_loop
from bench.loops import Beats, bare_loop
from bench.table import Aim, Plan, Row, percentile, versus
from engine.contract.assets import ListAssets, Sort
from engine.contract.base import PathRef
from engine.media.catalogue import Numbers, fold
from engine.media.listing.aside import Aside
from engine.media.listing.blocks import Blocks
from engine.media.listing.matching import match, phases
from engine.media.listing.pages import Pages, Shelved
from engine.store import Database, schema

_TURNS = 3
"""Of each way the median: the slowest of hundreds of single ones tells of the machine alone."""
_ROWS = 500
_SOON = Aim(100)
_YEAR_NS = 31_556_952 * 10**9

_COLUMNS = (
    "id, library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, seen_at,"
    " first_seen_at, damage, kind, type, camera, taken_at"
)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A part of the library: up to which share of the files, its folder and what their names begin
    with; what it holds, of which years since 1970, of what sizes, and how many to a folder."""

    upto: float
    place: tuple[str, str]
    kind: str
    types: tuple[str, str]
    years: tuple[int, int]
    sizes: tuple[int, int]
    per_folder: int


_IMAGES, _SOUNDS = ("image/jpeg", "image/heic"), ("audio/flac", "audio/mpeg")
_FILMS, _TEXTS = ("video/mp4", "video/x-matroska"), ("application/pdf", "text/plain")
_SHELVES = (
    _Shelf(0.40, ("a", "img"), "image", _IMAGES, (30, 45), (10**5, 5 * 10**6), 2000),
    _Shelf(0.60, ("m", "track"), "audio", _SOUNDS, (20, 30), (10**6, 10**8), 1000),
    _Shelf(0.72, ("s", "film"), "video", _FILMS, (50, 56), (10**8, 10**10), 100),
    _Shelf(1.00, ("z", "file"), "document", _TEXTS, (45, 50), (0, 10**5), 500),
)

_WANTED: Mapping[str, Mapping[str, Any]] = {
    **{f"kind {kind}": {"kind": (kind,)} for kind in ("image", "audio", "video", "document")},
    "two kinds": {"kind": ("audio", "document")},
    **{f"type {type_}": {"type": (type_,)} for type_ in ("image/heic", "text/plain")},
    "a camera of one year": {"camera": ("Late",)},
    "a camera of many": {"camera": ("Early",)},
    **{f"year {year}": {"year": (year,)} for year in (1990, 1999, 2001, 2014, 2017, 2022, 2025)},
    "two years": {"year": (1990, 2025)},
    **{f"source {kind}": {"source": (kind,)} for kind in ("torrent", "download", "appeared")},
    **{f"host {host}": {"host": (f"{host}.example",)} for host in ("tracker", "site")},
    **{f"from {size} bytes on": {"larger": size} for size in (10**5, 10**7, 5 * 10**9)},
    **{f"below {top}": {"under": PathRef.of(top.encode())} for top in ("a", "m", "s", "z")},
    **{f"name {name}": {"filter": name} for name in ("img", "track", "film", "file", "0999", "no")},
    **{f"state {state}": {"state": (state,)} for state in ("sound", "pending", "damaged")},
    "kind and year": {"kind": ("image",), "year": (2014,)},
    "kind below a folder": {"kind": ("document",), "under": PathRef.of(b"z")},
    "type and size": {"type": ("image/heic",), "larger": 4 * 10**6},
    "name and year": {"filter": "file", "year": (2017,)},
    "source and year": {"source": ("torrent",), "year": (2022,)},
    "kind and name": {"kind": ("document",), "filter": "99"},
}


def measure(plan: Plan) -> list[Row]:
    count = 100_000 if plan.quick else 1_000_000
    path = plan.scratch / "lists.db"
    fill(path, count)
    return asyncio.run(_measured(path, count))


def fill(path: Path, count: int) -> None:
    """A catalogue of so many files in one library."""
    schema.prepare(path, "catalogue")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        told = triggers.fetchall()
        for name, _sql in told:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("BEGIN")
        db.execute("INSERT INTO library (id, root, dev, ino) VALUES (1, ?, 1, 1)", (b"/made-up",))
        marks = ", ".join("?" * len(_COLUMNS.split(",")))
        db.executemany(f"INSERT INTO file ({_COLUMNS}) VALUES ({marks})", _files(count))
        db.execute(
            "INSERT INTO trait (file, size, mtime_ns, kind, type, taken_at, camera)"
            " SELECT id, size, mtime_ns, kind, type, taken_at, coalesce(camera, '') FROM file"
        )
        for kind, host, where in (
            ("torrent", "tracker.example", "kind = 'video'"),
            ("download", "site.example", "kind = 'audio' AND id % 2"),
            ("appeared", "", "1"),
        ):
            db.execute(
                "INSERT INTO source (file, at, kind, host, confidence)"
                f" SELECT id, 1, ?, ?, 1 FROM file WHERE {where}",
                (kind, host),
            )
        db.execute("UPDATE library SET files = ?", (count,))
        for _name, sql in told:
            db.execute(sql)
        db.execute("COMMIT")


def _files(count: int) -> Iterator[tuple[Any, ...]]:
    chance = Random(5)
    for number in range(count):
        shelf = next(shelf for shelf in _SHELVES if number < shelf.upto * count)
        folder = number // shelf.per_folder
        top, word = shelf.place
        path = f"{top}/folder {folder:05}/{word} {number:07}.x".encode()
        year = chance.randrange(*shelf.years)
        changed = year * _YEAR_NS + chance.randrange(_YEAR_NS)
        pictured = shelf.kind == "image" and chance.random() < 0.95
        damage = "rotten" if chance.random() < 1e-5 else ""
        yield (
            number + 1, 1, path, fold(path), 1, number, chance.randrange(*shelf.sizes), changed, 0,
            1, b"\1" * 32, 1, number, damage, shelf.kind, shelf.types[chance.random() < 0.3],
            ("Late" if year == shelf.years[1] - 1 else "Early") if pictured else None,
            changed - chance.randrange(10**12) if pictured else None,
        )  # fmt: skip


async def _measured(path: Path, count: int) -> list[Row]:
    database, aside = Database(path, "catalogue", durable=False), Aside(path)
    beats, bare, other = Beats(), Beats(), Beats()
    await database.open()
    began = time.process_time()
    await Blocks(database, aside).make()
    made = (time.process_time() - began) * 1e6 / count
    numbers = Numbers(files=count)
    pages, shelved = Pages(database, aside), [Shelved(1, "made-up", numbers)]
    ours: dict[str, float] = {}
    spare_the_loop()
    with bare_loop(bare), bare_loop(other):
        beating = asyncio.create_task(beats.keep())
        for name, request in _requests():
            await pages.page(shelved, request)  # What it reads is in the page cache, as SQL's is.
            times = []
            for _turn in range(_TURNS):
                began = time.perf_counter()
                await pages.page(shelved, request)
                times.append((time.perf_counter() - began) * 1000)
            ours[name] = median(times)
        beating.cancel()
        await asyncio.wait({beating})
    await aside.close()
    await database.close()
    pause = Row(
        f"{count:,} files: longest pause that no bare loop had",
        "ms",
        beats.longest_beyond_ms(bare, other),
        aim=Aim(10),
        note=f"lag of the loop, p99 {percentile(beats.late_ms, 0.99):.1f} ms",
    )
    return [*_rows(count, ours, await asyncio.to_thread(_by_sql, path), made), pause]


def _requests() -> Iterator[tuple[str, ListAssets]]:
    for name, wanted in _WANTED.items():
        for sort in get_args(Sort):
            for reverse in (False, True):
                order = {"sort": sort, "reverse": reverse, "limit": _ROWS, "quick": True}
                request = ListAssets.model_validate({"library": "made-up", **wanted, **order})
                yield f"{name} by {sort}{', reversed' if reverse else ''}", request


def _by_sql(path: Path) -> list[float]:
    """Milliseconds that the same rows take where SQLite chooses the way."""
    times = []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        for _name, request in _requests():
            found, rows = match((1,), request), list[Any]()
            began = time.perf_counter()
            for phase in phases(request.sort, reverse=request.reverse):
                sql = (
                    f"SELECT f.*, {phase.key} AS k FROM file f WHERE {found.condition}"
                    f" AND {phase.where or '1'} ORDER BY {phase.order} LIMIT ?"
                )
                rows += db.execute(sql, (*found.bound, _ROWS + 1 - len(rows))).fetchall()
                if len(rows) > _ROWS:
                    break
            times.append((time.perf_counter() - began) * 1000)
    return times


def _rows(count: int, ours: dict[str, float], by_sql: list[float], made: float) -> list[Row]:
    what, peer = f"{count:,} files, first page", "SQLite's own plan"
    times, slowest = [*ours.values()], max(ours, key=lambda name: ours[name])
    note = f"{len(ours)} ways to narrow and order"
    return [
        versus(f"{what}, median", "ms", times, by_sql, peer_name=peer, note=note),
        versus(
            f"{what}, p95", "ms", times, by_sql, peer_name=peer, aim=_SOON, share=0.95, note=note
        ),
        Row(f"{what}, the slowest", "ms", max(times), max(by_sql), peer, _SOON, slowest),
        Row(f"{count:,} files: made into columns", "us each", made, note="processor time"),
    ]
