"""Small namespaces have no graph: what they take is in proportion to what is remembered."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from engine.recall.index import finding, vectors
from engine.recall.index.parts import LINKS, Part
from engine.recall.index.shelf import SHARED
from engine.recall.index.work import Work
from tests.unit.recall.index_house import DIMENSIONS, IndexHouse, vector

WORDS = ("bike", "boat", "moon", "tree", "lamp", "river", "cello", "harbour", "falcon", "tea")
BARE = 40


@pytest.fixture(autouse=True)
def bare(graphs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del graphs  # It comes first.
    monkeypatch.setattr(vectors, "BARE", BARE)
    monkeypatch.setattr(finding, "POOL", 5)  # Else so few are compared one by one.


def told(truth: IndexHouse, count: int, namespace: str = "a", seed: int = 1) -> list[int]:
    chance = random.Random(seed)
    return [
        truth.note(f"{' '.join(chance.choices(WORDS, k=4))} n{seed}x{n}", namespace)
        for n in range(count)
    ]


def of(work: Work) -> vectors.Vectors:
    assert work._vectors is not None
    return work._vectors


def files(truth: IndexHouse) -> list[Path]:
    return list((truth.folder / "recall" / "vectors").iterdir())


def nearest(truth: IndexHouse, work: Work, query: str, count: int = 10) -> list[int]:
    return [n for n, _ in of(work).nearest(truth.space("a"), vector(query), count)]


def exact(work: Work, query: str, ids: list[int], count: int = 10) -> list[int]:
    known, found = of(work).of(ids)
    return [int(known[row]) for row in np.argsort(-(found @ vector(query)), kind="stable")[:count]]


def test_small_namespaces_take_no_memory_and_no_files(truth: IndexHouse) -> None:
    for number in range(30):
        told(truth, 3, f"n{number}")
    with truth.work() as work:
        truth.settle(work)
        work.save({})
        assert of(work).size == 0
        assert files(truth) == []


def test_a_graph_is_counted_with_all_that_hnswlib_takes_for_it(tmp_path: Path) -> None:
    part = Part(tmp_path, 1, 0, DIMENSIONS, "m")
    assert part.size > 2_500_000  # of an empty one, too
    part.put([1], vector("bike")[None, :], 1)
    assert part.size - Part(tmp_path, 1, 1, DIMENSIONS, "m").size >= 4 * DIMENSIONS + 8 * LINKS


@pytest.mark.parametrize("count", [1, 6, BARE - 1, BARE, BARE + 1, 3 * BARE])
def test_the_nearest_are_found_with_a_graph_and_without(truth: IndexHouse, count: int) -> None:
    ids = told(truth, count)
    told(truth, 20, "b", seed=2)
    with truth.work() as work:
        truth.settle(work)
        before = [nearest(truth, work, word) for word in WORDS]
        assert before == [exact(work, word, ids) for word in WORDS]
        assert bool(of(work)._loaded) == (count >= BARE)
    assert bool(files(truth)) == (count >= BARE)
    with truth.work() as work:
        assert [nearest(truth, work, word) for word in WORDS] == before
        assert of(work).remade == []


def test_what_changes_and_goes_is_followed_before_there_is_a_graph_and_after(
    truth: IndexHouse,
) -> None:
    chance, alive = random.Random(5), list[int]()
    with truth.work() as work:
        for turn in range(24):
            alive += told(truth, 4, seed=10 + turn)
            truth.settle(work)
            truth.forget(alive.pop(chance.randrange(len(alive))))
            truth.change(chance.choice(alive), text=f"{chance.choice(WORDS)} anew {turn}")
            truth.settle(work)
            place = of(work)._places
            assert place.alive(truth.space("a"), 0) == len(alive)
            query = chance.choice(WORDS)
            assert nearest(truth, work, query) == exact(work, query, alive)
        assert of(work)._loaded
        assert of(work).remade == []


def test_what_is_pinned_is_found_without_a_graph(truth: IndexHouse) -> None:
    ids = told(truth, 12)
    with truth.work() as work:
        truth.settle(work)
        truth.change(ids[3], pinned=1)
        truth.settle(work)
        query = vector("bike")
        assert [n for n, _ in of(work).nearest(SHARED, query, 5)] == [ids[3]]
        truth.change(ids[3], pinned=0)
        truth.settle(work)
        assert of(work).nearest(SHARED, query, 5) == []


def test_files_of_small_parts_go_at_the_next_start(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were written before, and those of what became small: what is forgotten later is in
    no file then."""
    monkeypatch.setattr(vectors, "BARE", 1)
    ids = told(truth, 12)
    with truth.work() as work:
        truth.settle(work)
    assert len(files(truth)) == 3
    monkeypatch.setattr(vectors, "BARE", BARE)
    with truth.work() as work:
        while work.go_on():
            pass
        assert files(truth) == []
        assert nearest(truth, work, "bike") == exact(work, "bike", ids)
        assert of(work).remade == []


def test_an_emptied_namespace_leaves_no_part(truth: IndexHouse) -> None:
    for number in told(truth, 3):
        truth.forget(number)
    ids = told(truth, 2)
    with truth.work() as work:
        truth.settle(work)
        for number in ids:
            truth.forget(number)
        truth.settle(work)
    with truth.work() as work:
        assert work._shelf.count("part") == 0
        assert nearest(truth, work, "bike") == []
