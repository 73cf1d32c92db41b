"""What a filter leaves is found by its meaning, however little of the whole that is."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from engine.recall.index import finding, narrow, parts, signs, vectors
from engine.recall.index.columns import Columns
from engine.recall.index.finding import Finder
from engine.recall.index.shelf import key_of
from engine.recall.index.work import Work
from tests.unit.recall.index_house import IndexHouse, vector

WORDS = ("bike", "boat", "moon", "tree", "lamp", "river", "cello", "harbour", "falcon", "tea")


@pytest.fixture
def many(truth: IndexHouse, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes in six parts, all written down; so few of them as can be are compared one by one."""
    monkeypatch.setattr(parts, "MOST", 40)
    monkeypatch.setattr(vectors, "MOST", 40)
    monkeypatch.setattr(signs, "_LEAST", 10)
    monkeypatch.setattr(finding, "POOL", 5)
    monkeypatch.setattr(narrow, "FEW", 5)
    chance = random.Random(3)
    numbers = [
        truth.note(
            f"{' '.join(chance.choices(WORDS, k=4))} n{n}",
            at=1_000_000.0 + n,
            speaker="Ann" if n % 10 == 0 else "Bob",
        )
        for n in range(230)
    ]
    with truth.work() as work:
        truth.settle(work)
        work.save({})
    return numbers


def nearest(work: Work, query: str, ids: list[int], count: int) -> list[int]:
    """By a comparison with every one."""
    assert work._vectors is not None
    known, found = work._vectors.of(ids)
    order = np.argsort(-(found @ vector(query)), kind="stable")[:count]
    return sorted(known[order].tolist())


def near(truth: IndexHouse, work: Work, query: str, ids: list[int], count: int) -> list[int]:
    assert work._vectors is not None
    wanted = np.asarray(ids, np.int64)
    begun = narrow.begin(work._vectors, truth.space("a"), vector(query), wanted, count)
    return sorted(begun().tolist())


@pytest.mark.parametrize("step", [1, 3, 20])
@pytest.mark.parametrize("widest", [0, 1 << 26])
def test_the_nearest_of_those_that_are_left_are_found(
    truth: IndexHouse, many: list[int], monkeypatch: pytest.MonkeyPatch, step: int, widest: int
) -> None:
    monkeypatch.setattr(narrow, "_WIDEST", widest)
    with truth.work() as work:
        for query in ("bike moon", "tea", "harbour cello"):
            ids = many[::step]
            assert near(truth, work, query, ids, 7) == nearest(work, query, ids, 7)


def test_what_came_since_has_no_signs_and_is_found(truth: IndexHouse, many: list[int]) -> None:
    with truth.work() as work:
        new = [truth.note(f"bike moon {n}") for n in range(30)]
        truth.settle(work)
        ids = [*many[::10], *new]
        assert near(truth, work, "bike moon", ids, 7) == nearest(work, "bike moon", ids, 7)
        few = [many[0], *new[:4]]
        assert near(truth, work, "bike moon", few, 3) == nearest(work, "bike moon", few, 3)


def test_who_was_asked_for_is_found_by_meaning(truth: IndexHouse, many: list[int]) -> None:
    with truth.work() as work:
        everyone = truth.search(work, "bike", speaker="Ann")
        assert set(everyone) <= set(many[::10])
        assert len(everyone) > 20
        within: dict[str, Any] = {"since": 1_000_020.0, "until": 1_000_100.0}
        some = truth.search(work, "bike", speaker="Ann", **within)
        assert 6 < len(some) <= 8
        assert set(some) < set(everyone)
        assert truth.search(work, "bike", kind="turn") == []
        assert len(truth.search(work, "bike", kind="note")) == 25


def test_what_is_held_follows_what_comes_and_goes(truth: IndexHouse, many: list[int]) -> None:
    with truth.work() as work:
        space, chance = truth.space("a"), random.Random(5)
        for _ in range(6):
            truth.search(work, "bike", speaker="Ann", kind="note", since=1_000_000.0)
            for number in chance.sample(many, 10):
                truth.forget(number)
                many.remove(number)
            many += [truth.note("bike", speaker=who, at=float(n)) for n, who in enumerate("AB")]
            truth.change(chance.choice(many), text="a boat", speaker="Ann")
            truth.settle(work)
            truth.search(work, "bike")
            held, fresh = work._finder._columns, Columns(work._shelf)
            assert held.keys(space).tolist() == [key_of(space, n) for n in many]
            assert held.times(space).tolist() == fresh.times(space).tolist()
            for column, value in (("speaker", "Ann"), ("kind", "note"), ("speaker", "A")):
                one = held.having(space, column, value)  # type: ignore[arg-type]
                assert one.tolist() == fresh.having(space, column, value).tolist()  # type: ignore[arg-type]


def test_a_damaged_vector_spoils_no_search_and_is_made_again(
    truth: IndexHouse, many: list[int]
) -> None:
    with truth.work() as work:
        whole = truth.found(work, "bike moon")["hits"]
        for number, data in ((many[3], b"\xff\x7e" * 64), (many[4], b"\x00\x4c" * 64)):
            work._shelf.db.execute("UPDATE vector SET data = ? WHERE memory = ?", (data, number))
        work._finder = Finder(work._shelf)
        hits = truth.found(work, "bike moon")["hits"]
        assert all(np.isfinite(hit).all() for hit in hits)
        near(truth, work, "bike", many, 7)
        work.go_on()
        assert {row[0] for row in work.texts({"most": 10})["rows"]} == {many[3], many[4]}
        truth.settle(work)
        assert truth.found(work, "bike moon")["hits"] == whole
