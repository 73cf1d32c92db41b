"""What says the same again, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index.repeats import same

DAY = 86_400.0
NOON = 1_700_000_000.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My bike is turquoise.", "my bike is TURQUOISE!!"),
        ("I don't eat fish", "I do not eat fish."),
        ("Please note: I'm allergic to nuts", "please note I am allergic to nuts"),
        ("So, the wifi password is \u201chunter2\u201d", "The wifi password is hunter2"),
        ("Deployment always starts at 3am.", "the deployment always starts at 3 am"),
        ("Where's my bike parked?", "where is my bike parked ?"),
    ],
)
def test_the_same_in_nearly_the_same_words_is_noticed(one: str, other: str) -> None:
    assert same(one, NOON) is not None
    assert same(one, NOON) == same(other, NOON + 7 * DAY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I like cats, not dogs.", "I like dogs, not cats."),
        ("I am not home today", "I am home today"),
        ("Is my bike red?", "My bike is red."),
        ("Temperature is -5 at night", "Temperature is 5 at night"),
        ("I flew from Rome to Paris", "I flew to Rome from Paris"),
        ("I was in Berlin in May", "I will be in Berlin in May"),
        ("My grandmother is in the photo", "Your grandmother is in the photo"),
        ("I did pay Bob", "I will pay Bob"),
        ("I can write C++", "I can write C"),
        ("Lunch always costs $5", "Lunch always costs \u20ac5"),
        ("I played chess well", "I play chess well"),
    ],
)
def test_what_means_something_else_is_something_else(one: str, other: str) -> None:
    assert same(one, NOON) is not None
    assert same(one, NOON) != same(other, NOON)


@pytest.mark.parametrize(
    "event",
    ["I ran 5 km today.", "I took my insulin.", "My mother is in hospital.", "I am running late."],
)
def test_what_happened_is_something_else_on_another_day(event: str) -> None:
    assert same(event, NOON) == same(event, NOON + 60)
    assert same(event, NOON) != same(event, NOON + DAY)


def test_what_says_too_little_is_never_the_same() -> None:
    assert same("Thanks!", NOON) is None
    assert same("Yes, please.", NOON) is None


@given(st.text(max_size=400), st.floats(allow_nan=True))
def test_any_text_is_judged_without_harm(text: str, at: float) -> None:
    assert same(text, at) == same(text, at)
