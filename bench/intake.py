"""Memories taken in from a file by ``recall.import``, beside bare SQLite that reads the same lines.

The model that makes vectors is left out: it goes behind the write, and is a row of ``recall``.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from bench.house import CannotMeasure, House
from bench.recall import memories_at
from bench.scale import BEGUN, Talk
from bench.table import Aim, Plan, Row, percentile, versus
from engine.contract import recall
from engine.contract.base import PathRef
from engine.contract.jobs import JobId, JobState
from engine.contract.memories import Record
from engine.contract.recall import Imported

_LINES, _QUICK_LINES = 50_000, 10_000
_COMMIT = 1_000


def measure(plan: Plan) -> list[Row]:
    count = _QUICK_LINES if plan.quick else _LINES
    file = plan.scratch / "memories.jsonl"
    _write(file, count)
    ours, plain = [], []
    for turn in range(plan.rounds):
        base = plan.scratch / f"intake-{turn}"
        base.mkdir()
        ours.append(1e6 * asyncio.run(_import(base, file, count)) / count)
        plain.append(1e6 * _plain(base / "plain.db", file) / count)
    row = versus(
        f"{count:,} memories: import, durable",
        "us each",
        ours,
        plain,
        peer_name="bare SQLite",
        aim=Aim(200),
        note=f"{1e6 / percentile(ours, 0.5):,.0f} a second",
    )
    return [row]


def _write(file: Path, count: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        for number, note in enumerate(Talk().notes(0, count)):
            record = Record(
                uid=f"{number:032x}",
                namespace="talk",
                kind="note",
                text=note.text,
                at=BEGUN + timedelta(minutes=number),
                added_at=BEGUN,
                speaker=note.speaker,
                source=note.source,
            )
            out.write(record.model_dump_json() + "\n")


async def _import(base: Path, file: Path, count: int) -> float:
    """Seconds from the call to the end of the job."""
    house = House(base)
    house.configure('[memory]\nembedding = "none"\n')
    async with memories_at(house) as memory:
        started = time.perf_counter()
        request = recall.Import(path=PathRef.of(file))
        job = await memory.do(recall.IMPORT, request)
        states = await memory.followed(JobId(id=job.job_id))
        took = time.perf_counter() - started
    if not states or states[-1].state is not JobState.DONE:
        raise CannotMeasure(f"the import did not end well: {states[-1:]}")
    done = Imported.model_validate(states[-1].result)
    if done.added != count:
        raise CannotMeasure(f"{done.added:,} of {count:,} were taken in: {done.problems}")
    return took


def _plain(path: Path, file: Path) -> float:
    """The same for a table without anything, in transactions of as many rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db, file.open("rb") as lines:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE memory (id INTEGER PRIMARY KEY, uid, text, at, speaker, source)")
        started = time.perf_counter()
        rows: list[tuple[str, ...]] = []
        for line in lines:
            told = json.loads(line)
            rows.append((told["uid"], told["text"], told["at"], told["speaker"], told["source"]))
            if len(rows) == _COMMIT:
                _commit(db, rows)
                rows = []
        _commit(db, rows)
        return time.perf_counter() - started


def _commit(db: sqlite3.Connection, rows: list[tuple[str, ...]]) -> None:
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO memory (uid, text, at, speaker, source) VALUES (?, ?, ?, ?, ?)", rows
    )
    db.execute("COMMIT")
