"""A space of many parts right after a start: found by signs, until the graphs are there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index import finding, parts, signs, vectors
from engine.recall.index.signs import Signs
from engine.recall.index.work import Work
from tests.unit.recall.index_house import IndexHouse

WORDS = ("bike", "boat", "moon", "tree", "lamp", "river", "cello", "harbour", "falcon", "tea")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST", 40)
    monkeypatch.setattr(vectors, "MOST", 40)
    monkeypatch.setattr(signs, "_LEAST", 10)
    monkeypatch.setattr(finding, "POOL", 20)  # Else so few are compared one by one.


@pytest.fixture
def many(truth: IndexHouse, small_parts: None) -> list[int]:
    """Notes in six parts, all saved."""
    chance = np.random.default_rng(3)
    numbers = [truth.note(f"{' '.join(chance.choice(WORDS, 4))} n{n}") for n in range(230)]
    with truth.work() as work:
        truth.settle(work)
        work.save({})
    return numbers


def loaded(work: Work) -> int:
    assert work._vectors is not None
    return len(work._vectors._loaded)


def found(truth: IndexHouse, work: Work) -> list[list[int]]:
    return [truth.search(work, f"{word} {other}") for word in WORDS for other in ("moon", "tea")]


@pytest.mark.usefixtures("many")
def test_the_same_is_found_before_and_after_the_graphs_are_there(truth: IndexHouse) -> None:
    with truth.work() as work:
        by_signs = found(truth, work)
        assert loaded(work) == 0
        loads = 0
        while work.lacks_parts:
            work.load_part()
            loads += 1
        assert loads == 6
        assert loaded(work) == 6
        assert found(truth, work) == by_signs


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("room", [100, 225])
def test_what_the_budget_cannot_hold_is_not_loaded_again_and_again(
    truth: IndexHouse, room: int
) -> None:
    opening = truth.opening | {"budget": parts.size_of(room, 64)}
    work = Work(opening, truth.told.append)
    try:
        expected = found(truth, work)
        while work.lacks_parts:
            work.load_part()
        held = loaded(work)
        assert 0 < held < 6
        for _ in range(3):
            assert found(truth, work) == expected
        assert loaded(work) == held
    finally:
        work.close()


@pytest.mark.usefixtures("many")
def test_signs_of_another_time_are_not_gone_by(truth: IndexHouse) -> None:
    with truth.work() as work:
        work._shelf.db.execute("UPDATE signs SET change = change - 1")
        truth.search(work, "bike")
        assert loaded(work) == 6


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("damage", ["zeroblob(7)", "zeroblob(0)", "substr(bits, 9)"])
def test_damaged_signs_are_not_gone_by(truth: IndexHouse, damage: str) -> None:
    with truth.work() as work:
        work._shelf.db.execute(f"UPDATE signs SET bits = {damage}")
        assert len(truth.search(work, "bike moon")) == 25
        assert loaded(work) == 6


def test_what_is_forgotten_is_in_no_signs(truth: IndexHouse, many: list[int]) -> None:
    gone = many[5]
    with truth.work() as work:
        truth.forget(gone)
        work.forget({})
        for (ids,) in work._shelf.db.execute("SELECT ids FROM signs"):
            assert gone not in np.frombuffer(ids, np.int64)
    with truth.work() as work:
        assert all(gone not in hits for hits in found(truth, work))


def test_a_part_is_only_read_anew_where_its_file_is_behind(
    truth: IndexHouse, many: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = vectors.Vectors._bring_up_to_date

    def told(self: vectors.Vectors, part: parts.Part) -> None:
        read.append(part.number)
        real(self, part)

    monkeypatch.setattr(vectors.Vectors, "_bring_up_to_date", told)
    with truth.work() as work:
        assert work._vectors is not None
        for number in range(6):
            work._vectors.part(truth.space("a"), number)
        assert read == []
        assert len(many) == sum(len(part) for part in work._vectors._loaded.values())


def test_the_nearest_are_among_the_likely() -> None:
    chance = np.random.default_rng(45)
    spread = chance.standard_normal((48, 384), dtype=np.float32)
    some = chance.standard_normal((20_000, 48), dtype=np.float32) @ spread
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    taken = Signs.of(1, np.arange(len(some)), np.packbits(some > 0, axis=1))
    right = 0
    for query in chance.standard_normal((50, 48), dtype=np.float32) @ spread:
        nearest = np.argsort(-(some @ query))[:10]
        right += len(set(nearest.tolist()) & set(taken.likely(query, 1_024)[0].tolist()))
    assert right / 500 >= 0.99


@given(st.integers(1, 40), st.integers(1, 200))
def test_signs_are_read_as_they_were_written(count: int, dimensions: int) -> None:
    some = np.random.default_rng(count).standard_normal((count, dimensions)).astype(np.float32)
    taken = Signs.of(3, np.arange(count) * 7, np.packbits(some > 0, axis=1))
    again = Signs.read(3, taken.ids.tobytes(), taken.bits.tobytes(), dimensions)
    assert again is not None
    assert (again.bits == taken.bits).all()
    ids, apart = again.likely(some[0], count)
    assert apart[ids.tolist().index(0)] == 0
