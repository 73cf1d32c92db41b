"""Who sits where."""

from __future__ import annotations

from backends.hosted.slots import Slots, begins
from engine.contract.backend import Message


def sit(slots: Slots, name: str, prefix: str = "") -> int:
    """Takes a slot for the conversation, and leaves it again."""
    slot = slots.take(name, prefix)
    slot.name = name
    slot.busy = False
    return slot.number


def test_a_conversation_comes_back_to_its_own_slot() -> None:
    slots = Slots(3)
    assert [sit(slots, each) for each in "abc"] == [0, 1, 2]
    assert [sit(slots, each) for each in "cab"] == [2, 0, 1]


def test_the_one_that_rested_longest_makes_way() -> None:
    slots = Slots(2)
    for each in "aba":
        sit(slots, each)
    assert sit(slots, "c") == 1
    assert sit(slots, "a") == 0


def test_nobody_in_particular_disturbs_no_conversation() -> None:
    slots = Slots(3)
    for each in "ab":
        sit(slots, each)
    assert [sit(slots, ""), sit(slots, ""), sit(slots, "c")] == [2, 2, 2]


def test_a_known_beginning_is_used_where_it_lies() -> None:
    slots = Slots(3)
    sit(slots, "a")
    sit(slots, "prefix")
    assert sit(slots, "b", "prefix") == 1
    assert sit(slots, "a", "prefix") == 0, "its own slot is better still"


def test_a_busy_slot_is_not_taken() -> None:
    slots = Slots(2)
    first = slots.take("a", "")
    first.name = "a"
    assert slots.sits("a")
    assert slots.take("a", "") is not first


def test_what_begins_a_prompt() -> None:
    system, user = Message("system", "Be brief."), Message("user", "Hi")
    assert begins([system], [system, user])
    assert not begins([user], [system, user])
    assert not begins([system, user], [system])
