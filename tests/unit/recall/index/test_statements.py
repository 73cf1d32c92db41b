"""What takes the place of what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index.statements import contradicts, same, statement


def replaces(newer: str, older: str) -> bool:
    one, two = statement(newer), statement(older)
    return one is not None and two is not None and contradicts(one, two)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("My bike is red now.", "My bike is turquoise."),
        ("my bike is red", "My bike is turquoise."),
        ("Actually, my bike is fast now", "My bike is slow."),
        ("I live in Porto.", "I live in Lisbon."),
        ("I moved to Porto.", "I live in Lisbon."),
        ("I no longer live in Lisbon.", "I now live in Porto."),
        ("My sister is called Marta.", "My sister is named Anna."),
        ("My cat weighs eight kilos.", "My cat weighs seven kilos."),
        ("My favourite food is soup.", "My favourite food is lasagne."),
    ],
)
def test_a_newer_statement_takes_the_place_of_an_older(newer: str, older: str) -> None:
    assert replaces(newer, older)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("My bike is fast.", "My bike is turquoise."),
        ("My car is red now.", "My bike is turquoise."),
        ("Your bike is red now.", "My bike is turquoise."),
        ("Is my bike red now?", "My bike is turquoise."),
        ("My bike is turquoise.", "My bike is turquoise."),
        ("My bike is red now. I sold the old one.", "My bike is turquoise."),
        ("I like tea now.", "I live in Lisbon."),
        ("Hello there.", "My bike is turquoise."),
    ],
)
def test_what_does_not_contradict_stays(newer: str, older: str) -> None:
    assert not replaces(newer, older)


def test_the_same_said_again_is_noticed_and_its_opposite_is_not() -> None:
    assert same("My bikes are red!") == same("my bike is red.")
    assert same("I like cats, not dogs.") != same("I like dogs, not cats.")
    assert same("I am not home today") != same("I am home today")
    assert same("Is my bike red?") != same("My bike is red.")
    assert same("Thanks!") is None


@given(st.text(max_size=400))
def test_any_text_is_judged_without_harm(text: str) -> None:
    statement(text)
    same(text)
