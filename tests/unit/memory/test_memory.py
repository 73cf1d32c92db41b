"""Recall: what is found, in which order, and by whom."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract import agent0
from engine.contract.errors import Invalid, NotFound
from tests.unit.memory.conftest import House


async def tell(house: House, session: str, *texts: str) -> None:
    for text in texts:
        await house.say(session, text)


async def test_what_was_told_is_found_by_other_forms_of_its_words(house: House) -> None:
    await tell(house, "a", "My bikes are turquoise.", "I live in Lisbon.")
    assert (await house.found("a", "which colour has the bike"))[0] == "My bikes are turquoise."
    assert (await house.found("a", "living"))[0] == "I live in Lisbon."
    assert await house.found("a", "what is the") == []


async def test_what_was_told_twice_is_found_once_and_best_comes_first(house: House) -> None:
    await tell(house, "a", "My bike is red.", "My bike is red!", "A red bike bell broke.", "Hello.")
    hits = await house.found("a", "red bike bell")
    assert hits[0] == "A red bike bell broke."
    assert [hit for hit in hits if "My bike" in hit] == ["My bike is red!"]


async def test_operators_of_the_search_language_are_words(house: House) -> None:
    await tell(house, "a", 'Near "quotes" OR stars* there is a NOT.')
    for query in ('"', "stars* OR", "NEAR(quotes", "a AND (", "question:quotes", "^stars"):
        await house.found("a", query)
    assert await house.found("a", 'say "quotes"') != []


async def test_what_is_being_asked_is_not_recalled(house: House) -> None:
    await house.ask("a", "What colour is my bike?")
    assert await house.found("a", "bike") == []


async def test_turns_come_in_pages_from_the_newest(house: House) -> None:
    await tell(house, "a", *(f"Line {n}." for n in range(5)))
    last = await house.turns("a", limit=2)
    assert [turn.question for turn in last] == ["Line 3.", "Line 4."]
    earlier = await house.turns("a", limit=2, before=last[0].id)
    assert [turn.question for turn in earlier] == ["Line 1.", "Line 2."]


async def test_an_unknown_conversation_is_named(house: House) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await house.turns("nowhere")


async def test_an_empty_question_is_refused_and_leaves_no_turn(house: House) -> None:
    with pytest.raises((Invalid, ValueError)):
        async with house.client.stream(agent0.ASK, agent0.Ask(session="a", text="")):
            pass
    assert await house.sessions() == []


WORDS = st.lists(st.sampled_from(["bike", "boat", "moon", "tree", "lamp"]), min_size=1, max_size=3)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=st.lists(st.tuples(st.sampled_from("abc"), WORDS), min_size=1, max_size=6))
async def test_no_session_ever_sees_another(
    house: House, told: list[tuple[str, list[str]]]
) -> None:
    for session, words in told:
        await tell(house, session, f"{session} says {' '.join(words)}")
    for session in {session for session, _words in told}:
        for text in await house.found(session, "bike boat moon tree lamp"):
            assert text.startswith(f"{session} says")
