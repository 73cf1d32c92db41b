"""An answer that had to do without memories says so, and passes nothing off as nothing recalled."""

from __future__ import annotations

import asyncio

import pytest

from engine.clients.local import LocalClient
from engine.contract import agent0, approvals
from engine.contract.approvals import Approve
from engine.contract.errors import ModelFailed, NeedsApproval
from engine.contract.memory import WITHOUT
from engine.home import Home
from engine.recall.searching import Searching
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.unit.agent0.talk import ask, turns
from tests.unit.agent0.test_recalled import QUESTION, noted


async def blocked(home: Home, client: LocalClient) -> None:
    """Something is remembered, and a file lies where the index belongs."""
    await noted(client)
    (home.data / "recall").write_text("A file.")


async def test_an_answer_says_that_the_memories_could_not_be_searched(home: Home) -> None:
    async with engine_with(home, {"one": RehearsedBackend("As rehearsed.")}) as client:
        await blocked(home, client)
        started, *_pieces, finished = await ask(client, QUESTION)
        assert finished.turn.status == "done"
        assert finished.turn.note == started.lacking
        assert started.lacking.startswith(f"{WITHOUT} memories, which could not be searched")
        assert str(home.data / "recall") in started.lacking
        [turn] = await turns(client)
        assert (turn.note, turn.recalled) == (started.lacking, None)
        (home.data / "recall").unlink()
        started, *_pieces, finished = await ask(client, QUESTION)
        assert (started.lacking, finished.turn.note) == ("", "")
        assert len(started.recalled) == 1


async def test_one_that_was_stopped_says_so_and_one_that_failed_why_it_failed(home: Home) -> None:
    weak = RehearsedBackend("A b c", error=ModelFailed("It fell over.", "Try again."))
    async with engine_with(home, {"one": weak}) as client:
        await blocked(home, client)
        with pytest.raises(ModelFailed):
            await ask(client, QUESTION)
        [turn] = await turns(client)
        assert (turn.status, turn.note) == ("failed", "It fell over.")
    slow = RehearsedBackend("A b c", hold=asyncio.Event())
    async with engine_with(home, {"one": slow}) as client:
        async with client.stream(agent0.ASK, agent0.Ask(text=QUESTION)) as items:
            await anext(items)
        turn = (await turns(client))[-1]
        assert turn.status == "stopped"
        assert turn.note.startswith(WITHOUT)


async def test_where_a_part_could_not_be_searched_that_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        number = await noted(client)
        found = Searching._find

        async def behind(*arguments: object) -> object:
            hits, answer = await found(*arguments)  # type: ignore[arg-type]
            return hits, {**answer, "behind": 7}

        monkeypatch.setattr(Searching, "_find", behind)
        started, *_pieces, finished = await ask(client, QUESTION)
        assert [hit.id for hit in started.recalled] == [number]
        assert finished.turn.note.startswith(f"{WITHOUT} some memories: The index")


async def test_what_is_asked_elsewhere_says_so_on_its_card_and_on_its_turn(home: Home) -> None:
    far = RehearsedBackend("From afar.", local=False)
    async with engine_with(home, {"far": far}) as client:
        await blocked(home, client)
        with pytest.raises(NeedsApproval) as caught:
            await ask(client, QUESTION)
        number = caught.value.approval_id
        shown = await client.call(approvals.SHOW, approvals.ApprovalId(id=number))
        assert "could not be searched" in str(shown)
        await client.call(approvals.APPROVE, Approve(id=number))
        [turn] = await turns(client)
        assert (turn.answer, turn.recalled) == ("From afar.", None)
        assert turn.note.startswith(WITHOUT)
