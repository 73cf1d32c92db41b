"""What is forgotten is nowhere any more; what is not meant, moved or in the way is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from engine.contract import approvals, memory
from engine.contract.approvals import ApprovalState
from engine.contract.client import Pending
from engine.contract.errors import AlreadyAnswered, Invalid, NotFound, Refused, WorldMoved
from engine.contract.memories import Forgotten
from engine.contract.memory import OneSession
from engine.contract.ports import Attached, TurnLog
from engine.home import Home
from tests.unit.recall.life import ANSWER, SECRET, Life, copied, holding, nowhere


async def test_a_note_is_gone_for_good_and_a_number_is_left(life: Life) -> None:
    number = await life.note(SECRET, "diary", speaker="Eve")
    other = await life.note("Something else.", "diary")
    await life.say("a", "Hello.")
    uid = (await life.row(number))["uid"]
    plan = await life.plan(number)
    card = (await life.shown(plan)).card
    assert (card.verb, card.subject) == ("forget", f"memory {number}")
    assert (card.headline, card.confirm_count) == ("1 memory, for good", 1)
    assert card.items[0].text.startswith(r"The château’s key lies under the 7th stone. Don't tell")
    assert "\x1b" not in card.items[0].text
    assert card.items[0].size == len(SECRET.encode())
    rows = [(row.label, row.text) for row in card.rows]
    assert ("UNDO", "none: forgotten is forgotten") in rows
    assert any(label == "RISK" and "cannot be undone" in text for label, text in rows)
    with pytest.raises(Invalid, match="asks for the number of things"):
        await life.approve(plan, 2)
    assert holding(life.home.data, SECRET) != []

    done = await life.approve(plan, 1)
    assert done.outcome is not None
    assert (done.state, done.outcome.problems) == (ApprovalState.DONE, ())
    assert (done.outcome.done, done.outcome.undo) == (1, None)
    forgotten = Forgotten.model_validate(done.outcome.result)
    assert forgotten.ids == (number,)
    assert forgotten.places == (
        "the database", "the plans that are kept of approvals", "what models keep on disk",
        "the index",
    )  # fmt: skip
    assert [item.text for item in done.card.items] == [""]
    assert life.room.index.forgotten == [number]
    assert life.models.forgotten == ["a"]
    nowhere(life)
    tombs = await life.rows("SELECT memory_id, uid FROM forgotten")
    assert [tuple(row) for row in tombs] == [(number, uid)]
    assert set(await life.texts()) == {other, other + 1}
    assert (await life.events())[-1] == "forgotten"
    with pytest.raises(AlreadyAnswered):
        await life.approve(plan, 1)
    with pytest.raises(NotFound, match=f"Memory {number} was forgotten"):
        await life.plan(number)
    with pytest.raises(NotFound, match="There is no memory 999"):
        await life.plan(other, 999)


async def test_what_was_said_goes_with_its_answer_and_what_was_attached(life: Life) -> None:
    first, _ = await life.say("a", "Good morning.")
    attached = [Attached("key.txt", f"As a file: {SECRET}")]
    turn, number = await life.say("a", SECRET, ANSWER, attached=attached)
    last, _ = await life.say("a", "Good night.")
    await life.change("UPDATE session SET title = 'The château''s key'")
    plan = await life.plan(number)
    rows = [row.text for row in (await life.shown(plan)).card.rows]
    assert "empty 1 turn: the answers go with the questions, and 1 attached" in rows
    await life.approve(plan, 1)
    nowhere(life, SECRET, ANSWER, "The château’s key", "The château's key")
    shown = (await life.do(memory.TURNS, memory.ShowTurns(session="a"))).turns
    assert [(t.id, t.question, t.answer, t.note, t.attached) for t in shown] == [
        (first.id, "Good morning.", "Noted.", "", ()),
        (turn.id, "(forgotten)", "", "forgotten", ()),
        (last.id, "Good night.", "Noted.", "", ()),
    ]
    log = life.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
    newest, _ = await life.say("a", "And again.")
    assert [t.id for t in await log.path(newest, 6, 12)] == [first.id, last.id]
    untitled = await log.untitled("a")
    assert untitled is not None
    assert untitled.id == first.id


async def test_older_versions_go_too_and_what_says_the_same_is_named(life: Life) -> None:
    number = await life.note(SECRET)
    older = await life.edit(number, SECRET.upper())
    merged = await life.note(SECRET.title())
    await life.replace(merged, older, "merged")
    plan = await life.plan(number)
    card = (await life.shown(plan)).card
    assert [item.key for item in card.items] == [str(n) for n in (number, older, merged)]
    assert card.rows[0].text == "erase 3 memories, for good, 2 of them older versions"
    await life.approve(plan, 3)
    nowhere(life, SECRET, SECRET.upper(), SECRET.title())


async def test_one_older_version_is_one(life: Life) -> None:
    number = await life.note("My bike is red.")
    await life.edit(number, "My bike is green.")
    card = (await life.shown(await life.plan(number))).card
    assert card.rows[0].text == "erase 2 memories, for good, 1 of them an older version"

    one, two = await life.notes(["The same.", "the same"])
    await life.replace(one, two, "merged")
    rows = [row.text for row in (await life.shown(await life.plan(one))).card.rows]
    assert f"memory {two} says the same, and stays" in rows


async def test_what_a_corrected_question_said_goes_from_its_turn(life: Life, home: Home) -> None:
    turn, number = await life.say("a", SECRET, ANSWER)
    copied(home)
    older = await life.edit(number, "Nothing about keys.")
    newer = await life.note("Not that either.", "a")
    await life.replace(number, newer, "replaced")
    # What was replaced by the one that was replaced is told of the newest.
    await life.change("UPDATE memory SET replaced_by = ? WHERE id = ?", newer, older)
    await life.forget(older)
    nowhere(life, SECRET, ANSWER)
    assert (await life.texts())[number] == "Nothing about keys."
    rows = await life.rows("SELECT question FROM turn WHERE id = ?", turn.id)
    assert rows[0]["question"] == "(forgotten)"


async def test_what_was_corrected_is_corrected_in_the_copies(life: Life, home: Home) -> None:
    number = await life.note(SECRET)
    copy = copied(home)
    older = await life.edit(number, "Nothing about keys.")
    assert (await life.forget(older)).state is ApprovalState.DONE
    nowhere(life)
    with closing(sqlite3.connect(copy)) as db:
        assert [row[0] for row in db.execute("SELECT text FROM memory")] == ["Nothing about keys."]


async def test_everything_of_a_namespace_and_its_name(life: Life) -> None:
    ids = await life.notes([SECRET, "More."], "divorce-lawyer")
    stays = await life.note("Other.")
    plan = await life.plan(namespace="divorce-lawyer")
    await life.approve(plan, 2)
    nowhere(life)
    assert set(await life.states()) == {stays}
    names = await life.rows("SELECT name FROM namespace")
    assert [row["name"] for row in names] == ["main"]
    assert sorted(life.room.index.forgotten) == ids
    with pytest.raises(NotFound, match="Nothing is remembered"):
        await life.plan(namespace="divorce-lawyer")


async def test_a_deleted_conversation_can_be_forgotten(life: Life) -> None:
    await life.say("a", SECRET, ANSWER)
    await life.note("Of the château.", "a")
    await life.do(memory.RENAME, memory.RenameSession(session="a", to="b"))
    answer = await life.client.call(memory.DELETE, OneSession(session="b"))
    assert isinstance(answer, Pending)
    await life.do(approvals.APPROVE, approvals.Approve(id=answer.approval_id))
    done = await life.forget(namespace="b")
    assert (done.state, done.outcome and done.outcome.done) == (ApprovalState.DONE, 2)
    nowhere(life, SECRET, ANSWER, "The château’s key", "Of the château.")
    deletion = await life.shown(answer.approval_id)
    assert deletion.card.headline == "conversation · 1 turn"
    assert [item.text for item in deletion.card.items] == [""]


async def test_what_is_not_clear_or_not_forgotten_this_way_is_refused(life: Life) -> None:
    number = await life.note("One.")
    with pytest.raises(Invalid, match="not clear"):
        await life.plan()
    with pytest.raises(Invalid, match="not clear"):
        await life.plan(number, namespace="main")
    await life.passage("One.", "a\x1b.md")
    with pytest.raises(Refused, match=r"is a passage of a\\x1b\.md"):
        await life.plan(number + 1)


async def test_a_passage_that_was_imported_is_of_no_file(life: Life) -> None:
    number = await life.note(SECRET)
    await life.change("UPDATE memory SET kind = 'document' WHERE id = ?", number)
    await life.forget(number)
    nowhere(life)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("UPDATE memory SET text = 'Changed.' WHERE id = 1", "memory 1 changed"),
        ("UPDATE memory SET pinned = 1 WHERE id = 2", "memory 2 changed"),
        ("DELETE FROM memory WHERE id = 2", "memory 2 is not there any more"),
        ("UPDATE memory SET state = 'merged', replaced_by = 1 WHERE id = 3", "memory 3 was rep"),
    ],
)
async def test_what_moved_is_not_forgotten(life: Life, sql: str, why: str) -> None:
    await life.notes(["One.", "Two.", "Three."])
    plan = await life.plan(1, 2)
    await life.change("UPDATE memory SET uses = uses + 1, used_at = '2026-01-01'")
    await life.change(sql)
    left = await life.texts()
    with pytest.raises(WorldMoved, match=why):
        await life.approve(plan, 2)
    assert await life.texts() == left
    assert (await life.shown(plan)).state is ApprovalState.FAILED


async def test_a_namespace_that_grew_is_not_forgotten(life: Life) -> None:
    await life.note("One.", "a")
    plan = await life.plan(namespace="a")
    await life.note("Two.", "a")
    with pytest.raises(WorldMoved, match="a holds 1 memory more"):
        await life.approve(plan, 1)


async def test_an_answer_that_is_being_written_is_in_the_way(life: Life) -> None:
    _turn, number = await life.say("a", SECRET)
    plan = await life.plan(number)
    await life.change("UPDATE turn SET status = 'open'")
    with pytest.raises(Refused, match="An answer is being written"):
        await life.plan(number)
    with pytest.raises(WorldMoved, match="an answer is being written"):
        await life.approve(plan, 1)


async def test_what_moves_at_the_last_moment_is_not_forgotten_either(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, other = await life.notes(["ok", "ok then"])
    await life.archive(days=0)
    before = life.archives
    without = life.room.vault.without

    async def meanwhile(*values: Any) -> Any:
        found = await without(*values)
        assert len(life.archives) == 2
        await life.change("UPDATE memory SET pinned = 1 WHERE id = ?", number)
        return found

    monkeypatch.setattr(life.room.vault, "without", meanwhile)
    done = await life.forget(number)
    assert (done.state, done.outcome and done.outcome.problems) == (
        ApprovalState.FAILED, (f"memory {number} changed",),
    )  # fmt: skip
    assert life.archives == before
    assert await life.texts() == {number: "ok", other: "ok then"}
