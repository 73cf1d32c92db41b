"""Texts as tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index.words import asked, dated, tokens


def test_forms_of_a_word_are_one_token() -> None:
    assert tokens("bikes") == tokens("bike")
    assert tokens("Café CRÈME") == tokens("cafe creme")
    assert tokens("running, runs") == ["run", "run"]


def test_a_query_keeps_what_tells() -> None:
    assert asked("What colour is my bike?") == ["colour", "bike"]
    assert asked("what is the") == []
    assert asked("Didn't he tell her of Jon's bike, and who\u2019s it been?") == [
        "didn", "jon", "bike"
    ]  # fmt: skip
    assert asked("vitamin d") == ["vitamin", "d"]


def test_writing_without_spaces_is_found_in_parts() -> None:
    assert set(tokens("自転車")) & set(tokens("私の自転車は青い"))


@given(st.text(max_size=300))
def test_every_token_is_one_word_for_the_index(text: str) -> None:
    for token in tokens(text):
        assert token.isascii()
        assert token.isalnum()


def test_a_date_is_words() -> None:
    assert "2023" in dated(1_683_500_000.0)
    assert dated(float("inf")) == ""
