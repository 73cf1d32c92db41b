"""``python -m bench.recall LOCOMO_JSON``: how much of what answers a question is recalled.

Each conversation is one namespace, each turn one memory; they are added, indexed and searched by
the public operations of a real engine. Recall at k is the share of a question's evidence among its
first k hits, averaged over all questions. The result is JSON on stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.house import CannotMeasure, House
from bench.locomo import Conversation, conversations
from bench.table import Aim, Plan, Row, percentile
from engine.contract import recall
from engine.contract.base import Empty, Wire
from engine.contract.client import Done, EngineClient
from engine.contract.jobs import FOLLOW, Job, JobId
from engine.contract.memories import Note, Stats
from engine.contract.operation import Operation

KS = (5, 10, 25)
_BATCH = 500
_INDEXED_WITHIN_S = 4 * 3600.0


class Memories:
    """An engine that is spoken to as every face does."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def do(self, operation: Operation[Any, Any], request: Wire) -> Any:
        answer = await self._client.call(operation, request)
        if not isinstance(answer, Done):
            raise CannotMeasure(f"{operation.name} waits for an answer")
        return answer.result

    async def followed(self, job: JobId) -> list[Job]:
        """What became of a job, to its end."""
        async with self._client.stream(FOLLOW, job) as changes:
            return [change async for change in changes]

    async def add(self, namespace: str, notes: Sequence[Note]) -> None:
        for start in range(0, len(notes), _BATCH):
            some = tuple(notes[start : start + _BATCH])
            await self.do(recall.ADD, recall.AddNotes(namespace=namespace, notes=some))

    async def worded(self) -> Stats:
        """Waits until everything can be found by its words."""
        return await self._once(lambda stats: not stats.waiting)

    async def _stats(self) -> Stats:
        found: Stats = await self.do(recall.STATS, Empty())
        return found

    async def indexed(self) -> Stats:
        """Waits until everything can be found, by its meaning too where there is a model."""
        worded = ("lexical", "failed")
        return await self._once(
            lambda stats: not stats.waiting and (not stats.to_embed or stats.index in worded)
        )

    async def _once(self, ready: Callable[[Stats], bool]) -> Stats:
        end = time.monotonic() + _INDEXED_WITHIN_S
        while not ready(stats := await self._stats()):
            if time.monotonic() > end:
                raise CannotMeasure(f"{stats.waiting} memories are not indexed, {stats.to_embed}")
            await asyncio.sleep(0.1)
        return stats


@asynccontextmanager
async def memories_at(house: House) -> AsyncIterator[Memories]:
    """An engine in this process, in this home."""
    from arcanum_tui.wiring import connect

    with house.inside():
        client = await connect(host="command")
        try:
            yield Memories(client)
        finally:
            await client.close()


@asynccontextmanager
async def memories() -> AsyncIterator[Memories]:
    """The same in a home of its own, that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as base:
        async with memories_at(House(Path(base))) as memory:
            yield memory


def notes_of(conversation: Conversation) -> list[Note]:
    return [
        Note(text=t.text, at=t.at, speaker=t.speaker, source=t.session, ref=t.ref)
        for t in conversation.turns
    ]


async def measure_recall(found: Iterable[Conversation], ks: Sequence[int]) -> dict[str, Any]:
    """The figures as they are printed: recall in per cent, times in milliseconds."""
    found = list(found)
    async with memories() as memory:
        started = time.perf_counter()
        for conversation in found:
            await memory.add(conversation.name, notes_of(conversation))
        added = time.perf_counter() - started
        stats = await memory.indexed()
        ready = time.perf_counter() - started
        scored, times = await searched(memory, found, ks)
    turns = sum(len(one.turns) for one in found)
    return {
        "conversations": len(found),
        "turns": turns,
        "questions": len(scored),
        "recall": averages(scored, ks),
        "latency_ms": {
            "p50": _rounded(percentile(times, 0.5)),
            "p95": _rounded(percentile(times, 0.95)),
        },
        "added_per_s": _rounded(turns / added),
        "indexed_per_s": _rounded(turns / ready),
        "embedding": stats.embedding or f"none: {stats.note}",
    }


Scored = list[tuple[str, list[float]]]
"""For each question its category, and the share of its evidence among the first k, for each k."""


async def searched(
    memory: Memories, found: Iterable[Conversation], ks: Sequence[int]
) -> tuple[Scored, list[float]]:
    """All questions, asked by the public operation; and the milliseconds that each took."""
    scored: Scored = []
    times: list[float] = []
    for conversation in found:
        for question in conversation.questions:
            began = time.perf_counter()
            request = recall.Search(query=question.text, namespace=conversation.name, limit=max(ks))
            hits = (await memory.do(recall.SEARCH, request)).hits
            times.append((time.perf_counter() - began) * 1000)
            refs = [hit.ref for hit in hits]
            scored.append((question.category, shares(refs, question.evidence, ks)))
    return scored, times


def shares(refs: Sequence[str], evidence: frozenset[str], ks: Sequence[int]) -> list[float]:
    """How much of the evidence is among the first k, for each k."""
    return [len(evidence & set(refs[:k])) / len(evidence) for k in ks]


def averages(scored: Scored, ks: Sequence[int]) -> dict[str, Any]:
    """Per cent, overall and per category: ``{"overall": {"5": …}, "multi-hop": …}``."""
    groups = {"overall": [values for _, values in scored]}
    for category in sorted({category for category, _ in scored}):
        groups[category] = [values for named, values in scored if named == category]
    return {
        name: {str(k): _rounded(100 * fmean(v[i] for v in rows)) for i, k in enumerate(ks)}
        | {"questions": len(rows)}
        for name, rows in groups.items()
    }


def _rounded(value: float) -> float:
    return round(value, 2)


def measure(plan: Plan) -> list[Row]:
    """``LOCOMO=PATH`` names the conversations; beside ours FTS5 alone and the vectors alone."""
    path = os.environ.get("LOCOMO")
    if not path:
        raise CannotMeasure("no conversations are given: make bench LOCOMO=PATH")
    found = conversations(Path(path))[: 1 if plan.quick else None]
    ours = asyncio.run(measure_recall(found, KS))
    words, meaning = words_alone(found, KS), asyncio.run(meaning_alone(found, KS))
    rows = [
        _missed(f"{group}: evidence missed at {k}", k, group, (ours, words, meaning), aim)
        for group, k, aim in (
            ("overall", 5, None),
            ("overall", 10, 22.0),
            ("overall", 25, 13.0),
            ("multi-hop", 10, 55.0),
        )
    ]
    latency = ours["latency_ms"]
    return [
        *rows,
        Row("recall: search, p50", "ms", latency["p50"]),
        Row("recall: search, p95", "ms", latency["p95"], aim=Aim(50)),
        Row(
            "recall: until found by meaning",
            "ms each",
            1000 / ours["indexed_per_s"],
            note=ours["embedding"],
        ),
    ]


def _missed(
    name: str, k: int, group: str, found: tuple[dict[str, Any], ...], aim: float | None
) -> Row:
    ours, words, meaning = (100 - one["recall"][group][str(k)] for one in found)
    note = f"vectors alone miss {meaning:.1f}"
    return Row(f"recall, {name}", "%", ours, words, "FTS5 alone", Aim(aim), note)


def words_alone(found: Sequence[Conversation], ks: Sequence[int]) -> dict[str, Any]:
    """SQLite's own full-text search: Porter's stems, any of the query's words, its own ranking."""
    scored = []
    for conversation in found:
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE VIRTUAL TABLE fts USING fts5 (text, tokenize = 'porter unicode61')")
            db.executemany(
                "INSERT INTO fts (rowid, text) VALUES (?, ?)",
                [
                    (n, f"{t.speaker} {t.at:%d %B %Y} {t.text}")
                    for n, t in enumerate(conversation.turns)
                ],
            )
            for question in conversation.questions:
                words = re.findall(r"\w+", question.text.lower())
                query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words))
                rows = db.execute(
                    "SELECT rowid FROM fts WHERE fts MATCH ? ORDER BY rank LIMIT ?",
                    (query, max(ks)),
                )
                refs = [conversation.turns[row[0]].ref for row in rows]
                scored.append((question.category, shares(refs, question.evidence, ks)))
    return {"recall": averages(scored, ks)}


async def meaning_alone(found: Sequence[Conversation], ks: Sequence[int]) -> dict[str, Any]:
    """The bundled model's vectors, compared one by one."""
    import numpy as np

    scored = []
    async with bundled() as embed:
        for conversation in found:
            texts = [f"{turn.speaker}: {turn.text}" for turn in conversation.turns]
            turns = np.asarray(await embed(texts))
            asked = np.asarray(await embed([q.text for q in conversation.questions]))
            for question, close in zip(conversation.questions, asked @ turns.T, strict=True):
                refs = [conversation.turns[i].ref for i in np.argsort(-close)[: max(ks)]]
                scored.append((question.category, shares(refs, question.evidence, ks)))
    return {"recall": averages(scored, ks)}


@asynccontextmanager
async def bundled() -> AsyncIterator[Callable[[Sequence[str]], Awaitable[list[list[float]]]]]:
    """What makes vectors by the bundled model."""
    from backends.registry import Catalog, ModelSettings
    from engine.contract.backend import Embeds

    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as base:
        catalog = Catalog(ModelSettings(Path(base), made=Path(base) / "made"))
        await catalog.prepare()
        backend = catalog.embedding("bundled")
        embeds = backend.extra(Embeds)  # type: ignore[type-abstract]
        if embeds is None:
            raise CannotMeasure("the bundled model makes no embeddings")
        yield embeds.embed
        await backend.unload()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.add_argument("path", type=Path, help="conversations in LoCoMo's form (JSON)")
    parser.add_argument(
        "--k", default=",".join(map(str, KS)), help="first hits that count (5,10,25)"
    )
    parser.add_argument(
        "--cross-validate",
        action="store_true",
        help="recall on each conversation with weights that the others chose: minutes",
    )
    options = parser.parse_args(arguments)
    given = [int(k) for k in options.k.split(",") if k.strip().isdigit()]
    ks = sorted(set(given))
    if len(given) != options.k.count(",") + 1 or ks[0] < 1 or ks[-1] > 100:
        parser.error(f"--k takes numbers from 1 to 100, parted by commas, not {options.k!r}")
    try:
        found = conversations(options.path)
        if options.cross_validate:
            from bench.crossval import cross_validate

            figures = cross_validate(found, ks)
        else:
            figures = asyncio.run(measure_recall(found, ks))
        print(json.dumps(figures, indent=1))
    except CannotMeasure as error:
        print(f"bench.recall: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
