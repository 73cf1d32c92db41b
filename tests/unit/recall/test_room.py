"""The whole room, spoken to as the faces and the other rooms do; vectors are of hashed stems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.contract import approvals, memory, recall
from engine.contract.base import Empty, now
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.client import Done
from engine.contract.errors import Invalid, NotFound
from engine.contract.memories import Forget, Memory, Note, Stats
from engine.contract.ports import TurnLog
from tests.fakes.house import pending
from tests.unit.recall.rooms import Rooms


async def listed(rooms: Rooms, limit: int, **only: Any) -> list[int]:
    """All pages of a list, one after the other."""
    found: list[int] = []
    before = None
    while True:
        request = recall.ListMemories(limit=limit, before=before, **only)
        page: recall.MemoryPage = await rooms.do(recall.LIST, request)
        assert len(page.memories) == limit or page.next is None
        found += [one.id for one in page.memories]
        assert len(found) < page.total or page.next is None
        if (before := page.next) is None:
            assert len(found) == page.total
            return found


# --- what is told is found ----------------------------------------------------------------------


async def test_a_note_is_found_with_what_its_score_is_made_of(rooms: Rooms) -> None:
    number = await rooms.note("My bike is turquoise.", speaker="Ann", source="diary", ref="7")
    (hit,) = await rooms.hits("which colour has the bike?")
    assert (hit.id, hit.speaker, hit.source, hit.ref) == (number, "Ann", "diary", "7")
    parts = hit.parts
    total = parts.lexical + parts.dense + parts.neighbours + parts.time + parts.entities
    assert hit.score == pytest.approx(total)
    assert parts.lexical > 0


async def test_the_same_note_with_a_ref_is_added_once(rooms: Rooms) -> None:
    first = await rooms.notes(["One.", "Two."], ref="r")
    assert first[0] == first[1]
    assert await rooms.notes(["One again."], ref="r") == first[:1]
    assert await rooms.found("one") == ["One."]


async def test_nothing_is_noted_that_was_said_in_the_future(rooms: Rooms) -> None:
    with pytest.raises(Invalid, match="is yet to come: nothing was added"):
        await rooms.notes(["One.", "Two."], at=now() + timedelta(days=1, minutes=1))
    assert await listed(rooms, 10) == []
    await rooms.note("In another zone it is tomorrow.", at=now() + timedelta(hours=23))


async def test_what_a_conversation_is_told_belongs_to_it(rooms: Rooms) -> None:
    await rooms.say("a", "My bike is turquoise.")
    await rooms.note("The bike shop opens at nine.", "a")
    await rooms.note("My boat is green.", "b")
    assert set(await rooms.found("bike")) == {
        "My bike is turquoise.",
        "The bike shop opens at nine.",
    }
    assert await rooms.found("bike", "b") == []
    names = (await rooms.do(recall.NAMESPACES, Empty())).namespaces
    told = {(one.name, one.memories, one.conversation) for one in names}
    assert told == {("a", 2, True), ("b", 1, False)}


async def test_nothing_was_remembered_yet(rooms: Rooms) -> None:
    assert await rooms.found("anything", "main") == []
    with pytest.raises(NotFound, match="'nowhere'"):
        await rooms.found("anything", "nowhere")


async def test_memories_come_in_pages_and_one_with_what_stood_around_it(rooms: Rooms) -> None:
    ids = await rooms.notes([f"Line {n}." for n in range(7)])
    page = await rooms.do(recall.LIST, recall.ListMemories(namespace="a", limit=3))
    assert ([one.id for one in page.memories], page.total) == (ids[:-4:-1], 7)
    assert await listed(rooms, 3, namespace="a") == ids[::-1]
    shown = await rooms.do(recall.SHOW, recall.OneMemory(id=ids[3]))
    assert [one.id for one in shown.around] == ids
    with pytest.raises(NotFound, match="no memory 999"):
        await rooms.show(999)


async def test_a_deleted_conversation_is_shown_nowhere_until_it_is_back(rooms: Rooms) -> None:
    await rooms.say("a", "My bike is turquoise.")
    number = (await rooms.hits("bike"))[0].id
    await rooms.do(recall.PIN, recall.Pin(id=number))
    kept = await rooms.note("The boat is green.", "b")
    deletion = await pending(rooms.client, memory.DELETE, memory.OneSession(session="a"))
    await rooms.do(approvals.APPROVE, approvals.Approve(id=deletion))
    assert await listed(rooms, 5) == [kept]
    assert await listed(rooms, 5, pinned=True) == []
    one = recall.OneMemory(id=number)
    for operation, request in (
        (recall.SHOW, one),
        (recall.PIN, recall.Pin(id=number, off=True)),
        (recall.EDIT, recall.Edit(id=number, importance=1)),
        (recall.LIST, recall.ListMemories(namespace="a")),
    ):
        with pytest.raises(NotFound, match="'a' was deleted"):
            await rooms.do(operation, request)
    await rooms.do(memory.RESTORE, memory.OneSession(session="a"))
    assert await listed(rooms, 5) == [kept, number]
    assert await listed(rooms, 5, pinned=True) == [number]
    assert (await rooms.show(number)).text == "My bike is turquoise."


async def test_the_timeline_is_that_of_when_it_was_said(rooms: Rooms) -> None:
    """What is imported later, and what an edit has replaced, stand where they belong."""
    march, april, may = (datetime(2023, month, 1, tzinfo=UTC) for month in (3, 4, 5))
    new = await rooms.note("Today.")
    later = await rooms.note("May.", at=may)
    same = await rooms.notes(["April, first.", "April, second."], at=april)
    first = await rooms.note("March.", at=march)
    other = await rooms.note("Elsewhere, in April.", "b", at=april)
    await rooms.do(recall.EDIT, recall.Edit(id=same[0], text="April, corrected."))
    [old] = (await rooms.show(same[0])).replaces
    mine = [new, later, old.id, same[1], same[0], first]
    for limit in (1, 2, 3, 6, 500):
        assert await listed(rooms, limit, namespace="a") == mine
        assert await listed(rooms, limit) == [new, later, old.id, other, *mine[3:]]
        assert await listed(rooms, limit, namespace="a", state="live") == [
            number for number in mine if number != old.id
        ]
    for cursor in ("12", "WzFd", "é", "W10=", "e30="):
        with pytest.raises(Invalid, match="not the 'next' of a page"):
            await rooms.do(recall.LIST, recall.ListMemories(before=cursor))


async def test_a_page_ends_where_it_did_whatever_is_forgotten_meanwhile(rooms: Rooms) -> None:
    ids = await rooms.notes([f"Line {n}." for n in range(4)])
    page = await rooms.do(recall.LIST, recall.ListMemories(limit=2))
    plan = await pending(rooms.client, recall.FORGET, Forget(ids=(page.memories[-1].id,)))
    await rooms.do(approvals.APPROVE, approvals.Approve(id=plan, count=1))
    request = recall.ListMemories(limit=2, before=page.next)
    behind = await rooms.do(recall.LIST, request)
    assert ([one.id for one in behind.memories], behind.next) == (ids[1::-1], None)


# --- pinned, edited -----------------------------------------------------------------------------


async def test_what_is_pinned_is_seen_from_every_namespace(rooms: Rooms) -> None:
    number = await rooms.note("The house key is under the blue stone.", "a")
    await rooms.say("b", "Hello.")
    key = "The house key is under the blue stone."
    assert key not in await rooms.found("house key", "b")
    assert (await rooms.do(recall.PIN, recall.Pin(id=number))).pinned
    assert (await rooms.found("house key", "b"))[0] == key
    (told,) = (await rooms.port.recall("b", "Where is the house key?", 3)).hits
    assert told.id == number
    await rooms.do(recall.PIN, recall.Pin(id=number, off=True))
    assert key not in await rooms.found("house key", "b")


async def test_an_edit_keeps_what_was_there(rooms: Rooms) -> None:
    number = await rooms.note("My bike is turqoise.")
    request = recall.Edit(id=number, text="My bike is turquoise.", importance=0.9)
    edited: Memory = await rooms.do(recall.EDIT, request)
    assert (edited.text, edited.importance) == ("My bike is turquoise.", 0.9)
    assert [(old.text, old.how) for old in edited.replaces] == [
        ("My bike is turqoise.", "replaced")
    ]
    assert await rooms.found("turquoise") == ["My bike is turquoise."]
    assert await rooms.found("turqoise") == []


# --- what takes whose place ---------------------------------------------------------------------


async def test_the_newer_statement_wins_and_says_what_it_replaced(rooms: Rooms) -> None:
    old = await rooms.say("a", "My bike is turquoise.")
    await rooms.say("a", "I live in Lisbon.")
    await rooms.say("a", "My bike is red now.")
    first = (await rooms.hits("Lisbon"))[0].id - 1
    assert (await rooms.state_of(first, "replaced")).turn_id == old
    hits = await rooms.hits("what colour is my bike")
    assert hits[0].text == "My bike is red now."
    assert [one.text for one in hits[0].replaces] == ["My bike is turquoise."]
    assert "My bike is turquoise." not in [hit.text for hit in hits]


async def test_what_a_person_brings_back_stays(rooms: Rooms) -> None:
    old = await rooms.note("My bike is turquoise.")
    new = await rooms.note("My bike is red now.")
    await rooms.state_of(old, "replaced")
    restored = await rooms.do(recall.RESTORE, recall.Restore(ids=(old,)))
    assert restored.ids == (old,)
    await rooms.note("Something else.")
    await rooms.settled()
    assert (await rooms.show(old)).state == (await rooms.show(new)).state == "live"
    assert len(await rooms.found("bike")) >= 2


async def test_the_same_said_again_is_one_memory(rooms: Rooms) -> None:
    old = await rooms.note("My sister Marta plays the cello.", pinned=True)
    await rooms.do(recall.EDIT, recall.Edit(id=old, importance=0.95))
    new = await rooms.note("my sister marta plays the cello!")
    assert (await rooms.state_of(old, "merged")).replaced_by == new
    kept = await rooms.show(new)
    assert (kept.pinned, kept.importance) == (True, 0.95)  # what the older one was worth
    assert [one.how for one in kept.replaces] == ["merged"]


async def test_a_pin_never_goes_over_to_other_words(rooms: Rooms) -> None:
    await rooms.note("Something else.", "b")
    old = await rooms.note("My bike is turquoise.", pinned=True)
    await rooms.note("My bike is red now.")
    assert (await judged(rooms)).replaced == 0
    assert "My bike is red now." not in await rooms.found("bike", "b")
    await rooms.note("My bike is black now.", pinned=True)
    await rooms.state_of(old, "replaced")
    assert (await rooms.found("bike", "b"))[0] == "My bike is black now."


async def test_what_a_person_says_of_the_newer_one_stands(rooms: Rooms) -> None:
    old = await rooms.note("My bike is turquoise.", importance=0.95)
    new = await rooms.note("My bike is red now.", importance=0.2)
    await rooms.state_of(old, "replaced")
    assert (await rooms.show(new)).importance == 0.2


async def test_another_branch_knows_nothing_of_it(rooms: Rooms) -> None:
    one = await rooms.say("a", "Hello.")
    await rooms.say("a", "My bike is turquoise.")
    await rooms.say("a", "My bike is red now.", after=one)
    stats = await rooms.settled()
    assert (stats.replaced, stats.merged) == (0, 0)


async def judged(rooms: Rooms) -> Stats:
    """Once what is to take the place of what so far is written down: what came later is. Counts
    without that."""
    old = await rooms.note("The marker is set.", "marker")
    await rooms.note("the marker is set!", "marker")
    await rooms.state_of(old, "merged")
    stats = await rooms.settled()
    return stats.model_copy(update={"merged": stats.merged - 1, "live": stats.live - 1})


async def test_a_note_takes_the_place_of_what_was_said_in_a_chat(rooms: Rooms) -> None:
    elsewhere = await rooms.note("My bike is turquoise.", "b")
    await rooms.say("a", "My bike is turquoise.")
    noted = await rooms.note("My bike is red now.")
    said = await rooms.state_of(noted - 1, "replaced")
    assert (said.kind, said.replaced_by) == ("turn", noted)
    await judged(rooms)
    (told,) = (await rooms.port.recall("a", "What colour is my bike?", 3)).hits
    assert told.text == "My bike is red now."
    assert [one.text for one in told.replaces] == ["My bike is turquoise."]
    assert (await rooms.show(elsewhere)).state == "live"
    assert await rooms.found("bike", "b") == ["My bike is turquoise."]


async def test_what_is_said_in_a_chat_takes_the_place_of_a_note(rooms: Rooms) -> None:
    noted = await rooms.note("My bike is turquoise.")
    same = await rooms.note("My sister Marta plays the cello.")
    await rooms.say("a", "My bike is red now.")
    await rooms.say("a", "My sister Marta plays the cello!")
    assert (await rooms.state_of(noted, "replaced")).replaced_by == same + 1
    assert (await rooms.state_of(same, "merged")).replaced_by == same + 2


async def test_no_note_is_taken_from_a_branch_that_knows_nothing_of_the_turn(rooms: Rooms) -> None:
    noted = await rooms.note("My bike is turquoise.")
    await rooms.say("a", "Hello.")
    await rooms.say("a", "Good morning.", after=0)
    await rooms.say("a", "My bike is red now.")
    await rooms.say("a", "My bike is turquoise.")
    stats = await judged(rooms)
    assert (stats.replaced, stats.merged) == (1, 0)  # the turn that the last one follows
    assert (await rooms.show(noted)).state == "live"


async def test_another_speaker_contradicts_nobody(rooms: Rooms) -> None:
    await rooms.say("a", "My bike is turquoise.")
    await rooms.note("My bike is red now.", speaker="Ann")
    stats = await judged(rooms)
    assert (stats.replaced, stats.merged) == (0, 0)


@pytest.mark.parametrize("text", ["My bike is red now.", "My bike is turquoise!"])
@pytest.mark.parametrize("kind", [ActorKind.MODEL, ActorKind.AGENT])
async def test_what_a_model_says_or_notes_never_replaces_what_a_person_said(
    rooms: Rooms, kind: ActorKind, text: str
) -> None:
    call = Call(Actor(kind, "one"))
    await rooms.say("a", "My bike is turquoise.")
    log = rooms.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
    await log.close(await log.open("a", text, call), "done", "Noted.", "", "m")
    request = recall.AddNotes(namespace="a", notes=(Note(text=text),))
    added = await rooms.client.call(recall.ADD, request, call)
    assert isinstance(added, Done)
    (noted,) = added.result.ids
    stats = await judged(rooms)
    assert (stats.replaced, stats.merged) == (0, 1)  # its own, said again
    said = await rooms.show(noted - 2)
    assert (said.text, said.speaker, said.state) == ("My bike is turquoise.", "", "live")
    assert {(await rooms.show(noted - n)).speaker for n in (0, 1)} == {f"{kind}:one"}


# --- only some ----------------------------------------------------------------------------------


async def test_only_what_is_pinned_or_archived_is_searched(rooms: Rooms) -> None:
    told = "A ship lay for a week, and then for another, in the harbour."
    away = await rooms.note(f"{told} It rained.", importance=0.1)
    await rooms.archive(days=0)
    kept = await rooms.note(f"{told} It snowed.", "b", pinned=True)
    more = [f"Harbour, harbour {n}." for n in range(450)]
    await rooms.notes(more[:225], importance=0.9)

    async def found(**only: Any) -> list[int]:
        return [hit.id for hit in await rooms.hits("harbour", limit=3, **only)]

    assert away not in {*await found(), *await found(state="live")}
    assert await found(state="archived") == [away]
    assert await found(pinned=True) == await found(pinned=True, state="live") == [kept]
    assert await found(pinned=True, state="archived") == []
    # What is not among the best is not found, and that is told.
    await rooms.notes(more[225:], importance=0.9)
    request = recall.Search(query="harbour", namespace="a", state="archived")
    last: recall.SearchResult = await rooms.do(recall.SEARCH, request)
    assert (last.hits, "only the 400 best" in last.partial) == ((), True)


# --- a chat -------------------------------------------------------------------------------------


async def test_a_chat_is_told_what_bears_on_its_question_alone(rooms: Rooms) -> None:
    for text in ("My bike is turquoise.", "I live in Lisbon.", "Good morning.", "Tell a joke."):
        await rooms.say("a", text)
    told = (await rooms.port.recall("a", "What colour is my bike?", 3)).hits
    assert [hit.text for hit in told] == ["My bike is turquoise."]
    await rooms.port.used([told[0].id])
    used = await rooms.show(told[0].id)
    assert used.uses == 1
    assert used.used_at is not None


async def test_an_archived_memory_is_recalled_and_lives_again(rooms: Rooms) -> None:
    number = await rooms.note("The red kite flies.", importance=0.1)
    await rooms.settled()
    await rooms.archive(days=0)
    assert (await rooms.show(number)).state == "archived"
    await rooms.say("a", "Hello there.")
    (told,) = (await rooms.port.recall("a", "What flies, the kite?", 3)).hits
    assert (told.id, told.text) == (number, "The red kite flies.")
    await rooms.port.used([number])
    assert (await rooms.show(number)).state == "live"
