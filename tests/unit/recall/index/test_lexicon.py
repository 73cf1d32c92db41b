"""What was read of the lexicon is kept for the next letter, and for nothing that changed; and what
its words are worth in a text."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index import lexicon
from engine.recall.index.lexicon import K1, B, Term
from engine.recall.index.shelf import among
from engine.recall.index.work import Work
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


_STEMS = st.lists(st.sampled_from(["a", "ab", "abc", "b", "ba"]), max_size=6).map(" ".join)


@given(st.lists(_STEMS, max_size=5), st.lists(st.sampled_from(["a", "ab", "ba*", "c"]), max_size=4))
def test_texts_score_together_what_each_scores_by_its_words(
    texts: list[str], tokens: list[str]
) -> None:
    terms = [
        Term(token, np.empty(0, np.int64), True, 0.0, idf) for idf, token in enumerate(tokens, 1)
    ]
    average = 2.5

    def score(text: str) -> float:
        words, total = text.split(), 0.0
        for term in terms:
            token = term.token
            held = (
                sum(word.startswith(token[:-1]) for word in words)
                if token.endswith("*")
                else words.count(token)
            )
            norm = K1 * (1 - B + B * len(words) / average)
            total += term.idf * held * (K1 + 1) / (held + norm)
        return total

    found = lexicon.scores(terms, texts, [len(text.split()) for text in texts], average)
    assert found.tolist() == pytest.approx([score(text) for text in texts])


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 2_048, 2_049])
def test_a_statement_for_many_numbers_asks_for_those_and_no_others(count: int) -> None:
    numbers = list(range(10, 10 + count))
    marks, values = among(numbers)
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO thing VALUES (?)", ((n,) for n in range(3_000)))
        rows = db.execute(f"SELECT id FROM thing WHERE id IN ({marks}) ORDER BY id", values)
        assert [row[0] for row in rows] == numbers
