"""``python -m bench.recall LOCOMO_JSON --cross-validate``: recall on conversations not tuned on.

For each conversation in turn the weights are those, of 144 combinations, that recall
most of the others (the mean over the ks, all questions); then its own questions are asked with
them. What the shipped weights recall is measured through the public operations, which also make the
index. The combinations are tried on that index by the very search that its process runs.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.house import CannotMeasure, House
from bench.locomo import Conversation
from bench.recall import Scored, averages, bundled, memories_at, notes_of, searched, shares
from engine.contract.memories import Stats

if TYPE_CHECKING:
    from engine.recall.index.finding import Finder
    from engine.recall.index.vectors import Vectors
    from engine.recall.index.weights import Weights

_NEIGHBOURS = (((0.3, 0.15), (0.15,)), ((0.4, 0.2), (0.2,)), ((0.5, 0.25), (0.25,)))
_NAMED = (0.3, 0.45, 0.6)
_ASKS = (0.0, 0.25)
_DENSE = (1.3, 1.7, 2.1, 2.5)
_RARITY_AND_ANSWERS = ((1.0, 0.0), (1.3, 0.2))
"""Neither, or both: what was added last is to win on conversations that it was not chosen on."""

Shares = list[list[float]]
"""For each question the share of its evidence among the first k, for each k."""


def combinations() -> list[Weights]:
    """What is tried; everything else weighs what it weighs in the product."""
    from engine.recall.index.weights import SHIPPED

    return [
        replace(
            SHIPPED, before=before, after=after, named=named, asks=asks, dense=dense,
            answers=answers, rarity=rarity,
        )
        for (before, after), named, asks, dense, (rarity, answers) in product(
            _NEIGHBOURS, _NAMED, _ASKS, _DENSE, _RARITY_AND_ANSWERS
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the index is asked it."""

    conversation: str
    category: str
    space: int
    text: str
    evidence: frozenset[str]
    vector: bytes = b""


def cross_validate(found: Sequence[Conversation], ks: Sequence[int]) -> dict[str, Any]:
    """The figures as they are printed, in per cent.

    Raises CannotMeasure for a single conversation, and where memories get no vectors.
    """
    if len(found) < 2:
        raise CannotMeasure("of a single conversation none is left to choose the weights on")
    with tempfile.TemporaryDirectory(prefix="arc-", dir="/tmp") as base:
        house = House(Path(base))
        stats, shipped = asyncio.run(_shipped(house, found, ks))
        if not stats.embedding:
            raise CannotMeasure(f"memories get no vectors: {stats.note}")
        asked, refs = asyncio.run(_asked(house, found))
        tried = combinations()
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            work = partial(_scored, house, asked, refs, ks)
            scored = list(pool.map(work, tried, chunksize=8))
    names = [one.conversation for one in asked]
    chosen = chosen_without(scored, names)
    held_out = [scored[chosen[name]][row] for row, name in enumerate(names)]

    def averaged(shares: Shares) -> dict[str, Any]:
        return averages([(q.category, row) for q, row in zip(asked, shares, strict=True)], ks)

    every = [averaged(one) for one in scored]
    return {
        "conversations": len(found),
        "questions": len(asked),
        "embedding": stats.embedding,
        "shipped": averages(shipped, ks),
        "held_out": averaged(held_out),
        "chosen": {name: asdict(tried[number]) for name, number in chosen.items()},
        "combinations": len(tried),
        "lowest_and_highest": {
            group: {str(k): _span([one[group][str(k)] for one in every]) for k in ks}
            for group in every[0]
        },
    }


async def _shipped(
    house: House, found: Sequence[Conversation], ks: Sequence[int]
) -> tuple[Stats, Scored]:
    """By the public operations alone; what they made stays in the house."""
    async with memories_at(house) as memory:
        for conversation in found:
            await memory.add(conversation.name, notes_of(conversation))
        stats = await memory.indexed()
        scored, _times = await searched(memory, found, ks)
        return stats, scored


def chosen_without(scored: Sequence[Shares], names: Sequence[str]) -> dict[str, int]:
    """For each conversation the combination that recalls most of all the others.

    ``scored``: of each combination the shares of every question; ``names``: whose question it is.
    """

    def others(name: str, shares: Shares) -> float:
        return fmean(fmean(row) for row, own in zip(shares, names, strict=True) if own != name)

    return {
        name: max(range(len(scored)), key=lambda number: others(name, scored[number]))
        for name in dict.fromkeys(names)
    }


def _span(values: Sequence[float]) -> list[float]:
    return [min(values), max(values)]


async def _asked(house: House, found: Sequence[Conversation]) -> tuple[list[Asked], dict[int, str]]:
    """All questions, and the ref of each memory."""
    with closing(sqlite3.connect(f"{house.home.state_file.as_uri()}?mode=ro", uri=True)) as db:
        spaces = dict(db.execute("SELECT name, id FROM namespace"))
        refs = dict(db.execute("SELECT id, ref FROM memory"))
    asked = [
        Asked(one.name, question.category, spaces[one.name], question.text, question.evidence)
        for one in found
        for question in one.questions
    ]
    async with bundled() as embed:
        vectors = await embed([one.text for one in asked])
    given = [array("f", vector).tobytes() for vector in vectors]
    return [replace(one, vector=data) for one, data in zip(asked, given, strict=True)], refs


def _scored(
    house: House,
    asked: Sequence[Asked],
    refs: Mapping[int, str],
    ks: Sequence[int],
    weights: Weights,
) -> Shares:
    """In a process of its own: what is found with these weights."""
    from engine.recall.index.finding import Query, query_vector

    result = []
    with _finder(house, weights) as (finder, vectors):
        for one in asked:
            vector = query_vector(one.vector, vectors.dimensions)
            query = Query(one.text, one.space, max(ks), time.time(), vector, typing=True)
            hits = [refs[hit[0]] for hit in finder.search(query, vectors).hits]
            result.append(shares(hits, one.evidence, ks))
    return result


@contextmanager
def _finder(house: House, weights: Weights) -> Iterator[tuple[Finder, Vectors]]:
    from engine.recall.index.finding import Finder
    from engine.recall.index.shelf import Shelf
    from engine.recall.index.vectors import Vectors

    folder = house.home.data / "recall"
    with closing(sqlite3.connect(f"{(folder / 'recall.db').as_uri()}?mode=ro", uri=True)) as db:
        told = dict(db.execute("SELECT name, value FROM meta"))
    with closing(Shelf(folder, told["truth"])) as shelf:
        yield (
            Finder(shelf, weights),
            Vectors(shelf, told["model"], int(told["dimensions"]), 1 << 30),
        )
