"""Whatever goes wrong leaves one turn, with what came and the reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.contract import agent0, model
from engine.contract.backend import Generation, Piece
from engine.contract.call import Call
from engine.contract.errors import (
    Busy,
    DeadlineExceeded,
    Internal,
    ModelFailed,
    Refused,
)
from engine.home import Home
from engine.memory.turns import Turns
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until
from tests.unit.agent0.talk import ask, die_as_kept, keep_what_is_saved, turns


class RefusingBackend(RehearsedBackend):
    """Raises ``problem`` when it is asked."""

    problem: Exception | None = None

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        if self.problem is not None:
            raise self.problem
        async with super().stream(generation) as pieces:
            yield pieces


async def test_a_model_without_room_is_a_clear_answer_and_asking_again_doubles_nothing(
    home: Home,
) -> None:
    full = RefusingBackend("A b c")
    full.problem = Busy("Ten questions wait already.", "Ask again in a moment.")
    async with engine_with(home, {"one": full}) as client:
        with pytest.raises(Busy, match="Ten questions"):
            await ask(client, "Say it.")
        (failed,) = await turns(client)
        assert (failed.status, failed.note) == ("failed", "Ten questions wait already.")
        full.problem = None
        await ask(client, "Say it.", after=failed.parent_id or 0)
        assert [(turn.question, turn.status) for turn in await turns(client)] == [
            ("Say it.", "done")
        ]
        assert [message.content for message in full.heard[0].messages][1:] == ["Say it."]


async def test_a_defect_is_not_told_as_a_persons_stop(home: Home) -> None:
    broken = RefusingBackend()
    broken.problem = KeyError("slot")
    async with engine_with(home, {"one": broken}) as client:
        with pytest.raises(Internal):
            await ask(client, "Say it.")
        (turn,) = await turns(client)
        told = "a defect: KeyError in engine.agent0.answer:items"  # A text may quote a prompt.
        assert (turn.status, turn.note) == ("failed", told)


async def test_a_question_out_of_time_says_so(home: Home) -> None:
    slow = RehearsedBackend("A b c d", hold=asyncio.Event())
    async with engine_with(home, {"one": slow}) as client:
        request = agent0.Ask(text="Say it.")
        with pytest.raises(DeadlineExceeded):
            async with client.stream(agent0.ASK, request, Call().within(0.2)) as items:
                async for _item in items:
                    pass
        (turn,) = await turns(client)
        assert (turn.status, turn.answer, turn.note) == (
            "failed",
            "A b",
            "it did not end in time",
        )
        assert slow.left == 1


async def test_an_engine_that_dies_leaves_what_had_come(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.agent0.answer._SAVE_EVERY_S", 0.0)
    hold = asyncio.Event()
    slow = RehearsedBackend("A b c d", hold=hold)
    async with (
        engine_with(home, {"one": slow}) as client,
        client.stream(agent0.ASK, agent0.Ask(text="Say it.")) as items,
    ):
        async for item in items:
            if item.kind == "piece" and item.text == " b":
                break

        await keep_what_is_saved(home, client)
        hold.set()
    die_as_kept(home)
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        (turn,) = await turns(client)
        assert (turn.status, turn.note) == ("interrupted", "the engine ended")
        assert turn.answer in {"A", "A b"}


async def test_who_leaves_while_the_question_is_written_down_leaves_no_open_turn(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()
    really = Turns.open

    async def slowly(self: Turns, *arguments: Any, **more: Any) -> Any:
        turn = await really(self, *arguments, **more)
        written.set()
        await go_on.wait()
        return turn

    monkeypatch.setattr(Turns, "open", slowly)
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        asking = asyncio.create_task(ask(client, "Say it."))
        await written.wait()
        asking.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        (turn,) = await turns(client)
        assert (turn.status, turn.answer) == ("stopped", "")


async def test_who_leaves_while_the_model_loads_leaves_a_stopped_turn(home: Home) -> None:
    loading = asyncio.Event()
    slow = RehearsedBackend(load_hold=loading)
    async with engine_with(home, {"one": slow}) as client:
        asking = asyncio.create_task(ask(client, "Say it."))
        await until(lambda: slow.deeds == ["load"])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        (turn,) = await turns(client)
        assert turn.status == "stopped"
        loading.set()
        assert (await ask(client, "Again."))[-1].turn.status == "done"


async def test_a_model_that_is_elsewhere_by_now_is_not_asked(home: Home) -> None:
    """It was here when the call was let in: nobody has seen what would be sent."""

    class Moving(RehearsedBackend):
        async def load(self) -> None:
            await super().load()
            self.local = False

    moving = Moving()
    async with engine_with(home, {"one": moving}) as client:
        with pytest.raises(Refused, match="nothing was sent"):
            await ask(client, "Say it.")
        assert moving.heard == []
        assert (await turns(client))[0].status == "failed"


async def test_a_model_that_cannot_be_loaded_costs_one_turn(home: Home) -> None:
    weak = RehearsedBackend(load_error=ModelFailed("It is no model.", "Use another."))
    models = {"weak": weak, "two": RehearsedBackend("From two.")}
    async with engine_with(home, models) as client:
        with pytest.raises(ModelFailed, match="no model"):
            await ask(client, "Say it.")
        await done(client, model.USE, model.UseModel(name="two"))
        await ask(client, "Say it.")
        assert [(turn.status, turn.note) for turn in await turns(client)] == [
            ("failed", "It is no model."),
            ("done", ""),
        ]
