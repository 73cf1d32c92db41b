"""Asking, choosing a model, and what may leave the machine."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from engine.clients.local import LocalClient
from engine.config import Config, ModelConfig
from engine.contract import agent0, approvals, audit, model, recall
from engine.contract.approvals import ApprovalState
from engine.contract.base import Empty
from engine.contract.engine import STATUS
from engine.contract.errors import ModelFailed, NeedsApproval, NotFound, PromptTooLong, WorldMoved
from engine.contract.memories import Note
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.unit.agent0.talk import ask, note, turns


async def test_the_answer_comes_in_pieces_and_is_kept(home: Home) -> None:
    async with engine_with(home, {"one": RehearsedBackend("A b c")}) as client:
        started, *pieces, finished = await ask(client, "Say it.")
        assert started.kind == "started"
        assert [piece.text for piece in pieces] == ["A", " b", " c"]
        assert finished.turn.answer == "A b c"
        assert [(t.question, t.answer, t.status) for t in await turns(client)] == [
            ("Say it.", "A b c", "done")
        ]


async def test_the_question_is_durable_before_the_model_hears_it(home: Home) -> None:
    hold = asyncio.Event()
    async with (
        engine_with(home, {"one": RehearsedBackend("A b c d", hold=hold)}) as client,
        client.stream(agent0.ASK, agent0.Ask(text="Say it.")) as items,
    ):
        await anext(items)
        assert [(t.question, t.status) for t in await turns(client)] == [("Say it.", "open")]
        hold.set()


async def test_leaving_stops_the_model_and_keeps_what_came(home: Home) -> None:
    slow = RehearsedBackend("A b c d e", hold=asyncio.Event())
    async with engine_with(home, {"one": slow}) as client:
        async with client.stream(agent0.ASK, agent0.Ask(text="Say it.")) as items:
            async for item in items:
                if item.kind == "piece" and item.text == " b":
                    break
        assert slow.left == 1
        assert [(t.answer, t.status) for t in await turns(client)] == [("A b", "stopped")]


async def test_a_model_that_fails_costs_one_answer(home: Home) -> None:
    weak = RehearsedBackend("A b c", error=ModelFailed("It fell over.", "Try again."))
    async with engine_with(home, {"one": weak}) as client:
        with pytest.raises(ModelFailed, match="fell over"):
            await ask(client, "Say it.")
        weak.error = None
        assert (await ask(client, "Again."))[-1].turn.answer == "A b c"
        assert [(t.status, t.answer, t.note) for t in await turns(client)] == [
            ("failed", "A b", "It fell over."),
            ("done", "A b c", ""),
        ]


async def test_new_tokens_are_bounded_by_the_configuration(home: Home) -> None:
    talker = RehearsedBackend("word " * 500)
    config = Config(model=ModelConfig(max_new_tokens=160))
    async with engine_with(home, {"one": talker}, config=config) as client:
        finished = (await ask(client, "Talk.", max_tokens=9999))[-1]
        assert (finished.finish, finished.tokens) == ("length", 160)
        assert (await ask(client, "Talk.", max_tokens=5))[-1].tokens == 5


async def test_a_question_that_does_not_fit_is_refused_with_the_numbers(home: Home) -> None:
    narrow = RehearsedBackend(context=200)
    async with engine_with(home, {"one": narrow}) as client:
        with pytest.raises(PromptTooLong, match=r"context of 200 tokens"):
            await ask(client, "word " * 500)
        assert narrow.heard == []
        assert (await turns(client))[0].status == "failed"


async def test_old_turns_leave_the_prompt_before_it_is_too_long(home: Home) -> None:
    narrow = RehearsedBackend("word " * 20, context=400)
    async with engine_with(home, {"one": narrow}) as client:
        for number in range(6):
            await ask(client, f"Question {number}, " + "word " * 10)
        messages = narrow.heard[-1].messages
        assert "Question 5" in messages[-1].content
        assert 2 <= len(messages) < 14


async def test_control_characters_of_a_model_are_made_visible(home: Home) -> None:
    async with engine_with(home, {"one": RehearsedBackend("\x1b[31m [bold] ok\nnext")}) as client:
        finished = (await ask(client, "Say it."))[-1]
        assert finished.turn.answer == "\\x1b[31m [bold] ok\nnext"


async def test_another_model_can_be_used_and_is_remembered(home: Home) -> None:
    models = {"one": RehearsedBackend("from one"), "two": RehearsedBackend("from two")}
    async with engine_with(home, models) as client:
        assert (await ask(client, "Who?"))[-1].turn.answer == "from one"
        info = await done(client, model.USE, model.UseModel(name="two"))
        assert (info.name, info.chosen_because) == ("two", "you chose it with `model use`")
        with pytest.raises(NotFound):
            await done(client, model.USE, model.UseModel(name="three"))
    async with engine_with(home, models) as client:
        assert (await ask(client, "Who?"))[-1].turn.answer == "from two"


async def test_a_choice_that_is_gone_falls_back_and_says_so(home: Home) -> None:
    models = {"one": RehearsedBackend(), "scripted": RehearsedBackend()}
    config = Config(model=ModelConfig(use="gone"))
    async with engine_with(home, models, config=config) as client:
        info = await done(client, model.INFO, model.AnyModel())
        assert info.name == "scripted"
        assert info.chosen_because == "gone cannot be used: There is no model gone."


# --- a model on another machine -------------------------------------------------------------------


async def asked_afar(client: LocalClient) -> int:
    with pytest.raises(NeedsApproval) as caught:
        await ask(client, "What do you know?", session="s")
    return caught.value.approval_id


async def test_nothing_leaves_the_machine_before_a_yes(home: Home) -> None:
    far = RehearsedBackend("From afar.", local=False)
    async with engine_with(home, {"far": far}) as client:
        number = await asked_afar(client)
        assert far.heard == []
        card = (await done(client, approvals.SHOW, approvals.ApprovalId(id=number))).card
        assert card.verb == "SEND OFF THIS MACHINE"
        assert [row.label for row in card.rows] == ["DO", "SENDS", "RISK", "UNDO"]
        assert card.items[-1].text == "user: What do you know?"
        status = await done(client, STATUS, Empty())
        assert status.needs_you == 1

        answered = await done(client, approvals.APPROVE, approvals.Approve(id=number))
        assert answered.state is ApprovalState.DONE
        (sent,) = far.heard
        assert [f"{m.role}: {m.content}" for m in sent.messages] == [i.text for i in card.items]
        (turn,) = await turns(client, "s")
        assert (turn.answer, turn.status) == ("From afar.", "done")


async def test_what_is_attached_is_on_the_card_and_is_sent_as_it_was_then(home: Home) -> None:
    far = RehearsedBackend("From afar.", local=False)
    async with engine_with(home, {"far": far}) as client:
        number = await asked_afar(client)
        await done(client, approvals.APPROVE, approvals.Approve(id=number))
        with pytest.raises(NeedsApproval) as caught:
            await ask(
                client, "When?", session="s", attachments=(note("Thursday ½"),), temperature=1
            )
        number = caught.value.approval_id
        card = (await done(client, approvals.SHOW, approvals.ApprovalId(id=number))).card
        sends = next(row.text for row in card.rows if row.label == "SENDS")
        assert sends == "your question · 1 earlier turn · notes.txt (11 bytes)"
        first = (await turns(client, "s"))[0].id
        with pytest.raises(NeedsApproval) as another:
            await ask(client, "Something else", session="s", after=0)
        await done(client, approvals.APPROVE, approvals.Approve(id=another.value.approval_id))

        await done(client, approvals.APPROVE, approvals.Approve(id=number))
        sent = far.heard[-1]
        assert [f"{m.role}: {m.content}".replace("\n", "\\n") for m in sent.messages] == [
            item.text for item in card.items
        ]
        assert sent.messages[-1].content.startswith("Context: [notes.txt]\nThursday ½")
        assert (sent.temperature, sent.session) == (1.0, "s")
        # The conversation went on meanwhile: the answer is where it was asked for.
        turn = (await turns(client, "s"))[-1]
        assert (turn.question, turn.attached, turn.parent_id) == ("When?", ("notes.txt",), first)


async def test_a_plan_tells_the_memories_it_takes_along_by_number(home: Home) -> None:
    """So that it can be emptied of what is forgotten later, whoever still knows its words."""
    far = RehearsedBackend("From afar.", local=False)
    async with engine_with(home, {"far": far}) as client:
        notes = (Note(text="My bike is turquoise."),)
        added = await done(client, recall.ADD, recall.AddNotes(namespace="s", notes=notes))
        with pytest.raises(NeedsApproval) as caught:
            await ask(client, "What colour is my bike?", session="s")
        card = (
            await done(client, approvals.SHOW, approvals.ApprovalId(id=caught.value.approval_id))
        ).card
        assert any("My bike is turquoise." in item.text for item in card.items)
        with closing(sqlite3.connect(home.state_file)) as db:
            (payload,) = db.execute("SELECT payload FROM payload").fetchone()
        recalled = [json.loads(one)["id"] for one in json.loads(payload)["recalled"]]
        assert recalled == list(added.ids)


async def test_a_plan_never_tells_another_conversation(home: Home) -> None:
    far = RehearsedBackend("From afar.", local=False)
    async with engine_with(home, {"far": far}) as client:
        await done(client, approvals.APPROVE, approvals.Approve(id=await asked_afar(client)))
        secret = (await turns(client, "s"))[0].id
        with pytest.raises(NotFound):
            await ask(client, "And?", session="t", after=secret)
        assert len(far.heard) == 1


async def test_a_no_sends_nothing(home: Home) -> None:
    far = RehearsedBackend(local=False)
    async with engine_with(home, {"far": far}) as client:
        number = await asked_afar(client)
        await done(client, approvals.DENY, approvals.Deny(id=number, reason="private"))
        assert far.heard == []


async def test_a_yes_is_for_the_model_that_was_shown(home: Home) -> None:
    models = {"far": RehearsedBackend(local=False), "farther": RehearsedBackend(local=False)}
    async with engine_with(home, models) as client:
        number = await asked_afar(client)
        await done(client, model.USE, model.UseModel(name="farther"))
        with pytest.raises(WorldMoved, match="farther"):
            await done(client, approvals.APPROVE, approvals.Approve(id=number))
        assert models["far"].heard == models["farther"].heard == []


async def test_the_audit_holds_no_content(home: Home) -> None:
    async with engine_with(home, {"far": RehearsedBackend(local=False)}) as client:
        number = await asked_afar(client)
        await done(client, approvals.APPROVE, approvals.Approve(id=number))
        page = await done(client, audit.SHOW, audit.ShowAudit())
        assert {entry.operation for entry in page.entries} >= {"agent0.ask", "approvals.approve"}
        assert "What do you know" not in page.model_dump_json()
