"""What was read of the lexicon is kept for the next letter, and for nothing that changed."""

from __future__ import annotations

import pytest

from engine.recall.index import lexicon
from engine.recall.index.worker import Work
from tests.unit.recall.index_house import IndexHouse


def followed(work: Work) -> None:
    while work.go_on():
        pass


def filled(truth: IndexHouse, work: Work) -> None:
    """More than is scored whole, so that only what the lexicon names is found."""
    for number in range(900):
        truth.note(f"paint number {number}")
    followed(work)


def questions(work: Work) -> list[str]:
    """What is asked of the database from now on."""
    asked: list[str] = []
    work._shelf.db.set_trace_callback(asked.append)
    return asked


def test_the_same_word_is_read_once(truth: IndexHouse) -> None:
    with truth.work(model=False) as work:
        filled(truth, work)
        asked = questions(work)
        first = truth.search(work, "paint 17")
        assert truth.search(work, "paint 17") == first
        assert sum("MATCH" in sql for sql in asked) == 2  # one for each word


def test_what_came_and_went_since_is_seen(truth: IndexHouse) -> None:
    with truth.work(model=False) as work:
        filled(truth, work)
        assert truth.search(work, "zebra") == []
        number = truth.note("a zebra")
        followed(work)
        assert truth.search(work, "zebra") == [number]
        truth.forget(number)
        followed(work)
        assert truth.search(work, "zebra") == []


def test_little_is_kept(truth: IndexHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "_KEPT", 3)
    with truth.work(model=False) as work:
        filled(truth, work)
        one = work._finder._lexicon
        for number in range(10):
            truth.search(work, f"{number}")
        assert 0 < one.size <= 3 * 8 * lexicon.MOST
        asked = questions(work)
        truth.search(work, "9")
        truth.search(work, "1")
        assert sum("MATCH" in sql for sql in asked) == 1
