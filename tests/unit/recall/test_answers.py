"""Answers that were made with what is forgotten go with it, unless they are left out."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing

import pytest

from engine.contract import approvals, memory
from engine.contract.approvals import ApprovalState, Card, CardItem
from engine.contract.call import Call
from engine.contract.client import Pending
from engine.contract.errors import Invalid, Refused, WorldMoved
from engine.contract.memories import Forgotten
from engine.contract.memory import OneSession, Turn
from engine.contract.ports import ApprovalDesk, Draft, TurnLog
from engine.home import Home
from tests.unit.recall.life import Life, copied, holding, nowhere

FACT = "My doctor is called Przybylski."
SAYS = "Your doctor is called Przybylski."
OTHER = "Dr Przybylski, of course."


async def _turns(life: Life, session: str) -> list[Turn]:
    return list((await life.do(memory.TURNS, memory.ShowTurns(session=session))).turns)


async def test_the_card_counts_and_names_them_and_they_go(life: Life, home: Home) -> None:
    number, other = await life.notes([FACT, "My bike is red."])
    first, _ = await life.say("a", "Who is my doctor?", SAYS, told=(other, number))
    second, _ = await life.say("b\x1b", "And the name?", OTHER, told=(number,))
    stays, _ = await life.say("a", "And my bike?", "It is red.", told=(other,))
    await life.change("UPDATE session SET title = 'Dr Przybylski' WHERE name = 'a'")
    copied(home)
    plan = await life.plan(number)
    card = (await life.shown(plan)).card
    assert (card.headline, card.confirm_count) == ("1 memory and 2 answers, for good", 3)
    text = (
        f"erase 2 answers that were made with it: turn {first.id} of a, turn {second.id} of"
        " b\\x1b; the questions stay, and k keeps an answer"
    )
    assert text in [row.text for row in card.rows if row.label == "DO"]
    assert [(item.key, item.text, item.fixed) for item in card.items] == [
        (str(number), FACT, True),
        (f"turn-{first.id}", SAYS, False),
        (f"turn-{second.id}", OTHER, False),
    ]
    assert card.items[1].note == (
        f"answer in turn {first.id} of a; k keeps it · made with memory {number}"
    )

    done = await life.approve(plan, 3)
    assert done.outcome is not None
    assert (done.state, done.outcome.problems) == (ApprovalState.DONE, ())
    assert done.outcome.summary == "1 memory and 2 answers forgotten"
    assert Forgotten.model_validate(done.outcome.result).answers == (first.id, second.id)
    nowhere(life, FACT, SAYS, OTHER, "Przybylski")
    shown = await _turns(life, "a")
    assert [(turn.question, turn.note) for turn in shown] == [
        ("Who is my doctor?", "forgotten"), ("And my bike?", ""),
    ]  # fmt: skip
    assert shown[0].answer.startswith("(forgotten on 2")
    assert (shown[0].status, shown[0].recalled) == ("done", first.recalled)
    assert shown[1].answer == "It is red."
    # No prompt takes along what is no answer, and no title is made of it.
    log = life.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
    newest, _ = await life.say("a", "Anything else?")
    assert [turn.id for turn in await log.path(newest, 6, 12)] == [stays.id]
    untitled = await log.untitled("a")
    assert untitled is not None
    assert untitled.id == stays.id
    # Whoever shows the conversations is told, and the questions are remembered as before.
    told = await life.rows(
        "SELECT json_extract(data, '$.session') AS name FROM event"
        " WHERE kind = 'memory.session_changed' AND json_extract(data, '$.change') = 'forgotten'"
    )
    assert sorted(row["name"] for row in told) == ["a", "b\x1b"]
    assert "Who is my doctor?" in (await life.texts()).values()
    found = await life.do(memory.SESSIONS, memory.ListSessions(containing="Przybylski"))
    assert found.sessions == ()
    # It is no answer any more that could go with another one.
    again = (await life.shown(await life.plan(other))).card
    assert [item.key for item in again.items] == [str(other), f"turn-{stays.id}"]


async def test_k_leaves_answers_out_one_or_all(life: Life) -> None:
    number = await life.note(FACT)
    first, _ = await life.say("a", "Who is my doctor?", SAYS, told=(number,))
    second, _ = await life.say("a", "And the name?", OTHER, told=(number,))
    plan = await life.plan(number)
    before = await life.shown(plan)
    fewer = await life.keep(plan, f"turn-{first.id}")
    after = await life.shown(fewer)
    assert after.digest != before.digest
    assert [item.key for item in after.card.items] == [str(number), f"turn-{second.id}"]
    risk = f"left as they are, and may repeat it: 1 answer that was made with it: turn {first.id}"
    assert f"{risk} of a" in [row.text for row in after.card.rows if row.label == "RISK"]
    every = (await life.shown(await life.plan(number, keep_answers=True))).card
    assert [item.key for item in every.items] == [str(number)]
    assert not every.keepable
    with pytest.raises(Invalid, match="turn-99 cannot be left out"):
        await life.plan(number, keep=("turn-99",))
    with pytest.raises(Invalid, match="Nothing is left out"):
        await life.plan(gone=True, keep_answers=True)
    assert (await life.yes(fewer)).state is ApprovalState.DONE
    assert (await _turns(life, "a"))[0].answer == SAYS
    nowhere(life, FACT, OTHER)


async def test_what_an_older_statement_was_used_for_goes_or_stays_with_it(life: Life) -> None:
    older, newer = await life.notes([FACT, "My doctor is called Nowak now."])
    turn, _ = await life.say("a", "Who is my doctor?", SAYS, told=(older,))
    await life.replace(older, newer, "replaced")
    keys = [item.key for item in (await life.shown(await life.plan(newer))).card.items]
    assert keys == [str(older), str(newer), f"turn-{turn.id}"]
    await life.forget(newer, keep_older=True)
    assert [each.answer for each in await _turns(life, "a")] == [SAYS]
    await life.forget(older)
    nowhere(life, FACT, SAYS)


async def test_of_a_turn_that_is_emptied_the_answer_goes_once(life: Life) -> None:
    number = await life.note(FACT, "a")
    _turn, asked = await life.say("a", "Is it Przybylski?", SAYS, told=(number,))
    card = (await life.shown(await life.plan(number, asked))).card
    assert (card.headline, card.confirm_count) == ("2 memories, for good", 2)
    await life.forget(namespace="a")
    assert [(t.question, t.answer) for t in await _turns(life, "a")] == [("(forgotten)", "")]


async def test_answers_of_deleted_conversations_and_of_other_branches_go_too(life: Life) -> None:
    number = await life.note(FACT)
    first, _ = await life.say("a", "Hello.")
    await life.say("a", "Who is my doctor?", SAYS, told=(number,))
    await life.say("a", "Who is it?", OTHER, after=first.id, told=(number,))
    await life.change("UPDATE session SET title = ? WHERE name = 'a'", SAYS)
    answer = await life.client.call(memory.DELETE, OneSession(session="a"))
    assert isinstance(answer, Pending)
    await life.do(approvals.APPROVE, approvals.Approve(id=answer.approval_id))
    assert (await life.forget(number)).state is ApprovalState.DONE
    nowhere(life, FACT, SAYS, OTHER)
    # The record of the deletion was called by the title; the questions stay in it.
    card = (await life.shown(answer.approval_id)).card
    assert card.headline == "conversation · 3 turns"
    assert [item.text for item in card.items] == ["Hello.", "Who is my doctor?", "Who is it?"]


async def test_plans_that_took_an_answer_along_are_emptied(life: Life) -> None:
    number = await life.note(FACT)
    turn, _ = await life.say("a", "Who is my doctor?", "Przybylski.", told=(number,))
    desk = life.engine.ground.use(ApprovalDesk)  # type: ignore[type-abstract]

    async def sent(*messages: str) -> int:
        items = tuple(CardItem(key=str(n), text=text) for n, text in enumerate(messages))
        card = Card(verb="SEND", subject="there", headline="to m", rows=(), items=items)
        payload = {"messages": [["user", text] for text in messages]}
        draft = Draft({"text": messages[-1]}, payload, ({"model": "m"},), card)
        return await desk.submit("agent0.ask", draft, Call())

    after = await sent("Who is my doctor?", "Przybylski.", "And where?")
    result = await sent("Who?")
    await life.change(
        "UPDATE approval SET state = 'done', outcome = ? WHERE id = ?",
        json.dumps({"state": "done", "result": {"turn_id": turn.id}}),
        result,
    )
    # A word that the answer is made of is no answer.
    other = await sent("Who else is called przybylski. Anyone?")
    waiting = await life.plan(number)
    await life.forget(number)
    for emptied in (after, result):
        assert (await life.shown(emptied)).card.items == ()
    assert len((await life.shown(other)).card.items) == 1
    assert [item.text for item in (await life.shown(waiting)).card.items] == ["", ""]


@pytest.mark.parametrize("version", [3, 5, 6])
async def test_answers_go_from_copies_of_any_version(life: Life, home: Home, version: int) -> None:
    number = await life.note(FACT)
    turn, _ = await life.say("a", "Who is my doctor?", SAYS, told=(number,))
    copy = copied(home)
    with closing(sqlite3.connect(copy)) as db:
        db.execute("DELETE FROM turn WHERE id != ?", (turn.id,))
        for name in ("memory", "turn", "branch", "forgotten"):
            for row in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (name,)
            ).fetchall():
                db.execute(f"DROP TRIGGER {row[0]}")
        if version < 6:  # Before conversations had an identity.
            db.execute("DROP TABLE session")
            db.execute("DROP INDEX turn_tree")
            db.execute("ALTER TABLE turn DROP COLUMN answered")
        db.execute("DROP TABLE memory")
        db.commit()
    await life.forget(number)
    nowhere(life, FACT, SAYS)
    with closing(sqlite3.connect(copy)) as db:
        [(question, answer)] = db.execute("SELECT question, answer FROM turn").fetchall()
    assert question == "Who is my doctor?"
    assert answer.startswith("(forgotten on 2")


async def test_another_turn_of_a_copy_keeps_its_answer(life: Life, home: Home) -> None:
    number = await life.note(FACT)
    await life.say("a", "Who is my doctor?", SAYS, told=(number,))
    copy = copied(home)
    with closing(sqlite3.connect(copy)) as db:
        db.execute("UPDATE turn SET answer = 'Another.', asked_at = '2020-01-01T00:00:00+00:00'")
        db.commit()
    await life.forget(number)
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT answer FROM turn").fetchall() == [("Another.",)]


async def test_an_answer_that_came_since_the_card_is_not_passed_over(life: Life) -> None:
    number = await life.note(FACT)
    plan = await life.plan(number)
    turn, _ = await life.say("a", "Who is my doctor?", SAYS, told=(number,))
    with pytest.raises(WorldMoved, match=f"turn {turn.id} of a was answered with one of them"):
        await life.approve(plan, 1)
    assert FACT in (await life.texts()).values()
    # One that is gone already is in nobody's way.
    other = await life.note("My doctor is Polish.")
    await life.say("b", "Who?", OTHER, told=(number, other))
    plan = await life.plan(other)
    await life.forget(number)
    assert (await life.yes(plan)).state is ApprovalState.DONE


@pytest.mark.parametrize("told", ["already", "not yet"])
@pytest.mark.parametrize("where", ["its own", "pinned"])
async def test_an_answer_that_is_being_made_with_it_is_in_the_way(
    life: Life, told: str, where: str
) -> None:
    number = await life.note(FACT, "a" if where == "its own" else "main", pinned=where == "pinned")
    unseen = await life.note("Not seen there.", "c")
    plan = await life.plan(number)
    log = life.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
    turn = await log.open("a", "Who is my doctor?", Call())
    if told == "already":
        recalled = json.dumps([{"id": number, "score": 1.0}])
        await life.change("UPDATE turn SET recalled = ? WHERE id = ?", recalled, turn.id)
    with pytest.raises(Refused, match="may be made with it"):
        await life.plan(number)
    with pytest.raises(WorldMoved, match="may be made with one"):
        await life.approve(plan, 1)
    assert (await life.forget(unseen)).state is ApprovalState.DONE


async def test_nothing_of_many_answers_is_left_between_rows(life: Life) -> None:
    """SQLite leaves what it moves from page to page where it was."""
    dice = random.Random(7)
    number = await life.note(FACT)
    for n in range(120):
        told = (number,) if n % 3 == 0 else ()
        answer = f"{SAYS} {n} " if told else f"So {n} "
        await life.say("a", f"Question {n}?", answer + "x" * dice.randint(0, 3_000), told=told)
    done = await life.forget(number)
    assert done.outcome is not None
    assert done.outcome.summary == "1 memory and 40 answers forgotten"
    nowhere(life, SAYS, "Przybylski")
    assert holding(life.home.data, "So 7 ") != []
    card_rows = (await life.shown(done.id)).card.rows
    assert any("and 35 more; the questions stay" in row.text for row in card_rows)
