"""Conversations as people handle them: found, named, attached to, taken out."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contract import memory
from engine.contract.agent0 import MAX_ATTACHED
from engine.contract.base import Wire
from engine.contract.errors import Invalid, NotFound, Refused
from engine.contract.events import Event
from engine.contract.memory import RenameSession, SessionChanged
from engine.contract.operation import Operation
from engine.contract.ports import Attached
from tests.unit.memory.conftest import House


async def rename(house: House, session: str, to: str) -> memory.SessionSummary:
    found: memory.SessionSummary = await house.do(
        memory.RENAME, RenameSession(session=session, to=to)
    )
    return found


async def told(house: House, operation: Operation[Any, Any], request: Wire) -> Event:
    """The first event that the operation makes."""
    async with house.client.events() as events:
        await house.do(operation, request)
        return await anext(events)


# --- the list -------------------------------------------------------------------------------------


async def test_sessions_are_listed_newest_first_with_what_they_are_about(house: House) -> None:
    await house.say("a", "What is\n\n  a \x1b[31mred\x1b[0m bike?  " + "x" * 200)
    await house.say("b", "Three.")
    await house.say("a", "Two.")
    first, second = await house.sessions()
    assert [(s.name, s.turns) for s in (first, second)] == [("a", 2), ("b", 1)]
    assert first.title.startswith(r"What is a \x1b[31mred\x1b[0m bike? xxx")
    assert len(first.title) == 80
    assert await house.names(limit=1) == ["a"]


async def test_a_title_is_given_once_and_told(house: House) -> None:
    assert await house.log.untitled("a") is None
    await house.ask("a", "Still being answered.")
    assert await house.log.untitled("a") is None
    turn = await house.say("a", "My bike is red.")
    await house.say("a", "It squeaks.")
    assert await house.log.untitled("a") == (await house.turns("a"))[1] == turn
    async with house.client.events() as events:
        await house.log.entitle("a", " A red\nbike ")
        changed = await anext(events)
    assert isinstance(changed, SessionChanged)
    assert (changed.session, changed.change) == ("a", "titled")
    await house.log.entitle("a", "Another one")
    assert [s.title for s in await house.sessions()] == ["A red bike"]
    assert await house.log.untitled("a") is None
    await house.log.entitle("nowhere", "Nothing")
    assert await house.names() == ["a"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SQUEAK", ["asked"]),
        ("oil the", ["answered"]),
        ("ünd", ["named ÜND"]),
        ("Straße", ["asked"]),
        ("bicycles", ["titled"]),
        ("100%", ["answered"]),
        ("1%0", []),
        ("_", []),
        ("!", ["asked"]),
        ("nobody said this", []),
        ("  ", ["titled", "named ÜND", "answered", "asked"]),
    ],
)
async def test_a_filter_looks_into_names_titles_questions_and_answers(
    house: House, text: str, names: list[str]
) -> None:
    one = await house.say("asked", "Why does it squeak! In der STRASSE oder straße?")
    await house.say("asked", "Another branch.", after=one.parent_id or 0)
    await house.say("answered", "Hello.", "You should oil the chain 100% well.")
    await house.say("named ÜND", "Hello.")
    await house.say("titled", "Hello.")
    await house.log.entitle("titled", "About bicycles")
    assert await house.names(containing=text) == names


# --- renaming -------------------------------------------------------------------------------------


async def test_a_renamed_conversation_keeps_everything_but_its_name(house: House) -> None:
    await house.say("a", "My bike is red.")
    changed = await told(house, memory.RENAME, RenameSession(session="a", to="bikes"))
    assert isinstance(changed, SessionChanged)
    assert (changed.session, changed.change, changed.now_called) == ("a", "renamed", "bikes")
    assert await house.found("bikes", "bike") == ["My bike is red."]
    with pytest.raises(NotFound, match="'a'"):
        await house.found("a", "bike")
    assert await house.names() == ["bikes"]
    assert house.models.forgotten == ["a"]  # What models keep of it is found by its name.
    with pytest.raises(NotFound, match="'a'"):
        await rename(house, "a", "b")


async def test_a_name_that_is_taken_is_refused_and_nothing_changes(house: House) -> None:
    await house.say("a", "One.")
    await house.say("b", "Two.")
    for taken in ("a", "b"):
        with pytest.raises(Refused, match=f"There is a conversation '{taken}' already"):
            await rename(house, "a", taken)
    assert await house.questions("a") == ["One."]
    assert await house.questions("b") == ["Two."]


async def test_an_answer_that_is_being_written_goes_where_its_conversation_went(
    house: House,
) -> None:
    turn = await house.ask("a", "My bike is red.")
    await rename(house, "a", "bikes")
    other = await house.say("a", "Somebody begins a new one under the old name.")
    closed = await house.log.close(turn, "done", "Noted.", "", "m")
    assert (closed.session, closed.answer) == ("bikes", "Noted.")
    assert [(t.session, t.status) for t in await house.turns("bikes")] == [("bikes", "done")]
    assert [t.id for t in await house.turns("a")] == [other.id]
    # What the model kept while it wrote, it kept under the old name.
    assert house.models.forgotten == ["a", "a"]


# --- attachments ----------------------------------------------------------------------------------


async def test_what_was_read_with_a_question_stays_with_it(house: House) -> None:
    given = [Attached("notes\x1b.txt", "One\x00\n<b>"), Attached("films/dune.mkv", "2160p")]
    turn = await house.ask("a", "What is in it?", attached=given)
    plain = await house.say("a", "And now?")
    names = (r"notes\x1b.txt", "films/dune.mkv")
    assert turn.attached == names
    assert [t.attached for t in await house.turns("a")] == [names, ()]
    found = await house.log.attached([turn.id, plain.id])
    assert found == {turn.id: [Attached(names[0], "One\x00\n<b>"), given[1]]}


async def test_attachments_are_bounded_and_too_many_leave_no_turn(house: House) -> None:
    half = Attached("half", "x" * (MAX_ATTACHED // 2 + 1))
    with pytest.raises(Invalid, match="200,002 characters long, at most 200,000"):
        await house.ask("a", "Read this.", attached=[half, half])
    assert await house.names() == []


# --- export ---------------------------------------------------------------------------------------


async def test_an_export_holds_every_turn_of_every_branch_oldest_first(house: House) -> None:
    for n in range(150):
        await house.say("a", f"Line {n}.", after=0 if n % 50 == 0 else None)
    await house.say("b", "Elsewhere.")
    turns = await house.exported("a")
    assert [turn.question for turn in turns] == [f"Line {n}." for n in range(150)]
    assert [turn.id for turn in turns if turn.parent_id is None] == list(turns[0].siblings)


async def test_an_export_ends_in_a_conversation_that_goes_on(house: House) -> None:
    await house.say("a", "One.")
    exported = []
    request = memory.OneSession(session="a")
    async with house.client.stream(memory.EXPORT, request) as items:
        async for turn in items:
            exported.append(turn.question)
            await house.say("a", "And on.")
    assert exported == ["One."]
