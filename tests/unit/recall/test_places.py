"""Nothing of what is forgotten is left: in archives, copies, plans, and what else holds words."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.contract.approvals import ApprovalState, Card, CardItem, CardRow
from engine.contract.call import Call
from engine.contract.errors import AlreadyAnswered, Unavailable, WorldMoved
from engine.contract.ports import ApprovalDesk, Draft
from engine.home import Home
from engine.store import schema
from tests.unit.recall.life import ANSWER, SECRET, Life, copied, holding, nowhere, opened

# --- archives -----------------------------------------------------------------------------------


async def test_archives_are_written_anew_without_it(life: Life) -> None:
    number, other, third = await life.notes([SECRET, "ok", "fine"], importance=0)
    await life.archive(days=0)
    await life.restore(other)
    (before,) = life.archives
    item = (await life.shown(await life.plan(number))).card.items[0]
    assert item.text.startswith("The château’s key")
    assert item.note.endswith("archived")
    await life.forget(number)
    assert _unpacked(life, SECRET) == []
    assert life.archives != [before]
    assert [(f.memories, f.live, f.state) for f in await life.room.vault.verify()] == [(2, 1, "ok")]
    # One that was restored stands in the file as well.
    await life.forget(other)
    assert await life.texts() == {third: "fine"}
    assert [(f.memories, f.live) for f in await life.room.vault.verify()] == [(1, 1)]
    await life.forget(third)
    assert (life.archives, await life.room.vault.verify()) == ([], ())


def _unpacked(life: Life, text: str) -> list[Path]:
    spelled = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    return [path for path in life.archives if spelled in gzip.decompress(path.read_bytes())]


async def test_a_damaged_archive_that_others_need_is_told(life: Life) -> None:
    number, other = await life.notes([SECRET, "ok"], importance=0)
    await life.archive(days=0)
    (path,) = life.archives
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    item = (await life.shown(await life.plan(number))).card.items[0]
    assert item.text == "(in an archive that is damaged)"
    done = await life.forget(number)
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert done.outcome.problems == (
        (
            f"{path} cannot be looked through: it is not what was written. Put a copy of that file"
            " back: then it is taken out of it by itself"
        ),
    )
    done = await life.forget(other)
    assert (done.state, life.archives) == (ApprovalState.DONE, [])


# --- copies -------------------------------------------------------------------------------------


async def test_copies_are_cleaned_and_can_still_be_put_back(life: Life, home: Home) -> None:
    turn, number = await life.say("a", SECRET, ANSWER)
    note = await life.note(SECRET.upper())
    merged = await life.note("As before.")
    await life.replace(merged, note, "merged")
    await life.change("UPDATE session SET title = ?", ANSWER)
    copy = copied(home)
    await life.restore(merged)
    (home.data / "backups" / "arcanum-schema6-x.part").write_text(SECRET)
    catalogue = home.data / "backups" / "catalogue-schema0-x.db"
    schema.prepare(catalogue, "catalogue")
    before = catalogue.read_bytes()
    done = await life.forget(number, note)
    assert done.outcome is not None
    assert done.outcome.problems == ()
    assert "1 copy in backups" in done.outcome.result["places"]
    nowhere(life, SECRET, ANSWER, SECRET.upper())
    assert catalogue.read_bytes() == before
    assert {path.name for path in copy.parent.iterdir()} == {copy.name, catalogue.name}
    schema.prepare(copy, "state")  # Whole, and nothing points to what is gone.
    with closing(sqlite3.connect(copy)) as db:
        rows = db.execute("SELECT id, state, text FROM memory").fetchall()
        assert rows == [(merged, "live", "As before.")]
        assert db.execute("SELECT count(*) FROM forgotten").fetchone() == (2,)
        assert db.execute("SELECT question FROM turn WHERE id = ?", (turn.id,)).fetchone() == (
            "(forgotten)",
        )


@pytest.mark.parametrize("version", [3, 5, 6])
async def test_copies_of_older_versions_are_cleaned(
    home: Home, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    every = schema.migrations
    with monkeypatch.context() as patch:
        patch.setattr(
            schema, "migrations", lambda kind: [m for m in every(kind) if m.version <= version]
        )
        home.prepare()
        schema.prepare(home.state_file, "state")
    with closing(sqlite3.connect(home.state_file)) as db:
        for question in (SECRET, "My bike is red."):
            if version == 6:
                db.execute(
                    "INSERT INTO session (name, title, created_at) VALUES ('a', ?, '2026')"
                    " ON CONFLICT DO NOTHING",
                    (ANSWER,),
                )
                db.execute(
                    "INSERT INTO turn (session_id, question, answer, status, answered, asked_at)"
                    " VALUES (1, ?, ?, 'done', 1, '2026-01-01T00:00:00+00:00')",
                    (question, ANSWER),
                )
            else:
                db.execute(
                    "INSERT INTO turn (session, question, answer, status, asked_at)"
                    " VALUES ('a', ?, ?, 'done', '2026-01-01T00:00:00+00:00')",
                    (question, ANSWER),
                )
        db.execute("UPDATE turn SET answer = 'Noted.' WHERE id = 2")
        db.commit()
    async with opened(home) as life:
        (copy,) = (home.data / "backups").glob("*.db")
        assert holding(copy.parent, SECRET) != []
        done = await life.forget(1)
        assert done.state is ApprovalState.DONE
        nowhere(life, SECRET, ANSWER)
        # Not even its words, which the full text index of then held.
        nowhere(life, "château")
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT question FROM turn ORDER BY id").fetchall() == [
            ("(forgotten)",), ("My bike is red.",),
        ]  # fmt: skip
        found = db.execute("SELECT rowid FROM turn_text WHERE turn_text MATCH 'bike'").fetchall()
        assert found == [(2,)]
    schema.prepare(copy, "state")


async def test_a_copy_of_another_time_keeps_what_is_another_turn(life: Life, home: Home) -> None:
    _turn, number = await life.say("a", SECRET)
    copy = copied(home)
    with closing(sqlite3.connect(copy)) as db:
        db.execute("UPDATE turn SET question = 'Another.', asked_at = '2020-01-01T00:00:00+00:00'")
        db.execute("UPDATE memory SET uid = randomblob(16), text = 'Another.'")
        db.commit()
    await life.forget(number)
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT question FROM turn").fetchall() == [("Another.",)]
        assert db.execute("SELECT text FROM memory").fetchall() == [("Another.",)]


@pytest.mark.parametrize("harm", ["junk", "cut", "locked"])
async def test_a_copy_that_cannot_be_cleaned_is_told(life: Life, home: Home, harm: str) -> None:
    number = await life.note(SECRET)
    good, bad = copied(home, "a.db"), copied(home, "b.db")
    locking = sqlite3.connect(bad)
    if harm == "junk":
        bad.write_bytes(b"no database " + SECRET.encode())
    elif harm == "cut":
        bad.write_bytes(bad.read_bytes()[:8192])
    else:
        locking.execute("BEGIN IMMEDIATE")
    with closing(locking):
        done = await life.forget(number)
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert len(done.outcome.problems) == 1
    assert done.outcome.problems[0].startswith(f"{bad} could not be cleaned (")
    assert done.outcome.problems[0].endswith("remove it yourself")
    bad.unlink()
    nowhere(life)
    assert good.exists()


# --- what else holds words ----------------------------------------------------------------------


async def test_plans_that_were_or_would_be_sent_elsewhere_are_emptied(life: Life) -> None:
    number = await life.note(SECRET)
    _turn, asked = await life.say("a", "What is 7 times 6?", "42")
    desk = life.engine.ground.use(ApprovalDesk)  # type: ignore[type-abstract]

    async def sent(text: str, operation: str = "agent0.ask") -> int:
        card = Card(
            verb="SEND", subject="there", headline="9 tokens to m",
            rows=(CardRow(label="SENDS", text="your question"),),
            items=(CardItem(key="0", text=f"user: {text}"),),
        )  # fmt: skip
        draft = Draft({"text": text}, {"messages": [["user", text]]}, ({"model": "m"},), card)
        return await desk.submit(operation, draft, Call())

    flat = " ".join(SECRET.split())
    told = await sent(f"Facts: {flat} Question: where?")
    cut = await sent("The château’s key lies under the 8th stone.")
    short = await sent("Do say: what is 7 times 6? Quickly.", "agent0.structure")
    await life.change(
        "UPDATE approval SET state = 'done', outcome = ? WHERE id = ?",
        json.dumps({"state": "done", "result": {"value": 42}}),
        short,
    )
    await life.forget(number, asked)
    nowhere(life, SECRET, flat, "What is 7 times 6", "what is 7 times 6")
    assert (await life.shown(told)).card.items == ()
    assert (await life.shown(told)).card.rows[0].text == "your question"
    assert (await life.shown(cut)).card.items[0].text.endswith("8th stone.")
    outcome = (await life.shown(short)).outcome
    assert outcome is not None
    assert outcome.result == {}


async def test_other_plans_to_forget_it_hold_nothing_of_it(life: Life) -> None:
    number, other = await life.notes([SECRET, "Other."])
    waiting = await life.plan(number, other)
    await life.forget(number)
    nowhere(life)
    texts = [item.text for item in (await life.shown(waiting)).card.items]
    assert texts == ["", "Other."]
    with pytest.raises(WorldMoved, match="not there any more"):
        await life.approve(waiting, 2)


async def test_what_is_in_the_way_is_told(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await life.note(SECRET)
    await life.say("a", "Hello.")
    life.room.index.problem = "it is being built"
    life.home.log_file.write_text(f"ERROR: {SECRET}\n")

    async def fails(_session: str) -> None:
        raise OSError("the disk says no")

    async def held_back() -> bool:
        return False

    monkeypatch.setattr(life.models, "forget_session", fails)
    monkeypatch.setattr(life.state, "scrub", held_back)
    done = await life.forget(number)
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    model, index, log, words = done.outcome.problems
    assert model == "what a model keeps on disk is still there: the disk says no"
    assert index == "the index holds it still: it is being built"
    assert log.startswith("the database's log holds it still, because somebody is reading in it;")
    assert words == f"{life.home.log_file} holds words of it: remove that file"


async def test_an_index_that_is_not_there_is_told(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_ids: object) -> str:
        raise Unavailable("The index is not there.")

    monkeypatch.setattr(life.room.index, "forget", fails)
    done = await life.forget(await life.note(SECRET))
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert done.outcome.problems == ("the index holds it still: The index is not there.",)
    nowhere(life)


async def test_whoever_reads_for_long_holds_the_log_back_and_no_longer(
    life: Life, home: Home
) -> None:
    number, other = await life.notes([SECRET, SECRET.upper()])
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM memory").fetchall()
        done = await life.forget(number)
        assert done.state is ApprovalState.PARTIAL
        assert done.outcome is not None
        assert "somebody is reading" in done.outcome.problems[0]
    assert (await life.forget(other)).state is ApprovalState.DONE
    nowhere(life, SECRET, SECRET.upper())


async def test_nothing_is_left_between_rows_that_were_moved_about(life: Life) -> None:
    """SQLite copies rows from page to page, and leaves what was copied where it was."""
    dice = random.Random(4)
    ids = await life.notes([f"ok {n} " + "x" * dice.randint(0, 900) for n in range(400)])
    number = await life.note(SECRET)
    later = await life.notes([f"fine {n} " + "y" * dice.randint(0, 900) for n in range(400)])
    for _ in range(3):
        for other in dice.sample([*ids, *later], 300):
            text = f"so {other} " + "z" * dice.randint(0, 2_000)
            await life.change("UPDATE memory SET text = ? WHERE id = ?", text, other)
        await life.archive(days=0)
        await life.restore(everything=True)
    await life.forget(number)
    nowhere(life, SECRET, SECRET[:30], SECRET[20:])


async def test_two_who_say_yes_forget_once(life: Life) -> None:
    number = await life.note(SECRET)
    plan = await life.plan(number)
    answers = await asyncio.gather(
        life.approve(plan, 1), life.approve(plan, 1), return_exceptions=True
    )
    assert sum(isinstance(each, AlreadyAnswered) for each in answers) == 1
    assert life.room.index.forgotten == [number]


async def test_a_copy_that_cannot_be_read_is_not_quoted(life: Life, home: Home) -> None:
    number = await life.note(SECRET)
    copy = copied(home)
    with closing(sqlite3.connect(copy)) as db, db:
        db.execute("UPDATE memory SET text = CAST(x'6b6574746c65ff' AS TEXT)")
    done = await life.forget(number)
    assert done.outcome is not None
    assert f"{copy} could not be cleaned (a text in it is damaged): remove it yourself" in (
        done.outcome.problems
    )
