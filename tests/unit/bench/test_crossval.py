"""Weights are chosen without the conversation that they are tried on."""

from __future__ import annotations

from bench.crossval import chosen_without, combinations
from engine.recall.index.weights import SHIPPED


def test_a_conversation_has_no_say_in_its_own_weights() -> None:
    names = ["one", "one", "two", "three"]
    perfect_on_one = [[1.0], [1.0], [0.0], [0.2]]
    better_elsewhere = [[0.0], [0.0], [0.6], [0.1]]
    assert chosen_without([perfect_on_one, better_elsewhere], names) == {
        "one": 1,
        "two": 0,
        "three": 0,
    }


def test_what_is_shipped_is_among_what_is_tried() -> None:
    tried = combinations()
    assert SHIPPED in tried
    assert len(set(tried)) == len(tried)
