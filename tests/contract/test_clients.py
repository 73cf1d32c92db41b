"""One front door: whatever a face calls, it cannot tell which client it has."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from engine.contract import approvals, audit, jobs
from engine.contract.base import Empty, Wire
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.client import Done, Pending
from engine.contract.errors import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    Disconnected,
    Forbidden,
    Internal,
    Invalid,
    NotFound,
    Unavailable,
)
from engine.contract.operation import Operation
from tests.fakes import room as example
from tests.fakes.front import Front, raised
from tests.fakes.house import done, pending
from tests.fakes.waiting import until

MODEL = Actor(ActorKind.MODEL, "agent-0")


async def test_a_call_answers_with_the_result_and_knows_who_called(front: Front) -> None:
    call = Call(actor=MODEL, on_behalf_of=Actor(ActorKind.OPERATOR, "kim"))
    answer = await front.client.call(
        example.ECHO, example.Echo(text="türkis \n\x1b[31m 🚲", number=7), call
    )
    assert answer == Done(
        example.Echoed(
            text="türkis \n\x1b[31m 🚲",
            number=7,
            actor="model:agent-0",
            machine=front.engine.machine,
            has_deadline=True,
        )
    )


async def test_a_ping_is_answered_beside_what_takes_long(front: Front) -> None:
    held = asyncio.create_task(front.client.call(example.HOLD, Empty()))
    await asyncio.wait_for(front.client.ping(), 10)
    assert not held.done()
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    await front.client.close()
    with pytest.raises(Disconnected):
        await front.client.ping()


async def test_many_calls_at_once_get_each_its_own_answer(front: Front) -> None:
    answers = await asyncio.gather(
        *(done(front.client, example.ECHO, example.Echo(number=n)) for n in range(1, 31))
    )
    assert [answer.number for answer in answers] == list(range(1, 31))


async def test_a_high_operation_answers_pending_and_does_nothing(
    front: Front, tmp_path: Any
) -> None:
    (tmp_path / "a.txt").write_text("a")
    answer = await front.client.call(example.ERASE, example.Erase(folder=str(tmp_path)))
    assert isinstance(answer, Pending)
    assert (tmp_path / "a.txt").exists()
    waiting = await done(front.client, approvals.LIST, approvals.ListApprovals(state="open"))
    assert [each.id for each in waiting.approvals] == [answer.approval_id]


async def test_an_invalid_request_names_the_field(front: Front) -> None:
    error = await raised(front, example.ECHO, example.Echo.model_construct(text="x", number=0))
    assert isinstance(error, Invalid)
    assert "example.echo: number: Input should be greater than or equal to 1" in error.message


async def test_a_request_that_is_too_large_is_refused_in_bytes(front: Front) -> None:
    error = await raised(front, example.ECHO, example.Echo(text="ü" * 1200))
    assert isinstance(error, Invalid)
    assert "at most 2000 are taken" in error.message
    assert "24" in error.message


async def test_an_operation_that_nobody_serves_is_not_found(front: Front) -> None:
    error = await raised(front, example.UNBOUND, Empty())
    assert isinstance(error, NotFound)
    assert "example.unbound" in error.message


async def test_an_actor_who_may_not_is_refused(front: Front) -> None:
    await front.client.call(example.MINE, Empty())
    with pytest.raises(Forbidden, match=r"example\.mine may not be called by model:agent-0"):
        await front.client.call(example.MINE, Empty(), Call(actor=MODEL))


@pytest.mark.parametrize("actor", [ActorKind.AGENT, ActorKind.MODEL, ActorKind.SCHEDULE])
async def test_only_an_operator_answers_an_approval(
    front: Front, actor: ActorKind, tmp_path: Any
) -> None:
    (tmp_path / "a.txt").write_text("a")
    number = await pending(front.client, example.ERASE, example.Erase(folder=str(tmp_path)))
    call = Call(actor=Actor(actor, "x"))
    answers: tuple[tuple[Operation[Any, Any], Wire], ...] = (
        (approvals.APPROVE, approvals.Approve(id=number)),
        (approvals.DENY, approvals.Deny(id=number)),
        (approvals.KEEP, approvals.Keep(id=number, keep=("a.txt",))),
    )
    for operation, request in answers:
        with pytest.raises(Forbidden):
            await front.client.call(operation, request, call)
    assert (tmp_path / "a.txt").exists()


async def test_a_call_of_another_machine_is_not_answered_here(front: Front) -> None:
    with pytest.raises(Unavailable, match="elsewhere is not attached"):
        await front.client.call(example.ECHO, example.Echo(), Call(machine="elsewhere"))
    here = Call(machine=front.engine.machine)
    assert isinstance(await front.client.call(example.ECHO, example.Echo(), here), Done)


async def test_a_deadline_ends_the_call_and_its_handler(front: Front) -> None:
    with pytest.raises(DeadlineExceeded, match=r"example\.hold did not end in time"):
        await front.client.call(example.HOLD, Empty(), Call().within(0.05))
    assert front.room.facts == ["held", "cancelled"]


async def test_an_operation_has_a_time_limit_of_its_own(front: Front) -> None:
    assert isinstance(await raised(front, example.BRIEF, Empty()), DeadlineExceeded)
    assert front.room.facts == ["held", "cancelled"]


async def test_a_deadline_in_the_past_is_exceeded(front: Front) -> None:
    call = replace(Call(), deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineExceeded):
        await front.client.call(example.HOLD, Empty(), call)


async def test_more_calls_at_once_than_allowed_are_busy_until_one_ends(front: Front) -> None:
    held = [asyncio.create_task(done(front.client, example.HOLD, Empty())) for _ in range(2)]
    await until(lambda: front.room.facts.count("held") == 2)
    error = await raised(front, example.HOLD, Empty())
    assert isinstance(error, Busy)
    assert error.retryable
    front.room.release.set()
    await asyncio.gather(*held)
    await done(front.client, example.HOLD, Empty())


async def test_more_calls_a_minute_than_allowed_are_busy(front: Front) -> None:
    for _ in range(3):
        await done(front.client, example.OFTEN, Empty())
    error = await raised(front, example.OFTEN, Empty())
    assert isinstance(error, Busy)
    assert "3 calls a minute" in error.message


@pytest.mark.parametrize(
    "how", ["busy", "failed", "not_found", "prompt_too_long", "refused", "unavailable"]
)
async def test_an_error_arrives_as_it_was_raised(front: Front, how: str) -> None:
    error = await raised(front, example.FAIL, example.Fail(how=how))  # type: ignore[arg-type]
    assert error.code == how
    assert (error.message, error.hint) == (f"It is {how}.", "Try something else.")


async def test_a_defect_is_internal_with_a_reference(front: Front) -> None:
    call = Call()
    with pytest.raises(Internal, match="nobody foresaw this") as caught:
        await front.client.call(example.FAIL, example.Fail(how="internal"), call)
    assert call.id in caught.value.hint


async def test_a_cancelled_call_cancels_its_handler(front: Front) -> None:
    calling = asyncio.create_task(front.client.call(example.HOLD, Empty()))
    await until(lambda: "held" in front.room.facts)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await until(lambda: "cancelled" in front.room.facts)
    await done(front.client, example.ECHO, example.Echo())


async def test_a_call_cancelled_at_once_leaves_nothing_behind(front: Front) -> None:
    for _ in range(80):  # More than one connection may have in flight.
        calling = asyncio.create_task(front.client.call(example.HOLD, Empty()))
        await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
    await until(lambda: front.room.facts.count("held") == front.room.facts.count("cancelled"))
    await done(front.client, example.ECHO, example.Echo())


async def test_a_stream_is_not_called_and_a_call_is_not_opened(front: Front) -> None:
    assert isinstance(await raised(front, example.COUNT, example.Count(upto=1)), Invalid)
    with pytest.raises(Invalid):
        async with front.client.stream(example.ECHO, example.Echo()):
            pass


async def test_a_closed_client_says_so_and_may_be_closed_twice(front: Front) -> None:
    await front.client.close()
    await front.client.close()
    assert isinstance(await raised(front, example.ECHO, example.Echo()), Disconnected)
    with pytest.raises(Disconnected):
        async with front.client.stream(example.COUNT, example.Count(upto=1)):
            pass
    with pytest.raises(Disconnected):
        async with front.client.events():
            pass
    with pytest.raises(Disconnected):
        await front.client.snapshot([jobs.LIST])


async def test_the_audit_tells_the_same_of_either_client(front: Front) -> None:
    """A write that ends, one that fails, one that is cancelled; content in none of them."""
    await done(front.client, example.NOTE, example.Note(name="shopping", text="secret content"))
    await raised(front, example.FAIL, example.Fail(how="refused"))
    calling = asyncio.create_task(front.client.call(example.HOLD_WRITE, Empty()))
    await until(lambda: "held" in front.room.facts)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)

    async def whole() -> bool:
        page = await done(front.client, audit.SHOW, audit.ShowAudit())
        return len(page.entries) == 6

    await until(whole)
    page = await done(front.client, audit.SHOW, audit.ShowAudit())
    rows = [
        (row.operation, row.phase, row.outcome, row.details, row.actor)
        for row in reversed(page.entries)
    ]
    who = "operator:local"
    assert rows == [
        ("example.note", "intent", "", {"name": "shopping"}, who),
        ("example.note", "outcome", "ok", {}, who),
        ("example.fail", "intent", "", {"how": "refused"}, who),
        ("example.fail", "outcome", "refused", {}, who),
        ("example.hold_write", "intent", "", {}, who),
        ("example.hold_write", "outcome", Cancelled.code, {}, who),
    ]
    assert "secret content" not in page.model_dump_json()
