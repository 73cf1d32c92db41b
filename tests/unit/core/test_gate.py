"""The one gate: its steps in their order, its audit, its metrics, the names of its errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.contract import approvals
from engine.contract.base import Empty, Wire
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.client import Done, Pending
from engine.contract.errors import (
    Busy,
    DeadlineExceeded,
    Forbidden,
    Internal,
    Invalid,
    Refused,
    StoreFailed,
    Unavailable,
)
from engine.contract.operation import Operation, Risk
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.house import opened, room_of
from tests.fakes.room import ExampleRoom
from tests.fakes.waiting import until

MODEL = Call(actor=Actor(ActorKind.MODEL, "agent-0"))


@pytest.fixture
async def engine(home: Home) -> AsyncIterator[Engine]:
    async with opened(home) as found:
        yield found


@pytest.fixture
async def room(engine: Engine) -> ExampleRoom:
    return await room_of(engine)


async def audited(engine: Engine) -> list[tuple[str, str, str]]:
    rows = await engine.ground.state.read(
        "SELECT operation, phase, outcome FROM audit ORDER BY seq"
    )
    return [tuple(row) for row in rows]


def calls(engine: Engine, operation: str, outcome: str) -> float:
    labels = {"operation": operation, "outcome": outcome}
    found = engine.ground.metrics.registry.get_sample_value("arcanum_calls_total", labels)
    return found or 0.0


async def bind(engine: Engine, handler: Any) -> None:
    """Gives the operation that nobody serves a handler for this test."""
    await room_of(engine)
    engine.gate.unary(example.UNBOUND, handler)


# --- the order of the steps -----------------------------------------------------------------------


async def test_size_is_bounded_before_anything_else_is_looked_at(engine: Engine) -> None:
    large = approvals.Deny.model_construct(id=0, reason="x" * 70_000)
    with pytest.raises(Invalid, match="bytes long"):  # Not valid, and not the model's to say.
        await engine.gate.call(approvals.DENY, large, MODEL)
    with pytest.raises(Forbidden):
        await engine.gate.call(approvals.DENY, approvals.Deny.model_construct(id=0), MODEL)


async def test_who_may_not_is_refused_before_a_limit_counts_it(
    engine: Engine, room: ExampleRoom
) -> None:
    held = [asyncio.create_task(engine.gate.call(example.HOLD, Empty(), Call())) for _ in range(2)]
    await until(lambda: room.facts.count("held") == 2)
    with pytest.raises(Busy):
        await engine.gate.call(example.HOLD, Empty(), Call())
    for _ in range(5):
        with pytest.raises(Forbidden):
            await engine.gate.call(example.MINE, Empty(), MODEL)
    room.release.set()
    await asyncio.gather(*held)


async def test_a_limit_counts_before_the_request_is_validated(engine: Engine) -> None:
    for _ in range(3):
        await engine.gate.call(example.OFTEN, Empty(), Call())
    with pytest.raises(Busy):
        await engine.gate.call(example.OFTEN, Empty(), Call())


async def test_a_limit_is_given_back_however_the_call_ends(
    engine: Engine, room: ExampleRoom
) -> None:
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            await engine.gate.call(example.HOLD, Empty(), Call().within(0.01))
        calling = asyncio.create_task(engine.gate.call(example.HOLD, Empty(), Call()))
        held = room.facts.count("held")
        await until(lambda held=held: room.facts.count("held") > held)  # type: ignore[misc]
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    room.release.set()
    assert isinstance(await engine.gate.call(example.HOLD, Empty(), Call()), Done)
    assert engine.ground.metrics.registry.get_sample_value("arcanum_calls_in_flight") == 0


async def test_a_request_of_another_kind_is_invalid(engine: Engine) -> None:
    with pytest.raises(Invalid, match="takes a Echo, not a Note"):
        await engine.gate.call(example.ECHO, example.Note(name="x"), Call())  # type: ignore[misc]


async def test_an_invalid_request_reaches_no_handler_and_no_audit(
    engine: Engine, room: ExampleRoom
) -> None:
    with pytest.raises(Invalid, match="name"):
        await engine.gate.call(example.NOTE, example.Note.model_construct(name=""), Call())
    assert room.facts == []
    assert await audited(engine) == []


# --- risk -----------------------------------------------------------------------------------------


async def test_a_high_request_leaves_a_plan_and_runs_nothing(
    engine: Engine, room: ExampleRoom, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    request = example.Erase(folder=str(tmp_path))
    answer = await engine.gate.call(example.ERASE, request, Call())
    assert isinstance(answer, Pending)
    assert (tmp_path / "a.txt").exists()
    assert example.acts(tmp_path) == []
    assert await audited(engine) == [
        ("example.erase", "intent", ""),
        ("example.erase", "outcome", "ok"),
    ]
    again = await engine.gate.call(example.ERASE, request, Call())
    assert again == answer  # The same plan that waits already is not asked twice.
    (tmp_path / "b.txt").write_text("b")
    assert await engine.gate.call(example.ERASE, request, Call()) != answer


async def test_a_request_is_never_riskier_than_its_operation(
    engine: Engine, room: ExampleRoom
) -> None:
    with pytest.raises(Internal, match="more risk than it declares"):
        async with engine.gate.stream_of(example.OVERCLAIM, Empty(), Call()):
            pass
    assert room.facts == []


async def test_what_is_narrowed_to_a_read_is_not_audited(engine: Engine) -> None:
    request = example.Send(away=False)
    async with engine.gate.stream_of(example.SEND, request, Call()) as items:
        assert [item.n async for item in items] == [1]
    assert await audited(engine) == []


class _Nothing:
    plan = check = execute = settle = None


@pytest.mark.parametrize(
    "bind",
    [
        lambda gate: gate.unary(example.COUNT, None),
        lambda gate: gate.stream(example.ECHO, None),
        lambda gate: gate.job(example.ECHO, None, None),
        lambda gate: gate.unary(example.ERASE, None),
        lambda gate: gate.stream(example.SEND, None),
        lambda gate: gate.stream(example.SEND, None, risk=lambda *_: None),
        lambda gate: gate.high(example.COUNT, _Nothing()),
    ],
)
async def test_what_was_declared_otherwise_cannot_be_bound(engine: Engine, bind: Any) -> None:
    with pytest.raises(TypeError):
        bind(engine.gate)


# --- audit ----------------------------------------------------------------------------------------


async def test_the_intent_is_in_the_log_before_the_handler_runs(
    engine: Engine, room: ExampleRoom
) -> None:
    calling = asyncio.create_task(engine.gate.call(example.HOLD_WRITE, Empty(), Call()))
    await until(lambda: "held" in room.facts)
    assert await audited(engine) == [("example.hold_write", "intent", "")]
    room.release.set()
    await calling
    assert (await audited(engine))[1:] == [("example.hold_write", "outcome", "ok")]


async def test_where_the_intent_cannot_be_written_nothing_runs(
    engine: Engine, room: ExampleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: Any) -> None:
        raise StoreFailed("The disk is full.", "Free some space.")

    monkeypatch.setattr(engine.gate._audit, "intent", full)
    with pytest.raises(StoreFailed):
        await engine.gate.call(example.NOTE, example.Note(name="x"), Call())
    assert room.facts == []


async def test_where_the_intent_cannot_be_written_a_stream_hands_nothing_out(
    engine: Engine, room: ExampleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: Any) -> None:
        await asyncio.sleep(0)
        raise StoreFailed("The disk is full.", "Free some space.")

    monkeypatch.setattr(engine.gate._audit, "intent", full)
    monkeypatch.setattr(engine.gate._bindings[example.SEND.name], "risk", lambda *_: Risk.WRITE)
    request = example.Send(away=False)
    for reads in (True, False):
        with pytest.raises(StoreFailed):
            async with engine.gate.stream_of(example.SEND, request, Call()) as items:
                if reads:
                    pytest.fail(f"it handed out {await anext(items)}")


async def test_who_leaves_while_the_intent_is_written_has_an_outcome_too(
    engine: Engine, room: ExampleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intent alone means that the engine died over it."""
    monkeypatch.setattr(engine.gate._bindings[example.SEND.name], "risk", lambda *_: Risk.WRITE)

    async def note() -> None:
        await engine.gate.call(example.NOTE, example.Note(name="x"), Call())

    async def stream() -> None:
        async with engine.gate.stream_of(example.SEND, example.Send(away=False), Call()) as items:
            async for _item in items:
                pass

    for ask in (note, stream):
        before = len(await audited(engine))
        held, free = asyncio.Event(), asyncio.Event()

        async def hold(_tx: object, held: asyncio.Event = held, free: asyncio.Event = free) -> None:
            held.set()
            await free.wait()

        holding = asyncio.create_task(engine.ground.state.write(hold))
        await held.wait()
        leaving = asyncio.create_task(ask())
        await until(lambda: engine.ground.state.depth > 0)
        leaving.cancel()
        await asyncio.sleep(0)
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await holding
        log = (await audited(engine))[before:]
        assert [entry[1:] for entry in log] == [("intent", ""), ("outcome", "cancelled")]
    assert "note x" not in room.facts


@pytest.mark.parametrize(
    ("how", "outcome"), [("refused", "refused"), ("busy", "busy"), ("internal", "internal")]
)
async def test_the_outcome_of_a_failure_is_in_the_log(
    engine: Engine, how: Any, outcome: str
) -> None:
    with pytest.raises((Refused, Internal)):
        await engine.gate.call(example.FAIL, example.Fail(how=how), Call())
    assert (await audited(engine))[-1] == ("example.fail", "outcome", outcome)


async def test_the_outcome_of_a_deadline_and_of_a_cancellation_is_in_the_log(
    engine: Engine, room: ExampleRoom
) -> None:
    with pytest.raises(DeadlineExceeded):
        await engine.gate.call(example.HOLD_WRITE, Empty(), Call().within(0.2))
    assert (await audited(engine))[-1] == ("example.hold_write", "outcome", "cancelled")


async def test_an_outcome_that_cannot_be_written_hides_no_error_and_no_cancellation(
    engine: Engine,
    room: ExampleRoom,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def full(*_args: Any) -> None:
        raise StoreFailed("The disk is full.", "Free some space.")

    monkeypatch.setattr(engine.gate._audit, "outcome", full)
    with pytest.raises(Refused, match="It is refused"):
        await engine.gate.call(example.FAIL, example.Fail(how="refused"), Call())
    assert "not in the audit log: The disk is full." in caplog.text
    calling = asyncio.create_task(engine.gate.call(example.HOLD_WRITE, Empty(), Call()))
    await until(lambda: "held" in room.facts)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    with pytest.raises(StoreFailed):  # Done, but nobody can prove it: it is no success.
        await engine.gate.call(example.NOTE, example.Note(name="x"), Call())


async def test_a_stream_that_is_left_early_was_cancelled_and_one_read_to_its_end_was_not(
    engine: Engine,
) -> None:
    @asynccontextmanager
    async def handler(_request: Wire, _call: Call) -> AsyncIterator[AsyncIterator[Any]]:
        async def items() -> AsyncIterator[Any]:
            for n in range(3):
                yield n

        yield items()

    operation = declared_stream()
    await room_of(engine)
    engine.gate.stream(operation, handler)
    for leave_after in (1, 99):
        async with engine.gate.stream_of(operation, Empty(), Call()) as items:
            async for item in items:
                if item == leave_after:
                    break
    outcomes = [outcome for _name, phase, outcome in await audited(engine) if phase == "outcome"]
    assert outcomes == ["cancelled", "ok"]


def declared_stream() -> Operation[Any, Any]:
    from engine.contract.operation import Kind, Risk, _declared

    _declared.pop("example.tell", None)
    return Operation(
        "example.tell", "Tell", Empty, Empty, kind=Kind.STREAM, risk=Risk.WRITE, item=int
    )


async def test_a_job_that_is_not_started_has_an_outcome_too(
    engine: Engine, room: ExampleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.room._MOST_AT_ONCE", 0)
    with pytest.raises(Busy):
        await engine.gate.call(example.FILL, example.Fill(name="tub"), Call())
    assert await audited(engine) == [
        ("example.fill", "intent", ""),
        ("example.fill", "outcome", "busy"),
    ]


# --- errors and metrics ---------------------------------------------------------------------------


async def test_a_defect_is_told_with_a_reference_and_logged_whole(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    call = Call()
    with caplog.at_level(logging.ERROR), pytest.raises(Internal, match="nobody foresaw") as caught:
        await engine.gate.call(example.FAIL, example.Fail(how="internal"), call)
    assert call.id in caught.value.hint
    (record,) = [each for each in caplog.records if call.id in each.getMessage()]
    assert record.exc_info is not None
    assert "LookupError" in caplog.text


async def test_a_handlers_own_timeout_is_a_defect_and_no_deadline(engine: Engine) -> None:
    async def handler(_request: Empty, _call: Call) -> Empty:
        raise TimeoutError("a socket of its own")

    await bind(engine, handler)
    with pytest.raises(Internal, match="a socket of its own"):
        await engine.gate.call(example.UNBOUND, Empty(), Call())


async def test_control_characters_of_a_defect_are_made_visible(engine: Engine) -> None:
    async def handler(_request: Empty, _call: Call) -> Empty:
        raise LookupError("\x1b]0;title\x07")

    await bind(engine, handler)
    with pytest.raises(Internal) as caught:
        await engine.gate.call(example.UNBOUND, Empty(), Call())
    assert caught.value.message == r"example.unbound: \x1b]0;title\x07."


async def test_every_call_is_counted_by_how_it_ended(engine: Engine, room: ExampleRoom) -> None:
    await engine.gate.call(example.ECHO, example.Echo(), Call())
    await engine.gate.call(example.ECHO, example.Echo(), Call())
    with pytest.raises(Forbidden):
        await engine.gate.call(example.MINE, Empty(), MODEL)
    with pytest.raises(DeadlineExceeded):
        await engine.gate.call(example.HOLD, Empty(), Call().within(0.01))
    with pytest.raises(Internal):
        await engine.gate.call(example.FAIL, example.Fail(how="internal"), Call())
    calling = asyncio.create_task(engine.gate.call(example.HOLD, Empty(), Call()))
    await until(lambda: room.facts.count("held") == 2)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert calls(engine, "example.echo", "ok") == 2
    assert calls(engine, "example.mine", "forbidden") == 1
    assert calls(engine, "example.hold", "deadline") == 1
    assert calls(engine, "example.fail", "internal") == 1
    assert calls(engine, "example.hold", "cancelled") == 1
    assert 'arcanum_calls_total{operation="example.echo",outcome="ok"} 2.0' in (
        engine.ground.metrics.text()
    )


async def test_the_deadline_holds_while_a_service_starts_and_the_start_goes_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_start = asyncio.Event()
    start = ExampleRoom.start

    async def slow(self: ExampleRoom) -> None:
        await may_start.wait()
        await start(self)

    monkeypatch.setattr(ExampleRoom, "start", slow)
    with pytest.raises(DeadlineExceeded):
        await engine.gate.call(example.ECHO, example.Echo(), Call().within(0.05))
    may_start.set()
    assert isinstance(await engine.gate.call(example.ECHO, example.Echo(), Call()), Done)


async def test_a_room_that_does_not_start_is_named(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="broken does not run: The disk is away"):
        await engine.gate.call(example.BROKEN, Empty(), Call())


async def test_who_calls_on_whose_behalf_is_in_the_log(engine: Engine) -> None:
    parent = Call()
    call = parent.child(Actor(ActorKind.MODEL, "agent-0"))
    await engine.gate.call(example.NOTE, example.Note(name="x"), call)
    rows = await engine.ground.state.read("SELECT * FROM audit ORDER BY seq")
    for row in rows:
        assert row["actor"] == "model:agent-0"
        assert row["on_behalf_of"] == "operator:local"
        assert row["parent"] == parent.id
        assert row["call"] == call.id
        assert row["machine"] == engine.machine


async def test_the_declared_limit_of_an_operation_is_used_where_the_caller_gives_none(
    engine: Engine, room: ExampleRoom
) -> None:
    answer = await engine.gate.call(example.ECHO, example.Echo(), Call())
    assert isinstance(answer, Done)
    assert answer.result.has_deadline
    assert approvals.APPROVE.limits.timeout_s is None
