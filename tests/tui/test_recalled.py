"""What was recalled for an answer, opened from it: now, later, and when some of it is forgotten."""

from __future__ import annotations

from engine.contract.memories import Parts, Recalled
from tests.fakes.fake_memories import remembering
from tests.fakes.sample import lived_in
from tests.tui.desk import desk


async def test_the_memories_of_an_answer_are_opened_from_it() -> None:
    async with desk(remembering(lived_in())) as it:
        await it.press("2")
        await it.sees("AGENT-0")
        await it.type("what colour is it")
        await it.answer("enter")
        await it.sees("2 memories recalled")
        await it.answer("ctrl+s")
        await it.sees("What was recalled for this answer", "1.00", "I had the bike painted")
        await it.answer("enter")
        await it.sees("turn #2 of the conversation main", "words 0.50")
        await it.answer("escape")
        await it.answer("escape")
        await it.loses("What was recalled")
        await it.press("ctrl+t", "up")
        await it.answer("w")
        await it.sees("is not known here")


async def test_an_answer_without_memories_says_so() -> None:
    world = remembering(lived_in())
    why = "answered without memories, which could not be searched: a file is in the way."
    world.add_turn("main", "And the bike?", "I do not know.", note=why)
    async with desk(world) as it:
        await it.press("2")
        await it.sees("! answered without memories", "a file is in the way.")
        await it.press("ctrl+t")
        await it.answer("w")
        await it.sees("Answered without memories, which could not be searched")
        await it.loses("Nothing was recalled")


async def test_the_memories_of_an_earlier_answer_are_read_and_what_was_forgotten_is_not() -> None:
    world = remembering(lived_in())
    note = world.memories.put("main", "The bell is brass.")
    gone = world.memories.put("main", "The safe opens with 4711.")
    parts = Parts(lexical=1.25)
    recalled = tuple(Recalled(id=number, score=1.25, parts=parts) for number in (note.id, gone.id))
    world.add_turn("main", "What is the bell?", "Brass.", recalled=recalled)
    world.add_turn("main", "And the bike?", "", recalled=())
    del world.memories.all[gone.id]
    world.memories.gone.add(gone.id)
    async with desk(world) as it:
        await it.press("2")
        await it.sees("2 memories recalled")
        await it.press("ctrl+t")
        await it.answer("w")
        await it.sees("Nothing was recalled for this answer.")
        await it.press("up")
        await it.answer("w")
        await it.sees(
            "What was recalled", "1.25", "The bell is brass.", f"Memory {gone.id} was forgotten"
        )
        assert "4711" not in it.screen_text
        await it.answer("enter")
        await it.sees(f"#{note.id} · note of main", "1.25 = words 1.25")
        await it.answer("escape")
        await it.press("down")
        await it.answer("enter")
        await it.sees(f"Memory {gone.id} was forgotten")
        assert "FROM" not in it.screen_text  # there is nothing to open
