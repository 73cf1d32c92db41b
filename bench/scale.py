"""Memories by the ten thousand: how adding, indexing, searching and starting grow with them.

Vectors are made up (sums of random ones, a word each), so that the model's own time is left out: it
is a row of ``recall``. ``LARGE=1`` measures a million too, which takes most of an hour.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.house import House
from bench.loops import Beats, bare_loop
from bench.recall import Memories, memories_at
from bench.table import Aim, Plan, Row, percentile, versus
from engine.contract import recall
from engine.contract.backend import BackendInfo, ModelState
from engine.contract.memories import Note

DIMENSIONS, LATENT = 384, 48
_WORDS = 30_000
_BATCH = 250
_QUERIES = 200
BEGUN = datetime(2020, 1, 1, tzinfo=UTC)


class MadeUp:
    """Implements ``Backend`` and ``Embeds`` as far as memories need them.

    As spread out as the bundled model's vectors are: those of real turns have an effective number
    of dimensions of 45 (the participation ratio of their variances), whatever their length.
    """

    def __init__(self) -> None:
        import numpy as np

        chance = np.random.default_rng(45)
        spread = chance.standard_normal((LATENT, DIMENSIONS), dtype=np.float32)
        self._vectors = chance.standard_normal((_WORDS, LATENT), dtype=np.float32) @ spread
        self._rows = {word: row for row, word in enumerate(_vocabulary())}

    def info(self) -> BackendInfo:
        return BackendInfo("bench", "made-up vectors", ModelState.READY)

    def extra(self, _port: Any) -> MadeUp:
        return self

    async def unload(self) -> None:
        """It holds nothing."""

    async def embed(self, texts: Sequence[str]) -> list[array[float]]:
        return await asyncio.to_thread(lambda: [self._embedded(text) for text in texts])

    def _embedded(self, text: str) -> array[float]:
        time.sleep(0)  # A real one computes in another process: the interpreter is the engine's.
        return self._vector(text)

    def _vector(self, text: str) -> array[float]:
        rows = [self._rows.get(word, 0) for word in text.split()]
        return array("f", self._vectors[rows].sum(axis=0).tobytes())


def _vocabulary() -> list[str]:
    return [f"w{number:x}" for number in range(_WORDS)]


class Talk:
    """Made-up turns: words by Zipf's law, a minute apart, of two speakers."""

    def __init__(self) -> None:
        self._chance = random.Random(17)
        self._words = _vocabulary()
        self._weights = [1 / (rank + 10) for rank in range(_WORDS)]

    def notes(self, start: int, count: int) -> tuple[Note, ...]:
        drawn = iter(self._chance.choices(self._words, self._weights, k=14 * count))
        return tuple(
            Note(
                text=" ".join(next(drawn) for _ in range(14)),
                at=BEGUN + timedelta(minutes=number),
                speaker="Ann" if number % 2 else "Bob",
                source="talk",
            )
            for number in range(start, start + count)
        )

    def query(self) -> str:
        return " ".join(self._chance.choices(self._words, self._weights, k=5))


@dataclass(slots=True)
class Found:
    """What was measured at one size. Times in milliseconds, but for ``restart`` (seconds).
    ``bare`` and ``other`` are loops that do nothing, in processes of their own."""

    size: int
    added_per_s: float = 0.0
    plain_per_s: float = 0.0
    worded_per_s: float = 0.0
    embedded_per_s: float = 0.0
    beats: Beats = field(default_factory=Beats)
    bare: Beats = field(default_factory=Beats)
    other: Beats = field(default_factory=Beats)
    search: list[float] = field(default_factory=list)
    filtered: list[float] = field(default_factory=list)
    spoken: list[float] = field(default_factory=list)
    fts: list[float] = field(default_factory=list)
    restart: float = 0.0
    resident: int = 0
    disk: int = 0
    recall: float = 0.0
    narrowed: float = 0.0


def measure(plan: Plan) -> list[Row]:
    sizes = [10_000] if plan.quick else [10_000, 100_000]
    if os.environ.get("LARGE"):
        sizes.append(1_000_000)
    rows: list[Row] = []
    for size in sizes:
        base = Path(plan.scratch / f"scale-{size}")
        base.mkdir()
        found = asyncio.run(_measured(base, size))
        rows += _rows(found)
    return rows


async def _measured(base: Path, size: int) -> Found:
    from backends.registry import Catalog

    made = MadeUp()
    Catalog.embedding = lambda _self, _name: made  # type: ignore[method-assign, assignment, return-value]
    found, talk, house = Found(size), Talk(), House(base)
    found.plain_per_s = _plain(base / "plain.db", talk, min(size, 50_000))
    async with memories_at(house) as memory:
        with bare_loop(found.bare), bare_loop(found.other):
            await _fill(memory, talk, found)
            async with _beating(found):
                await _search(memory, talk, Found(size))  # For the loop: beats cost time, too.
        await _search(memory, talk, found)
        found.recall, found.narrowed = await _against_exact(house, made, talk)
    started = time.perf_counter()
    async with memories_at(house) as memory:
        await memory.do(recall.SEARCH, recall.Search(query=talk.query(), namespace="talk"))
        found.restart = time.perf_counter() - started
        # The same words, by FTS5 alone over the same texts.
        found.fts = await asyncio.to_thread(_fts_alone, house, talk)
    return found


async def _fill(memory: Memories, talk: Talk, found: Found) -> None:
    adding = 0.0
    begun = time.perf_counter()
    for start in range(0, found.size, _BATCH):
        notes = talk.notes(start, _BATCH)  # Making them is none of what is measured.
        async with _beating(found):
            adding += await _timed(
                memory.do(recall.ADD, recall.AddNotes(namespace="talk", notes=notes))
            )
    found.added_per_s = found.size / adding
    async with _beating(found):
        await memory.worded()
        found.worded_per_s = found.size / (time.perf_counter() - begun)
        stats = await memory.indexed()
        found.embedded_per_s = found.size / (time.perf_counter() - begun)
    found.resident, found.disk = stats.resident_bytes, stats.index_bytes


@asynccontextmanager
async def _beating(found: Found) -> AsyncIterator[None]:
    beating = asyncio.create_task(found.beats.keep())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})


async def _search(memory: Memories, talk: Talk, found: Found) -> None:
    for _ in range(_QUERIES):
        request = recall.Search(query=talk.query(), namespace="talk")
        found.search.append(1000 * await _timed(memory.do(recall.SEARCH, request)))
        since = BEGUN + timedelta(minutes=found.size // 2)
        narrowed = request.model_copy(
            update={"since": since, "until": since + timedelta(minutes=found.size // 10)}
        )
        found.filtered.append(1000 * await _timed(memory.do(recall.SEARCH, narrowed)))
        spoken = request.model_copy(update={"speaker": "Ann"})
        found.spoken.append(1000 * await _timed(memory.do(recall.SEARCH, spoken)))


async def _timed(work: Awaitable[Any]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


def _plain(path: Path, talk: Talk, size: int) -> float:
    """Rows a second that bare SQLite takes, as durable and in the same batches."""
    rows = [
        (note.text, str(note.at), note.speaker, note.source)
        for start in range(0, size, _BATCH)
        for note in talk.notes(start, _BATCH)
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE turn (id INTEGER PRIMARY KEY, text, at, speaker, source)")
        begun = time.perf_counter()
        for start in range(0, size, _BATCH):
            db.execute("BEGIN")
            db.executemany(
                "INSERT INTO turn (text, at, speaker, source) VALUES (?, ?, ?, ?)",
                rows[start : start + _BATCH],
            )
            db.execute("COMMIT")
        return size / (time.perf_counter() - begun)


def _fts_alone(house: House, talk: Talk) -> list[float]:
    """Milliseconds that FTS5's own ranking takes for queries like ours over the same texts."""
    times = []
    with (
        closing(sqlite3.connect(house.home.state_file)) as truth,
        closing(sqlite3.connect(house.base / "fts.db")) as db,
    ):
        db.execute("CREATE VIRTUAL TABLE fts USING fts5 (text, tokenize = 'porter unicode61')")
        db.executemany(
            "INSERT INTO fts (rowid, text) VALUES (?, ?)",
            truth.execute("SELECT id, text FROM memory"),
        )
        for _ in range(_QUERIES // 4):
            query = " OR ".join(f'"{word}"' for word in talk.query().split())
            begun = time.perf_counter()
            db.execute(
                "SELECT rowid FROM fts WHERE fts MATCH ? ORDER BY rank LIMIT 10", (query,)
            ).fetchall()
            times.append(1000 * (time.perf_counter() - begun))
    return times


async def _against_exact(house: House, made: MadeUp, talk: Talk) -> tuple[float, float]:
    """recall@10 against a comparison with every vector: of all by hnswlib, and of the hundredth
    part that a filter leaves."""
    return await asyncio.to_thread(_exact, house, made, talk)


def _exact(house: House, made: MadeUp, talk: Talk) -> tuple[float, float]:
    import numpy as np

    from engine.recall.index import narrow
    from engine.recall.index.finding import NEAREST
    from engine.recall.index.shelf import Shelf
    from engine.recall.index.vectors import Vectors, normal

    folder = house.home.data / "recall"
    with closing(sqlite3.connect(f"{(folder / 'recall.db').as_uri()}?mode=ro", uri=True)) as db:
        truth = str(db.execute("SELECT value FROM meta WHERE name = 'truth'").fetchone()[0])
        space = int(db.execute("SELECT max(id) FROM space").fetchone()[0])
        queries = normal(np.array([made._vector(talk.query()) for _ in range(50)]))  # noqa: SLF001
        best, few = _Best(len(queries)), _Best(len(queries))
        cursor = db.execute("SELECT memory, data FROM vector")
        while rows := cursor.fetchmany(20_000):
            ids = np.asarray([memory for memory, _ in rows])
            block = np.stack([np.frombuffer(data, np.float16) for _, data in rows])
            close = queries @ block.astype(np.float32).T
            best.take(ids, close)
            few.take(ids[ids % 100 == 0], close[:, ids % 100 == 0])
    # A copy of the index's own look: its process goes on beside this one, and is not disturbed.
    shelf = Shelf(folder, truth)
    vectors = Vectors(shelf, "made-up vectors", DIMENSIONS, 8 << 30)
    near = [[m for m, _ in vectors.nearest(space, query, NEAREST)[:10]] for query in queries]
    left = np.sort(few.met)
    some = [narrow.begin(vectors, space, query, left, NEAREST)()[:10] for query in queries]
    shelf.close()
    return best.share(near), few.share(some)


class _Best:
    """The ten nearest to each query of all that were met."""

    def __init__(self, queries: int) -> None:
        import numpy as np

        self.met = np.empty(0, np.int64)
        self._ids = np.empty((queries, 0), np.int64)
        self._close = np.empty((queries, 0), np.float32)

    def take(self, ids: Any, close: Any) -> None:
        """``close``: a row for each query."""
        import numpy as np

        self.met = np.concatenate([self.met, ids])
        every = np.concatenate([self._close, close], axis=1)
        names = np.concatenate([self._ids, np.broadcast_to(ids, close.shape)], axis=1)
        top = np.argsort(-every, axis=1)[:, :10]
        self._close = np.take_along_axis(every, top, axis=1)
        self._ids = np.take_along_axis(names, top, axis=1)

    def share(self, found: Sequence[Any]) -> float:
        """How much of it was found, from 0 to 1."""
        pairs = zip(found, self._ids.tolist(), strict=True)
        return sum(len(set(map(int, one)) & set(exact)) for one, exact in pairs) / self._ids.size


def _rows(found: Found) -> list[Row]:
    n = f"{found.size:,} memories"
    late, bare = found.beats.late_ms, found.bare.late_ms
    gib = f"{found.resident / 2**20:,.0f} MiB in memory, {found.disk / 2**20:,.0f} MiB on disk"
    return [
        Row(
            f"{n}: add, durable",
            "us each",
            1e6 / found.added_per_s,
            1e6 / found.plain_per_s,
            "bare SQLite",
            Aim(200),
            f"{found.added_per_s:,.0f} a second",
        ),
        Row(f"{n}: until found by words", "us each", 1e6 / found.worded_per_s),
        Row(f"{n}: until found by meaning", "us each", 1e6 / found.embedded_per_s, note=gib),
        versus(
            f"{n}: search, p50", "ms", found.search, found.fts, peer_name="FTS5 alone"
        ),
        versus(
            f"{n}: search, p95",
            "ms",
            found.search,
            found.fts,
            peer_name="FTS5 alone",
            aim=Aim(50),
            share=0.95,
        ),
        Row(f"{n}: search in a tenth, p95", "ms", percentile(found.filtered, 0.95), aim=Aim(50)),
        Row(f"{n}: search of one speaker, p95", "ms", percentile(found.spoken, 0.95), aim=Aim(50)),
        Row(f"{n}: restart to first recall", "s", found.restart, aim=Aim(2)),
        Row(f"{n}: missed by hnswlib at 10", "%", 100 * (1 - found.recall), aim=Aim(1)),
        Row(
            f"{n}: missed at 10 of a hundredth part",
            "%",
            100 * (1 - found.narrowed),
            aim=Aim(1),
            note="what a filter leaves",
        ),
        Row(
            f"{n}: loop lag meanwhile, p99",
            "ms",
            percentile(late, 0.99),
            percentile(bare, 0.99),
            "bare loop, same time",
            Aim(10),
            f"worst {max(late):.0f} ms of {len(late):,} beats, bare {max(bare):.0f} ms",
        ),
        Row(
            f"{n}: longest pause that no bare loop had",
            "ms",
            found.beats.longest_beyond_ms(found.bare, found.other),
            aim=Aim(10),
            note="two of them: the machine stops each processor by itself; one had"
            f" {found.other.longest_beyond_ms(found.bare):.0f} ms that the other had not",
        ),
    ]  # fmt: skip
