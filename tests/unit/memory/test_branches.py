"""Branches: which turns lead to a turn, which branch is current, and what of it is recalled."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract import memory
from engine.contract.errors import NotFound
from engine.contract.memory import SwitchBranch, Turn
from engine.home import Home
from engine.memory.tree import window
from engine.store import Transaction
from tests.unit.memory.conftest import House, house_at


async def switch(house: House, session: str, turn_id: int) -> list[str]:
    found = await house.do(memory.SWITCH, SwitchBranch(session=session, turn_id=turn_id))
    return [turn.question for turn in found.turns]


async def test_an_edited_question_begins_a_branch_and_the_old_one_stays(house: House) -> None:
    one = await house.say("a", "One.")
    old = await house.say("a", "Two.")
    three = await house.say("a", "Three.")
    new = await house.say("a", "Two, edited.", after=one.id)
    assert await house.questions("a") == ["One.", "Two, edited."]
    shown = await house.turns("a")
    assert shown[0].siblings == ()
    assert shown[1].siblings == (old.id, new.id)
    assert (shown[0].parent_id, shown[1].parent_id) == (None, one.id)

    assert await switch(house, "a", old.id) == ["One.", "Two.", "Three."]
    await house.say("a", "Four.")
    assert await house.questions("a") == ["One.", "Two.", "Three.", "Four."]
    assert await switch(house, "a", new.id) == ["One.", "Two, edited."]
    assert await switch(house, "a", one.id) == ["One.", "Two.", "Three.", "Four."]  # the newest
    assert three.id in {turn.id for turn in await house.exported("a")}


async def test_a_conversation_can_begin_anew_in_the_same_session(house: House) -> None:
    first = await house.say("a", "One.")
    again = await house.say("a", "Another one.", after=0)
    assert await house.questions("a") == ["Another one."]
    assert (again.parent_id, again.siblings) == (None, (first.id, again.id))
    assert await switch(house, "a", first.id) == ["One."]


async def test_a_branch_leads_only_through_its_own_conversation(house: House) -> None:
    other = await house.say("b", "Elsewhere.")
    with pytest.raises(NotFound, match=f"no turn #{other.id} in the conversation 'a'"):
        await house.say("a", "One.", after=other.id)
    with pytest.raises(NotFound, match=f"no turn #{other.id} "):
        await house.log.parent("a", other.id)
    assert await house.names() == ["b"]  # Nothing begun.
    await house.say("a", "One.")
    with pytest.raises(NotFound, match=f"no turn #{other.id} "):
        await switch(house, "a", other.id)
    with pytest.raises(NotFound, match="no conversation 'c'"):
        await switch(house, "c", other.id)


async def test_only_the_current_branch_is_recalled(house: House) -> None:
    one = await house.say("a", "Hello.")
    old = await house.say("a", "My bike is red.")
    await house.say("a", "My bike is blue.", after=one.id)
    assert await house.found("a", "bike") == ["My bike is blue."]
    await switch(house, "a", old.id)
    assert await house.found("a", "bike") == ["My bike is red."]


async def test_a_question_recalls_from_its_own_branch_whichever_is_current(house: House) -> None:
    one = await house.say("a", "Hello.")
    old = await house.say("a", "My bike is red.")
    new = await house.say("a", "My bike is blue.", after=one.id)
    for last, texts in ((old, ["My bike is red."]), (new, ["My bike is blue."]), (one, [])):
        hits = await house.recall("a", "bike", 3, last=last.id)
        assert [hit.text for hit in hits] == texts
    assert await house.recall("b", "bike", 3, last=new.id) == []


async def test_a_switch_is_told_and_one_that_changes_nothing_is_not(house: House) -> None:
    one = await house.say("a", "One.")
    two = await house.say("a", "Two.", after=0)
    async with house.client.events() as events:
        await switch(house, "a", two.id)
        await switch(house, "a", one.id)
        three = await house.ask("a", "Three.")
        told = [await anext(events), await anext(events)]
    assert isinstance(told[0], memory.SessionChanged)
    assert (told[0].session, told[0].change) == ("a", "switched")
    assert isinstance(told[1], memory.TurnOpened)
    assert three.parent_id == one.id


async def test_an_unanswered_turn_leads_nowhere_in_a_prompt(house: House) -> None:
    await house.say("a", "One.", "1")
    await house.say("a", "Two.", "", status="failed")
    await house.say("a", "Three.", "part of 3", status="stopped")
    still = await house.ask("a", "Four.")
    five = await house.ask("a", "Five.")
    assert [t.question for t in await house.log.path(five, 6, 12)] == ["One.", "Three."]
    await house.log.close(still, "done", "4", "", "m")
    assert [t.question for t in await house.log.path(five, 6, 12)] == ["One.", "Three.", "Four."]


async def test_prompts_of_turn_after_turn_begin_alike(house: House) -> None:
    firsts, lengths = [], []
    for n in range(30):
        turn = await house.ask("a", f"Question {n}.")
        path = await house.log.path(turn, 3, 6)
        assert [t.question for t in path] == [f"Question {m}." for m in range(n - len(path), n)]
        firsts.append(path[0].id if path else 0)
        lengths.append(len(path))
        await house.log.close(turn, "done", "Noted.", "", "m")
    assert lengths[:13] == [0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 3, 4]
    changes = sum(a != b for a, b in itertools.pairwise(firsts[3:]))
    assert changes <= 30 // 4


@given(st.integers(0, 200), st.integers(0, 9), st.integers(0, 9))
def test_the_window_keeps_its_bounds_and_its_first_turn(count: int, least: int, more: int) -> None:
    most = least + more
    size = window(count, least, most)
    assert min(count, least) <= size <= min(count, most)
    before = window(count + 1, least, most)
    assert before == size + 1 or (size == most and before == least)


# --- against a plain model ------------------------------------------------------------------------


class Plain:
    """What a conversation is, without a database."""

    def __init__(self) -> None:
        self.parents: dict[int, int | None] = {}
        self.answered: set[int] = set()
        self.head: int | None = None

    def chain(self, turn: int | None) -> list[int]:
        found = []
        while turn is not None:
            found.append(turn)
            turn = self.parents[turn]
        return found[::-1]

    def siblings(self, turn: int) -> tuple[int, ...]:
        same = [t for t, parent in self.parents.items() if parent == self.parents[turn]]
        return tuple(same) if len(same) > 1 else ()

    def leaf(self, turn: int) -> int:
        return max(other for other in self.parents if turn in self.chain(other))


STEPS = st.lists(
    st.tuples(st.sampled_from(["on", "after", "anew", "switch", "open", "empty"]), st.integers(0)),
    min_size=1,
    max_size=14,
)
_numbers = itertools.count()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
async def test_any_tree_is_what_a_plain_model_says(
    house: House, steps: list[tuple[str, int]]
) -> None:
    session, plain = f"s{next(_numbers)}", Plain()
    opened: list[Turn] = []
    for what, pick in steps:
        ids = list(plain.parents)
        some = ids[pick % len(ids)] if ids else None
        if what == "switch":
            if some is not None:
                await switch(house, session, some)
                plain.head = plain.leaf(some)
            continue
        after = {"after": some, "anew": 0}.get(what)
        foreseen = await house.log.parent(session, after)
        turn = await house.ask(session, f"told {len(plain.parents)}", after=after)
        plain.parents[turn.id] = plain.head if after is None else after or None
        plain.head = turn.id
        assert foreseen == plain.parents[turn.id]
        if what == "open":
            opened.append(turn)
        else:
            await house.log.close(turn, "done", "" if what == "empty" else "Noted.", "", "m")
            plain.answered |= {turn.id} if what != "empty" else set()
    await _same(house, session, plain, opened)


async def _same(house: House, session: str, plain: Plain, opened: list[Turn]) -> None:
    if not plain.parents:
        return
    shown = await house.turns(session, limit=500)
    assert [turn.id for turn in shown] == plain.chain(plain.head)
    every = await house.exported(session)
    assert [turn.id for turn in every] == sorted(plain.parents)
    for turn in every:
        assert turn.parent_id == plain.parents[turn.id]
        assert turn.siblings == plain.siblings(turn.id)
        leading = [t for t in plain.chain(turn.parent_id) if t in plain.answered]
        path = [t.id for t in await house.log.path(turn, 2, 3)]
        assert path == leading[len(leading) - window(len(leading), 2, 3) :]
    hits = await house.recall(session, "told", 100)
    still_open = {turn.id for turn in opened}
    assert {hit.turn_id for hit in hits} == set(plain.chain(plain.head)) - still_open


# --- long ones, and dying ones --------------------------------------------------------------------


async def _long(house: House, session: str, turns: int) -> int:
    """Writes a conversation of so many turns with real sizes at once; its last turn."""

    async def work(tx: Transaction) -> int:
        session_id = await tx.insert(
            "INSERT INTO session (name, created_at) VALUES (?, '2026-01-01T00:00:00+00:00')",
            (session,),
        )
        rows = await tx.fetch("SELECT coalesce(max(id), 0) AS id FROM turn")
        first = int(rows[0]["id"]) + 1
        answer = "Many words that a model has said. " * 60
        await tx.executemany(
            "INSERT INTO turn (id, session_id, parent_id, status, answered, asked_at, question,"
            " answer) VALUES (?, ?, ?, 'done', 1, '2026-01-01T00:00:00+00:00', ?, ?)",
            (
                (n, session_id, n - 1 if n > first else None, f"Question number {n}.", answer)
                for n in range(first, first + turns)
            ),
        )
        await tx.execute("INSERT INTO branch SELECT session_id, id FROM turn", ())
        return first + turns - 1

    return await house.engine.ground.state.write(work)


async def test_ten_thousand_turns_are_no_burden(house: House) -> None:
    last = await _long(house, "long", 10_000)
    took: dict[str, float] = {}

    async def timed(name: str, work: object) -> object:
        started = time.perf_counter()
        result = await work  # type: ignore[misc]
        took[name] = time.perf_counter() - started
        return result

    turn = await timed("ask", house.ask("long", "One more?"))
    assert isinstance(turn, Turn)
    await timed("path", house.log.path(turn, 6, 12))
    await timed("turns", house.turns("long", limit=50))
    await timed("recall", house.recall("long", "question number 777", 3))
    await timed("edit the second turn", house.ask("long", "Anew.", after=last - 9_999))
    await timed("switch back", switch(house, "long", last))
    await timed("sessions", house.sessions())
    await timed("containing", house.sessions(containing="nobody said this"))
    assert [t.id for t in await house.turns("long", limit=2)] == [last, turn.id]
    # Bounds far from the 5 to 60 ms that they take, for machines that do much else.
    assert {name: seconds for name, seconds in took.items() if seconds > 1.0} == {}


_OPENS_AND_WAITS = """
import asyncio, sys
from engine.contract.call import Call
from engine.home import locate
from tests.unit.memory.conftest import house_at

async def main():
    async with house_at(locate()) as house:
        one = await house.say("a", "One.")
        await house.say("a", "Two.")
        await house.ask("a", "Two, edited.", after=one.id)
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_engine_leaves_one_interrupted_turn_on_its_branch(home: Home) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _OPENS_AND_WAITS,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"open\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()  # To the end, which closes its pipes.
    async with house_at(home) as house:
        shown = await house.turns("a")
        assert [(turn.question, turn.status) for turn in shown] == [
            ("One.", "done"),
            ("Two, edited.", "interrupted"),
        ]
        assert "the engine ended" in shown[1].note
        every = await house.exported("a")
        assert [turn.question for turn in every] == ["One.", "Two.", "Two, edited."]
        next_one = await house.say("a", "Three.")
        assert next_one.parent_id == shown[1].id
