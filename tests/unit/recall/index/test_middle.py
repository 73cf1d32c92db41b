"""What all memories of a space have in common counts for none of them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.recall.index import middle
from engine.recall.index.finding import Finder
from engine.recall.index.middle import Middle, Middles
from engine.recall.index.shelf import key_of
from engine.recall.index.work import Work
from tests.unit.recall.index_house import DIMENSIONS, IndexHouse, packed, vector


def middle_of(work: Work, middles: Middles, space: int) -> Middle | None:
    assert work._vectors is not None
    keys = np.asarray(
        [key for (key,) in work._shelf.db.execute("SELECT key FROM entry ORDER BY key")], np.int64
    )
    return middles.of(space, keys, work._vectors)


def test_what_is_near_everything_counts_less() -> None:
    """Both lie as near the query; what one has of the middle is no merit."""
    common, special = np.eye(3, dtype=np.float32)[:2]
    query = (common + special) / np.sqrt(2)
    ordinary, telling = Middle(0.6 * common, 1.0).cosines(np.stack([common, special]), query)
    assert telling > ordinary + 0.5


def test_a_search_lets_it_count_less(truth: IndexHouse) -> None:
    ordinary = [truth.note("Red boat.", speaker=f"S{number}") for number in range(60)]
    special = truth.note("Moon.")
    query = vector("red boat") + vector("moon")
    with truth.work() as work:
        truth.settle(work)
        sent = packed([query / np.linalg.norm(query)])
        hits = truth.found(work, "qqqq", vector=sent, limit=100)["hits"]
        dense = {hit[0]: hit[2] for hit in hits}
        assert dense[special] > max(dense.get(number, 0.0) for number in ordinary) + 0.3


def test_of_a_single_memory_the_cosine_stays_what_it_is(truth: IndexHouse) -> None:
    truth.note("My bike is turquoise.")
    with truth.work() as work:
        truth.settle(work)
        found = middle_of(work, Middles(), truth.space("a"))
        assert found is not None
        own = vector("My bike is turquoise.")
        query = vector("turquoise")
        assert found.cosines(own[None], query)[0] == pytest.approx(own @ query, abs=1e-3)


def test_it_is_worked_out_anew_only_where_its_sample_changed(
    truth: IndexHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middle, "SAMPLE", 4)
    numbers = [truth.note(f"word{number}") for number in range(18)]
    with truth.work() as work:
        truth.settle(work)
        middles, space = Middles(), truth.space("a")
        first = middle_of(work, middles, space)
        truth.note("One more.")
        truth.settle(work)
        assert middle_of(work, middles, space) is first  # Every fourth is looked at.
        for number, same in ((numbers[1], True), (numbers[4], False)):
            truth.change(number, text="Something else.")
            truth.settle(work)
            middles.follow([key_of(space, number)])
            assert (middle_of(work, middles, space) is first) is same


def test_one_that_waits_for_vectors_is_not_kept(truth: IndexHouse) -> None:
    ids = [truth.note("Bikes."), truth.note("Boats.")]
    with truth.work() as work:
        truth.settle(work)
        assert work._vectors is not None
        work._shelf.db.execute("DELETE FROM vector WHERE memory = ?", (ids[0],))
        middles, space = Middles(), truth.space("a")
        half = middle_of(work, middles, space)
        work._vectors.put([(space,)], [ids[0]], vector("Bikes.", DIMENSIONS)[None])
        whole = middle_of(work, middles, space)
        assert half is not None
        assert whole is not None
        assert not np.allclose(half.vector, whole.vector)


def test_a_search_follows_what_changed(truth: IndexHouse) -> None:
    """A process that went on finds what one that was started anew finds."""
    numbers = [truth.note(f"red bike {number} {'boat' * (number % 2)}") for number in range(40)]
    with truth.work() as work:
        truth.settle(work)
        truth.found(work, "bike boat")
        for number in numbers[::3]:
            truth.change(number, text=f"green moon {number}")
        truth.forget(numbers[1])
        truth.settle(work)
        went_on = truth.found(work, "bike boat")["hits"]
        work._finder = Finder(work._shelf)
        assert truth.found(work, "bike boat")["hits"] == went_on
