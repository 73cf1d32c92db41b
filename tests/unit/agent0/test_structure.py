"""Answers as JSON, and the titles that are made with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.agent0 import structure
from engine.clients.local import LocalClient
from engine.contract import agent0, approvals, memory
from engine.contract.backend import Generation, Piece, Priority
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.client import Done, Pending
from engine.contract.errors import Busy, Invalid, ModelFailed, PromptTooLong
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until
from tests.unit.agent0.talk import LARGE, SMALL, SizedBackend, ask

COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "maxLength": 10}},
    "required": ["colour"],
}


def wanted(**more: Any) -> agent0.Structure:
    return agent0.Structure(text="Which colour?", json_schema=COLOUR, **more)


def in_turn(*replies: str) -> Callable[[Generation], str]:
    left = list(replies)
    return lambda _heard: left.pop(0) if len(left) > 1 else left[0]


async def structured(client: LocalClient, request: agent0.Structure, call: Call) -> Any:
    answer = await client.call(agent0.STRUCTURE, request, call)
    assert isinstance(answer, Done)
    return answer.result


async def test_an_answer_that_fits(home: Home) -> None:
    model = RehearsedBackend('{"colour": "blue"}')
    async with engine_with(home, {"one": model}) as client:
        found = await done(client, agent0.STRUCTURE, wanted(max_tokens=50))
        assert (found.value, found.attempts) == ({"colour": "blue"}, 1)
        (heard,) = model.heard
        assert heard.schema is not None
        assert heard.schema["properties"] == COLOUR["properties"]
        assert heard.schema["additionalProperties"] is False
        assert (heard.temperature, heard.session, heard.max_tokens) == (0.0, "", 50)
        assert heard.priority is Priority.INTERACTIVE
        assert '"maxLength":10' in heard.messages[-1].content  # Also for who ignores the schema.
        assert (await done(client, memory.SESSIONS, memory.ListSessions())).sessions == ()


@pytest.mark.parametrize(
    "reply",
    ['```json\n{"colour": "blue"}\n```', 'Sure! {"colour": "blue"} I hope it helps.'],
)
async def test_words_around_the_json_do_no_harm(home: Home, reply: str) -> None:
    async with engine_with(home, {"one": RehearsedBackend(reply)}) as client:
        assert (await done(client, agent0.STRUCTURE, wanted())).value == {"colour": "blue"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("blue", "not one JSON object"),
        ('{"colour": "ultramarine blue"}', "it.colour must have at most 10 characters"),
        ('{"colour": NaN}', "NaN is no JSON value"),
        ('{"color": "blue"}', "lacks 'colour'"),
        ('{"colour": "a\\ud800"}', "half a character"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "not one JSON object"),
    ],
)
async def test_an_answer_that_does_not_fit_is_asked_for_again(
    home: Home, reply: str, reason: str
) -> None:
    model = RehearsedBackend(in_turn(reply, '{"colour": "blue"}'))
    async with engine_with(home, {"one": model}) as client:
        found = await done(client, agent0.STRUCTURE, wanted())
        assert (found.value, found.attempts) == ({"colour": "blue"}, 2)
        *_, answer, again = model.heard[-1].messages
        assert answer.content == reply[:2000]
        assert reason in again.content


async def test_a_model_that_never_fits_is_one_clear_error(home: Home) -> None:
    model = RehearsedBackend("I would rather \x1b[2J talk.")
    async with engine_with(home, {"one": model}) as client:
        with pytest.raises(ModelFailed, match="no JSON that fits, asked 3 times") as caught:
            await done(client, agent0.STRUCTURE, wanted())
        assert "\x1b" not in caught.value.message
        assert len(model.heard) == 3
        model.reply = '{"colour": ' + "very " * 50
        with pytest.raises(ModelFailed, match="cut at 12 tokens"):
            await done(client, agent0.STRUCTURE, wanted(max_tokens=12))


async def test_what_cannot_be_asked_is_refused_before_the_model_hears_it(home: Home) -> None:
    model = RehearsedBackend(context=100)
    async with engine_with(home, {"one": model}) as client:
        with pytest.raises(Invalid, match="'pattern'"):
            schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}
            request = agent0.Structure(text="x", json_schema=schema)
            await done(client, agent0.STRUCTURE, request)
        with pytest.raises(PromptTooLong, match="context of 100 tokens"):
            await done(client, agent0.STRUCTURE, wanted())
        assert model.heard == []


class CrowdedBackend(RehearsedBackend):
    """Has no room for the first two."""

    refused = 0

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        if self.refused < 2:
            self.refused += 1
            raise Busy("Somebody else is first.")
        async with super().stream(generation) as pieces:
            yield pieces


async def test_work_that_nobody_waits_for_gives_way(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure, "_WAITS_S", (0.0, 0.0, 0.0))
    model = CrowdedBackend('{"colour": "blue"}')
    async with engine_with(home, {"one": model}) as client:
        with pytest.raises(Busy):
            await done(client, agent0.STRUCTURE, wanted())  # A person is told at once.
        model.refused = 0
        nightly = Call(actor=Actor(ActorKind.SCHEDULE, "nightly"))
        assert (await structured(client, wanted(), nightly)).value == {"colour": "blue"}
        member = Call(actor=Actor(ActorKind.MODEL, "council"))
        await structured(client, wanted(), member)
        heard = [each.priority for each in model.heard]
        assert heard == [Priority.BACKGROUND, Priority.COUNCIL]


async def test_a_model_elsewhere_is_asked_what_was_approved_and_only_once(home: Home) -> None:
    far = RehearsedBackend(in_turn('{"colour": "blue"}', "No."), local=False)
    share = {"type": "number", "maximum": 0.5}  # A digest takes no fractions.
    schema = COLOUR | {"properties": {"colour": {"type": "string"}, "share": share}}
    request = wanted().model_copy(update={"json_schema": schema})
    async with engine_with(home, {"far": far}) as client:
        for state, value in (("done", {"colour": "blue"}), ("failed", None)):
            asked = await client.call(agent0.STRUCTURE, request)
            assert isinstance(asked, Pending)
            assert len(far.heard) == (value is None)
            number = asked.approval_id
            card = (await done(client, approvals.SHOW, approvals.ApprovalId(id=number))).card
            answered = await done(client, approvals.APPROVE, approvals.Approve(id=number))
            assert answered.state == state
            assert answered.outcome.result.get("value") == value
            shown = [item.text.replace("\\n", "\n") for item in card.items]
            assert [f"{m.role}: {m.content}" for m in far.heard[-1].messages] == shown
        assert len(far.heard) == 2


# --- titles ----------------------------------------------------------------------------------


def titling(heard: Generation) -> str:
    return json.dumps({"title": "A turquoise bike"}) if heard.schema else "Noted."


async def title(client: LocalClient, session: str = "main") -> str:
    found = await done(client, memory.SESSIONS, memory.ListSessions())
    return next(str(one.title) for one in found.sessions if one.name == session)


async def test_a_large_model_says_what_a_conversation_is_about(home: Home) -> None:
    model = SizedBackend(titling, LARGE)
    async with engine_with(home, {"one": model}) as client:
        await ask(client, "My bike is turquoise.")
        await until(lambda: _is(client, "A turquoise bike"))
        heard = next(each for each in model.heard if each.schema)
        assert heard.priority is Priority.BACKGROUND
        assert "My bike is turquoise." in heard.messages[-1].content
        await ask(client, "And green.")
        await ask(client, "And red.")
        assert len([each for each in model.heard if each.schema]) == 1


async def _is(client: LocalClient, wanted: str) -> bool:
    return await title(client) == wanted


@pytest.mark.parametrize("size", [0, SMALL])
async def test_no_other_model_does(home: Home, size: int) -> None:
    model = SizedBackend(titling, size)
    async with engine_with(home, {"one": model}) as client:
        await ask(client, "My bike is turquoise.")
        assert await title(client) == "My bike is turquoise."
    assert not [each for each in model.heard if each.schema]


async def test_a_title_that_is_not_made_yet_keeps_nobody(home: Home) -> None:
    hold = asyncio.Event()
    model = SizedBackend(lambda heard: '{"title": "a b c d"}' if heard.schema else "Hi.", LARGE)
    async with engine_with(home, {"one": model}) as client:
        model.hold = hold
        await ask(client, "Hello.")
        await until(lambda: any(each.schema for each in model.heard))
        async with asyncio.timeout(5):
            assert (await ask(client, "Again."))[-1].turn.answer == "Hi."
    assert model.left == 1
