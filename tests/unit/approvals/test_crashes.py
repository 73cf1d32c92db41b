"""Executions that outlive their approver, an engine that stops, and one that is killed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.contract import approvals
from engine.contract import engine as words
from engine.contract.approvals import ApprovalState
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.client import EngineClient
from engine.contract.errors import AlreadyAnswered, Disconnected, Unavailable
from engine.contract.events import Event
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.desk import approve, asked, log
from tests.fakes.house import attached, done, host, opened, served, show
from tests.fakes.room import acts
from tests.fakes.waiting import until


async def ended(client: EngineClient, number: int) -> ApprovalState:
    async def over() -> bool:
        return (await show(client, number)).state not in approvals.OPEN_STATES

    await until(over)
    return (await show(client, number)).state


# --- the approver leaves --------------------------------------------------------------------------


async def test_an_execution_goes_on_when_its_approver_disconnects(home: Home, folder: Path) -> None:
    (folder.parent / "hold b.mkv").touch()
    async with served(home) as (engine, _server):
        terminal = await SocketClient.connect(home.socket)
        number = await asked(terminal, folder)
        approving = asyncio.create_task(approve(terminal, number))
        await until(lambda: "begin b.mkv" in acts(folder))
        await terminal.close()
        with pytest.raises(Disconnected):
            await approving
        (folder.parent / "hold b.mkv").unlink()
        assert await ended(LocalClient(engine), number) is ApprovalState.DONE
    assert acts(folder)[-1] == "done c.mkv"


@pytest.mark.parametrize("steps", range(0, 600, 25))
async def test_an_approver_that_leaves_at_any_moment_leaves_it_pending_or_run_whole(
    client: LocalClient, folder: Path, steps: int
) -> None:
    """Never approved and forgotten."""
    number = await asked(client, folder)
    approving = asyncio.create_task(approve(client, number))
    for _ in range(steps):
        await asyncio.sleep(0)
    approving.cancel()
    await asyncio.gather(approving, return_exceptions=True)
    state = (await show(client, number)).state
    if state is ApprovalState.PENDING:
        assert acts(folder) == []
        await approve(client, number)
    assert await ended(client, number) is ApprovalState.DONE
    assert len(acts(folder)) == 6


async def test_an_approver_that_leaves_when_the_yes_was_just_committed_has_said_yes(
    client: LocalClient, folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await asked(client, folder)
    approving = asyncio.create_task(approve(client, number))
    writer = engine.ground.state._writer
    assert writer is not None
    publish = writer._publish

    def leave(event: Event) -> None:
        approving.cancel()
        publish(event)

    monkeypatch.setattr(writer, "_publish", leave)
    with pytest.raises(asyncio.CancelledError):
        await approving
    assert await ended(client, number) is ApprovalState.DONE


async def test_the_deadline_of_a_yes_is_not_the_deadline_of_the_act(
    client: LocalClient, folder: Path
) -> None:
    number = await asked(client, folder)
    (folder.parent / "hold a.mkv").touch()
    call = Call().within(0.5)
    approving = asyncio.create_task(
        client.call(approvals.APPROVE, approvals.Approve(id=number), call)
    )
    await until(lambda: acts(folder) == ["begin a.mkv"])
    await asyncio.gather(approving, return_exceptions=True)
    (folder.parent / "hold a.mkv").unlink()
    assert await ended(client, number) is ApprovalState.DONE


# --- the engine stops -----------------------------------------------------------------------------


async def test_an_engine_that_stops_lets_the_item_in_flight_end_and_starts_no_other(
    home: Home, folder: Path
) -> None:
    (folder.parent / "hold b.mkv").touch()
    async with opened(home) as engine:
        client = LocalClient(engine)
        number = await asked(client, folder)
        approving = asyncio.create_task(approve(client, number))
        await until(lambda: "begin b.mkv" in acts(folder))
        stopping = asyncio.create_task(engine.stop())
        await until(lambda: engine.lifecycle._stopping)
        (folder.parent / "hold b.mkv").unlink()
        await asyncio.gather(stopping, approving, return_exceptions=True)
    assert acts(folder) == ["begin a.mkv", "done a.mkv", "begin b.mkv", "done b.mkv"]
    async with opened(home) as engine:
        record = await show(LocalClient(engine), number)
        assert record.state is ApprovalState.INTERRUPTED
        assert record.outcome is not None
        assert (record.outcome.done, record.outcome.total) == (2, 3)
        with pytest.raises(AlreadyAnswered):
            await approve(LocalClient(engine), number)
    assert acts(folder)[4:] == []  # It was recorded in order: there is nothing to settle.


async def test_while_the_engine_stops_nothing_new_is_executed(home: Home, folder: Path) -> None:
    async with opened(home) as engine:
        client = LocalClient(engine)
        number = await asked(client, folder)
        await engine.lifecycle.stop()
        with pytest.raises(Unavailable):
            await approve(client, number)
    assert acts(folder) == []
    async with opened(home) as engine:
        assert (await show(LocalClient(engine), number)).state is ApprovalState.PENDING


# --- the engine is killed -------------------------------------------------------------------------


async def killed_at(home: Home, folder: Path, name: str) -> int:
    """The approval whose execution was killed while ``name`` was in flight."""
    (folder.parent / f"hold {name}").touch()
    with host() as process:
        client = await attached(home)
        number = await asked(client, folder)
        approving = asyncio.create_task(approve(client, number))
        await until(lambda: f"begin {name}" in acts(folder))
        process.send_signal(signal.SIGKILL)
        with pytest.raises(Disconnected):
            await approving
        await client.close()
    (folder.parent / f"hold {name}").unlink()
    return number


async def test_after_kill_9_it_is_settled_once_and_never_goes_on_by_itself(
    home: Home, folder: Path
) -> None:
    number = await killed_at(home, folder, "b.mkv")
    before = ["begin a.mkv", "done a.mkv", "begin b.mkv"]
    assert acts(folder) == before
    for _restart in range(2):
        async with opened(home) as engine:
            client = LocalClient(engine)
            record = await show(client, number)
            assert record.state is ApprovalState.INTERRUPTED
            assert record.answered_by == "operator:local"
            assert record.outcome is not None
            assert (record.outcome.done, record.outcome.total) == (1, 3)
            with pytest.raises(AlreadyAnswered):
                await approve(client, number)
            assert (await log(client, "example.erase"))[-1] == ("outcome", "interrupted")
    assert acts(folder) == [*before, "settle"]
    assert sorted(file.name for file in folder.iterdir() if file.is_file()) == ["b.mkv", "c.mkv"]


async def test_what_an_interrupted_plan_did_can_be_undone_and_the_rest_asked_anew(
    home: Home, folder: Path
) -> None:
    number = await killed_at(home, folder, "c.mkv")
    async with opened(home) as engine:
        client = LocalClient(engine)
        another = await asked(client, folder)
        assert another != number
        await approve(client, another)
        await done(client, example.RESTORE, example.Restore(folder=str(folder)))
        assert (await show(client, number)).undone
    assert sorted(file.name for file in folder.iterdir() if file.is_file()) == [
        "a.mkv",
        "b.mkv",
        "c.mkv",
    ]


async def test_what_waited_before_the_kill_waits_afterwards(home: Home, folder: Path) -> None:
    with host() as process:
        client = await attached(home)
        number = await asked(client, folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        await client.close()
    async with opened(home) as engine:
        record = await show(LocalClient(engine), number)
        assert record.state is ApprovalState.PENDING
        assert (await approve(LocalClient(engine), number)).state is ApprovalState.DONE


async def test_a_room_that_cannot_settle_costs_its_own_plan_alone(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await killed_at(home, folder, "b.mkv")

    async def defect(*_args: object) -> None:
        raise LookupError("nobody foresaw this")

    monkeypatch.setattr(example.EraseActs, "settle", defect)
    async with opened(home) as engine:
        record = await show(LocalClient(engine), number)
        assert record.state is ApprovalState.INTERRUPTED
        assert record.outcome is not None
        assert record.outcome.summary == "interrupted; how far it got is not known"
        assert record.outcome.problems == ("nobody foresaw this",)


async def test_faces_that_come_back_hear_that_it_was_interrupted(home: Home, folder: Path) -> None:
    number = await killed_at(home, folder, "b.mkv")
    async with opened(home) as engine:
        client = LocalClient(engine)
        last = engine.bus.last_seq
        async with asyncio.timeout(10), client.events(after=last) as events:
            await show(client, number)  # The room starts with its first use, and settles.
            async for event in events:
                if isinstance(event, approvals.ApprovalChanged):
                    assert (event.summary.id, event.summary.state) == (number, "interrupted")
                    break


async def test_a_person_is_told_of_an_interrupted_plan(home: Home, folder: Path) -> None:
    number = await killed_at(home, folder, "b.mkv")
    async with opened(home) as engine:
        status = await done(LocalClient(engine), words.STATUS, Empty())
    (line,) = [line for line in status.concerns if line.severity == "needs_you"]
    assert line.link == f"approvals/{number}"
    assert line.text.startswith("interrupted")
