"""Another model: recall goes on by words, in steps everything waits for its new vector, and nothing
of the old ones stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from engine.recall import indexer
from engine.recall.index import changing
from engine.recall.index.work import Work
from tests.unit.recall.index_house import DIMENSIONS, IndexHouse, packed, vector

COUNT = 40


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "_MARKED", 7)
    monkeypatch.setattr(changing, "_ASIDE", {"unembedded": 4, "vector": 6, "placed": 5, "signs": 1})


@pytest.fixture
def ids(truth: IndexHouse) -> list[int]:
    """Notes of two namespaces, all with their vectors."""
    numbers = [truth.note(f"Fact number{n} of the harbour.", "ab"[n % 2]) for n in range(COUNT)]
    truth.change(numbers[3], pinned=1)
    with truth.work() as work:
        truth.settle(work)
        work.save({})
    return numbers


def other(work: Work, dimensions: int = DIMENSIONS, name: str = "other") -> None:
    work.model({"model": name, "dimensions": dimensions})


def tables(work: Work) -> set[str]:
    rows = work._shelf.db.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'old*'")
    return {row[0] for row in rows}


def embed(work: Work, dimensions: int = DIMENSIONS) -> int:
    """A few vectors of the model that is used now."""
    rows = work.texts({"most": 9})["rows"]
    if rows:
        found = packed([-vector(text, dimensions) for _, text in rows])
        work.vectors({"model": work._model, "ids": [n for n, _ in rows], "data": found})
    return len(rows)


def holding(folder: Path, data: bytes) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file() and data in p.read_bytes()]


@pytest.mark.parametrize("dimensions", [DIMENSIONS, 32])
@pytest.mark.parametrize("every", [1, 4, 1_000])
def test_everything_gets_a_new_vector_wherever_it_was_broken_off(
    truth: IndexHouse, ids: list[int], every: int, dimensions: int
) -> None:
    with truth.work() as work:
        other(work, dimensions)
        assert work._to_embed == COUNT
        assert len(truth.search(work, "harbour", limit=50)) == COUNT // 2 + 1
    embedded = steps = 0
    more = True
    while more or embedded < COUNT:
        with truth.work(model=False) as work:
            for _ in range(every):
                more = work.go_on()
                steps += 1
                if steps % 2:
                    embedded += embed(work, dimensions)
                assert changing.waiting(work._shelf) == work._to_embed == COUNT - embedded
                assert len(truth.search(work, "harbour", limit=50)) == COUNT // 2 + 1
    assert embedded == COUNT
    with truth.work(model=False) as work:
        assert not work.go_on()
        assert tables(work) == set()
        assert work.stats({})["vectors"] == COUNT
        assert work._vectors is not None
        known, found = work._vectors.of(ids)
        assert known.tolist() == ids
        assert found.shape == (COUNT, dimensions)
        near = work._vectors.nearest(truth.space("a"), found[6], 3)
        assert near[0][0] == ids[6]
        assert work._vectors.remade == []


def test_no_vector_of_the_old_model_is_taken_for_one_of_the_new(
    truth: IndexHouse, ids: list[int]
) -> None:
    with truth.work() as work:
        other(work)
        assert work._vectors is not None
        assert len(work._vectors.of(ids)[0]) == 0
        assert work._vectors.nearest(truth.space("a"), vector("harbour"), 5) == []
        embed(work)
        assert len(work._vectors.of(ids)[0]) == 7


def test_a_third_model_follows_before_the_first_is_gone(truth: IndexHouse, ids: list[int]) -> None:
    with truth.work() as work:
        other(work)
        work.go_on()
        embed(work)
        other(work, name="third")
        assert work._to_embed == COUNT
        assert len(tables(work)) > 3
        truth.settle(work)
        assert tables(work) == set()
        assert work._vectors is not None
        assert len(work._vectors.of(ids)[0]) == COUNT


def test_what_is_forgotten_meanwhile_is_in_no_file(truth: IndexHouse, ids: list[int]) -> None:
    folder = truth.folder / "recall"
    with truth.work() as work:
        assert work._vectors is not None
        secret = work._vectors.of(ids[5:6])[1].astype(np.float16).tobytes()
        assert holding(folder, secret)
        other(work)
        work.go_on()
        truth.forget(ids[5])
        assert work.forget({}) == {"problem": ""}
        assert holding(folder, secret) == []
        assert holding(folder, np.frombuffer(secret, np.float16).astype(np.float32).tobytes()) == []
        assert tables(work) == set()
        assert work._to_embed == changing.waiting(work._shelf) == COUNT - 1


def test_files_of_the_old_model_go_one_by_one(truth: IndexHouse, ids: list[int]) -> None:
    assert ids
    vectors = truth.folder / "recall" / "vectors"
    assert len(list(vectors.iterdir())) == 9  # of three parts
    with truth.work() as work:
        other(work)
        assert list(vectors.glob("*.json")) == []
        for left in reversed(range(6)):
            work.go_on()
            assert len(list(vectors.iterdir())) == left


def test_a_start_goes_on_with_those_who_do_not_wait_yet(truth: IndexHouse, ids: list[int]) -> None:
    folder = truth.folder / "recall"
    assert indexer._followed(folder) == truth.rev
    with truth.work() as work:
        other(work)
        while embed(work):
            pass  # All that are marked have theirs.
    with sqlite3.connect(folder / "recall.db") as db:
        assert db.execute("SELECT count(*) FROM unembedded").fetchone() == (0,)
    assert len(ids) > 7
    assert indexer._followed(folder) == 0
