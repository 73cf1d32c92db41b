"""Which memories an answer was told stays known: after its end, a restart, and a crash; and of one
that was forgotten since, its number alone."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from engine.clients.local import LocalClient
from engine.contract import agent0, approvals, recall
from engine.contract.approvals import Approve
from engine.contract.client import Pending
from engine.contract.errors import ModelFailed, NeedsApproval, NotFound
from engine.contract.memories import Forget, Note
from engine.contract.memory import Turn
from engine.contract.recall import OneMemory, Shown
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.unit.agent0.talk import SizedBackend, ask, die_as_kept, keep_what_is_saved, turns

FACT = "My bike is turquoise."
QUESTION = "What colour is my bike?"


async def noted(client: LocalClient, text: str = FACT, namespace: str = "main") -> int:
    request = recall.AddNotes(namespace=namespace, notes=(Note(text=text),))
    return int((await done(client, recall.ADD, request)).ids[0])


async def shown(client: LocalClient, number: int) -> str:
    found: Shown = await done(client, recall.SHOW, OneMemory(id=number))
    return found.memory.text


def told(turn: Turn) -> list[int] | None:
    return None if turn.recalled is None else [one.id for one in turn.recalled]


async def test_the_memories_of_an_answer_are_known_after_a_restart(home: Home) -> None:
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        await ask(client, "Good morning.")
        number = await noted(client)
        started, *_pieces, finished = await ask(client, QUESTION)
        assert [hit.id for hit in started.recalled] == [number]
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        first, second = await turns(client)
        assert second == finished.turn
        assert (told(first), told(second)) == ([], [number])
        assert second.recalled == (started.recalled[0].recalled,)
        assert second.recalled[0].score > 0
        assert await shown(client, number) == FACT


async def test_an_answer_that_was_stopped_or_failed_knows_them_too(home: Home) -> None:
    slow = RehearsedBackend("A b c", hold=asyncio.Event())
    weak = RehearsedBackend("A b c", error=ModelFailed("It fell over.", "Try again."))
    for name, model in (("a", slow), ("b", weak)):
        async with engine_with(home, {"one": model}) as client:
            number = await noted(client, namespace=name)
            request = agent0.Ask(text=QUESTION, session=name)
            if model is slow:
                async with client.stream(agent0.ASK, request) as items:
                    await anext(items)
            else:
                with pytest.raises(ModelFailed):
                    await ask(client, QUESTION, session=name)
            (turn,) = await turns(client, name)
            assert turn.status in {"stopped", "failed"}
            assert told(turn) == [number]


async def test_an_engine_that_dies_leaves_them_with_what_had_come(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.agent0.answer._SAVE_EVERY_S", 0.0)
    hold = asyncio.Event()
    async with engine_with(home, {"one": RehearsedBackend("A b c d", hold=hold)}) as client:
        number = await noted(client)
        async with client.stream(agent0.ASK, agent0.Ask(text=QUESTION)) as items:
            async for item in items:
                if item.kind == "piece":
                    break

            await keep_what_is_saved(home, client)
            hold.set()
    die_as_kept(home)
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        (turn,) = await turns(client)
        assert (turn.status, told(turn)) == ("interrupted", [number])


async def test_what_was_approved_and_sent_elsewhere_says_which_they_were(home: Home) -> None:
    far = RehearsedBackend("From afar.", local=False)
    async with engine_with(home, {"far": far}) as client:
        number = await noted(client)
        with pytest.raises(NeedsApproval) as caught:
            await ask(client, QUESTION)
        await done(client, approvals.APPROVE, Approve(id=caught.value.approval_id))
        (turn,) = await turns(client)
        assert (turn.answer, told(turn)) == ("From afar.", [number])
        memory = (await done(client, recall.SHOW, OneMemory(id=number))).memory
        assert memory.uses == 1


async def test_of_a_memory_that_was_forgotten_since_only_its_number_is_left(home: Home) -> None:
    async with engine_with(home, {"one": RehearsedBackend("Noted.")}) as client:
        number, other = await noted(client, "My bike is chartreuse."), await noted(client, FACT)
        await ask(client, QUESTION)
        plan = await client.call(recall.FORGET, Forget(ids=(number,)))
        assert isinstance(plan, Pending)
        await done(client, approvals.APPROVE, Approve(id=plan.approval_id, count=2))
        (turn,) = await turns(client)
        assert (turn.question, turn.note) == (QUESTION, "forgotten")
        assert turn.answer.startswith("(forgotten on 2")
        assert set(told(turn) or ()) == {number, other}
        with pytest.raises(NotFound, match=f"Memory {number} was forgotten"):
            await shown(client, number)
        assert await shown(client, other) == FACT
    with closing(sqlite3.connect(home.state_file)) as database:
        (kept,) = database.execute("SELECT recalled FROM turn").fetchone()
        assert "bike" not in kept


async def test_what_was_forgotten_is_put_to_no_model_again(home: Home) -> None:
    model = SizedBackend("Noted.")
    async with engine_with(home, {"one": model}) as client:
        number = await noted(client)
        await ask(client, QUESTION)
        await ask(client, "Good morning.")
        assert any(FACT in text for text in model.texts())
        plan = await client.call(recall.FORGET, Forget(ids=(number,), keep_answers=True))
        assert isinstance(plan, Pending)
        await done(client, approvals.APPROVE, Approve(id=plan.approval_id, count=1))
        await ask(client, "Good night.")
        assert model.texts()[1:3] == [QUESTION, "Noted."]
        assert not any(FACT in text for text in model.texts())


async def test_of_an_answer_from_before_they_were_kept_it_is_not_known(home: Home) -> None:
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        await ask(client, QUESTION)
    with closing(sqlite3.connect(home.state_file)) as database:
        database.execute("UPDATE turn SET recalled = NULL")
        database.commit()
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        assert [told(turn) for turn in await turns(client)] == [None]
