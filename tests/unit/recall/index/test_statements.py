"""What takes the place of what: only what cannot be true beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recall.index.statements import contradicts, statement


def replaces(newer: str, older: str) -> bool:
    one, two = statement(newer), statement(older)
    return one is not None and two is not None and contradicts(one, two)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("My bike is red now.", "My bike is turquoise."),
        ("my bike is red", "My bike is turquoise."),
        ("My bike is dark red.", "My bike is turquoise."),
        ("Actually, my bike is fast now", "My bike is slow."),
        ("The shop is closed.", "The shop is open."),
        ("I live in Porto now.", "I live in Lisbon."),
        ("I moved to Porto.", "I live in Lisbon."),
        ("I just moved to Porto!", "I live in Lisbon."),
        ("I no longer live in Lisbon.", "I live in Lisbon."),
        ("I don't live in Lisbon any more.", "I live in Lisbon."),
        ("I live in Lisbon again.", "I no longer live in Lisbon."),
        ("My bike isn't red.", "My bike is red."),
        ("My car is a Tesla now.", "My car is a Volvo."),
        ("My boss is named Marta now.", "My boss is called Anna."),
        ("I work at Bosch now.", "I work for Siemens."),
        ("My cat weighs eight kilos.", "My cat weighs 7 kilos."),
        ("My phone number is 0170 444.", "My phone number is 0171 555."),
        ("Our meeting is at 11 now.", "Our meeting is at 10."),
        ("The server runs on port 9090 now.", "The server runs on port 8080."),
        ("My favourite food is soup.", "My favourite food is lasagne."),
        ("The deadline is Friday.", "The deadline is Monday."),
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
        # What was, or may be, is not what is.
        ("My bike was turquoise.", "My bike is red."),
        ("My phone number was 0170 444.", "My phone number is 0171 555."),
        ("I moved to Paris in 1999.", "I live in Berlin."),
        ("I moved to Paris two years ago.", "I live in Berlin."),
        ("My bike is maybe red.", "My bike is turquoise."),
        # Both can be true.
        ("My passport number is in the safe.", "My passport number is C01X00T47."),
        ("My passport number is lost now.", "My passport number is C01X00T47."),
        ("The wifi password is written on the router now.", "The wifi password is hunter2."),
        ("My password is weak.", "My password is swordfish."),
        ("My car is dirty now.", "My car is blue."),
        ("The car is parked at the station now.", "The car is a Volvo."),
        ("Our meeting is at 10 now.", "Our meeting is on Monday."),
        ("My cat is called a little devil by my neighbours.", "My cat is called Minka."),
        ("My sister is called Marta.", "My sister is called Anna."),
        ("I work for my uncle at weekends.", "I work for Siemens."),
        ("I live in Berlin.", "I live in Germany."),
        ("My name is hard to spell.", "My name is Anna."),
        ("My name is Anna Smith.", "My name is Anna."),
        ("My birthday is great.", "My birthday is on 5 May."),
        ("My car is 4 m long now.", "My car is 5 years old."),
        ("The museum opens at 10 on Sundays.", "The museum opens at 9."),
        # What is taken back takes nothing else along.
        ("I no longer live in Lisbon.", "I now live in Porto."),
        ("My bike is not red.", "My bike is turquoise."),
        ("My bike is no longer red.", "My bike is not red."),
    ],
)
def test_what_does_not_contradict_stays(newer: str, older: str) -> None:
    assert not replaces(newer, older)


@given(st.text(max_size=400))
def test_any_text_is_judged_without_harm(text: str) -> None:
    statement(text)


@given(st.text(max_size=60))
def test_any_value_is_judged_without_harm(value: str) -> None:
    found = statement(f"My bike is {value}")
    assert found is None or not contradicts(found, found)
