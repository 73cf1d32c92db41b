"""Turns and recall: what is found, in which order, and by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.clients.local import LocalClient
from engine.contract import agent0, memory
from engine.contract.errors import Invalid, NotFound
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend


@pytest.fixture
async def client(home: Home) -> AsyncIterator[LocalClient]:
    async with engine_with(home, {"one": RehearsedBackend("Noted.")}) as opened:
        yield opened


async def tell(client: LocalClient, session: str, *texts: str) -> None:
    for text in texts:
        async with client.stream(agent0.ASK, agent0.Ask(session=session, text=text)) as items:
            async for _item in items:
                pass


async def found(client: LocalClient, session: str, query: str) -> list[str]:
    request = memory.Search(session=session, query=query)
    return [hit.text for hit in (await done(client, memory.SEARCH, request)).hits]


async def test_what_was_told_is_found_by_other_forms_of_its_words(client: LocalClient) -> None:
    await tell(client, "a", "My bikes are turquoise.", "I live in Lisbon.")
    assert await found(client, "a", "which colour has the bike") == ["My bikes are turquoise."]
    assert await found(client, "a", "living") == ["I live in Lisbon."]
    assert await found(client, "a", "what is the") == []


async def test_what_was_told_twice_is_found_once_and_best_comes_first(client: LocalClient) -> None:
    await tell(
        client, "a", "My bike is red.", "My bike is red!", "A red bike bell broke.", "Hello."
    )
    hits = await found(client, "a", "red bike bell")
    assert hits[0] == "A red bike bell broke."
    assert len(hits) == 2


async def test_operators_of_the_search_language_are_words(client: LocalClient) -> None:
    await tell(client, "a", 'Near "quotes" OR stars* there is a NOT.')
    for query in ('"', "stars* OR", "NEAR(quotes", "a AND (", "question:quotes", "^stars"):
        await found(client, "a", query)
    assert await found(client, "a", 'say "quotes"') != []


async def test_sessions_are_listed_newest_first(client: LocalClient) -> None:
    await tell(client, "a", "One.", "Two.")
    await tell(client, "b", "Three.")
    sessions = (await done(client, memory.SESSIONS, memory.ListSessions())).sessions
    assert [(session.name, session.turns) for session in sessions] == [("b", 1), ("a", 2)]


async def test_turns_come_in_pages_from_the_newest(client: LocalClient) -> None:
    await tell(client, "a", *(f"Line {n}." for n in range(5)))
    last = await done(client, memory.TURNS, memory.ShowTurns(session="a", limit=2))
    assert [turn.question for turn in last.turns] == ["Line 3.", "Line 4."]
    before = memory.ShowTurns(session="a", limit=2, before=last.turns[0].id)
    earlier = await done(client, memory.TURNS, before)
    assert [turn.question for turn in earlier.turns] == ["Line 1.", "Line 2."]


async def test_an_unknown_conversation_is_named(client: LocalClient) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await done(client, memory.TURNS, memory.ShowTurns(session="nowhere"))


async def test_an_empty_question_is_refused_and_leaves_no_turn(client: LocalClient) -> None:
    with pytest.raises((Invalid, ValueError)):
        await tell(client, "a", "")
    assert (await done(client, memory.SESSIONS, memory.ListSessions())).sessions == ()


WORDS = st.lists(st.sampled_from(["bike", "boat", "moon", "tree", "lamp"]), min_size=1, max_size=3)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=st.lists(st.tuples(st.sampled_from("abc"), WORDS), min_size=1, max_size=6))
async def test_no_session_ever_sees_another(
    client: LocalClient, told: list[tuple[str, list[str]]]
) -> None:
    for session, words in told:
        await tell(client, session, f"{session} says {' '.join(words)}")
    for session in "abc":
        for text in await found(client, session, "bike boat moon tree lamp"):
            assert text.startswith(f"{session} says")
