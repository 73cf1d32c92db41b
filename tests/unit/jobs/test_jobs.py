"""Jobs: durable from their start, ended for a reason, and never running in name only."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.clients.local import LocalClient
from engine.contract import audit, jobs
from engine.contract.base import Wire, now
from engine.contract.call import Call
from engine.contract.client import EngineClient
from engine.contract.errors import Busy, NeedsApproval, NotFound, StoreFailed
from engine.contract.events import Event
from engine.contract.jobs import Job, JobState
from engine.contract.ports import JobControl
from engine.core.engine import Engine
from engine.home import Home
from engine.jobs.room import JobsRoom, RunningJob
from tests.fakes import room as example
from tests.fakes.house import attached, done, host, opened, room_of
from tests.fakes.room import ExampleRoom
from tests.fakes.waiting import until


@pytest.fixture
async def engine(home: Home) -> AsyncIterator[Engine]:
    async with opened(home) as found:
        yield found


@pytest.fixture
def client(engine: Engine) -> LocalClient:
    return LocalClient(engine)


@pytest.fixture
async def room(engine: Engine) -> ExampleRoom:
    return await room_of(engine)


async def start(client: EngineClient, name: str = "tub", **more: Any) -> int:
    request = example.Fill.model_validate({"name": name} | more)
    started: jobs.JobStarted = await done(client, example.FILL, request)
    return started.job_id


async def show(client: EngineClient, number: int) -> Job:
    found: Job = await done(client, jobs.SHOW, jobs.JobId(id=number))
    return found


async def ended(client: EngineClient, number: int) -> Job:
    async with (
        asyncio.timeout(10),
        client.stream(jobs.FOLLOW, jobs.JobId(id=number)) as changes,
    ):
        return [job async for job in changes][-1]


async def test_a_job_has_its_own_number_and_is_listed_running_first(
    client: LocalClient, room: ExampleRoom
) -> None:
    first = await start(client, "first", steps=1)
    room.go.release()
    await ended(client, first)
    second, third = await start(client, "second"), await start(client, "third")
    listed: jobs.JobList = await done(client, jobs.LIST, jobs.ListJobs())
    assert [(job.id, job.subject) for job in listed.jobs] == [
        (third, "third"),
        (second, "second"),
        (first, "first"),
    ]
    assert [job.state for job in listed.jobs] == [
        JobState.RUNNING,
        JobState.RUNNING,
        JobState.DONE,
    ]


async def test_progress_tells_how_far_how_fast_and_how_long(
    client: LocalClient, room: ExampleRoom
) -> None:
    number = await start(client, steps=4)
    room.go.release()
    room.go.release()

    async def at_two() -> bool:
        return (await show(client, number)).progress.done == 2

    await until(at_two)
    progress = (await show(client, number)).progress
    assert (progress.total, progress.unit, progress.note) == (4, "steps", "step 2")
    assert progress.rate is not None
    assert progress.eta_s is not None
    assert progress.eta_s == pytest.approx(2 / progress.rate)


def test_what_an_earlier_job_did_is_no_part_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("engine.jobs.room.time.monotonic", lambda: clock)
    job = Job(
        id=1, operation="x", subject="x", state=JobState.RUNNING, machine="m", started_at=now()
    )
    running = RunningJob(job, Call(), lambda _job: None)
    clock = 110.0  # It looked at what is there.
    running.progress(30_000, 40_000, "bytes")
    assert running.job.progress.rate is None
    clock = 112.0
    running.progress(30_100, 40_000, "bytes")
    told = running.job.progress
    assert (told.rate, told.eta_s) == (50, 198)
    running.progress(0, 40_000, "bytes")  # What was there was no good.
    clock = 113.0
    running.progress(40, 40_000, "bytes")
    assert running.job.progress.rate == 40


async def test_a_job_that_is_cancelled_while_it_is_paused_ends(
    client: LocalClient, room: ExampleRoom
) -> None:
    number = await start(client)
    await done(client, jobs.PAUSE, jobs.JobId(id=number))
    room.go.release()
    async with asyncio.timeout(8):
        cancelled = await done(client, jobs.CANCEL, jobs.JobId(id=number))
    assert cancelled.state is JobState.CANCELLED


async def test_what_has_ended_cannot_be_steered(client: LocalClient, room: ExampleRoom) -> None:
    number = await start(client, steps=1)
    room.go.release()
    await ended(client, number)
    for operation in (jobs.PAUSE, jobs.RESUME, jobs.CANCEL):
        with pytest.raises(NotFound, match="does not run"):
            await client.call(operation, jobs.JobId(id=number))
    with pytest.raises(NotFound, match="no job 99"):
        await client.call(jobs.SHOW, jobs.JobId(id=99))


async def test_how_it_ended_is_in_the_audit_under_the_same_call(
    client: LocalClient, room: ExampleRoom
) -> None:
    number = await start(client, steps=1)
    room.go.release()
    await ended(client, number)

    async def both() -> bool:
        page = await done(client, audit.SHOW, audit.ShowAudit())
        return len(page.entries) == 2

    await until(both)
    outcome, intent = (await done(client, audit.SHOW, audit.ShowAudit())).entries
    assert (intent.phase, intent.details) == ("intent", {"name": "tub"})
    assert (outcome.phase, outcome.outcome, outcome.details) == ("outcome", "done", {"job": number})
    assert intent.call == outcome.call


async def test_more_jobs_than_may_run_are_refused(client: LocalClient, room: ExampleRoom) -> None:
    answers = await asyncio.gather(
        *(start(client, f"tub {n}") for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, int) for answer in answers) == 16
    assert sum(isinstance(answer, Busy) for answer in answers) == 4


async def test_a_caller_that_leaves_leaves_no_job_that_runs_in_name_only(
    client: LocalClient, room: ExampleRoom, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves when the record was just committed, and the work not begun."""
    starting = asyncio.create_task(start(client, steps=1))
    writer = engine.ground.state._writer
    assert writer is not None
    publish = writer._publish

    def leave(event: Event) -> None:
        starting.cancel()
        publish(event)

    monkeypatch.setattr(writer, "_publish", leave)
    with pytest.raises(asyncio.CancelledError):
        await starting
    room.go.release()
    (job,) = (await done(client, jobs.LIST, jobs.ListJobs())).jobs
    assert (await ended(client, job.id)).state is JobState.DONE


async def test_an_engine_that_stops_interrupts_what_runs(home: Home) -> None:
    """Nobody cancelled it."""
    async with opened(home) as engine:
        number = await start(LocalClient(engine))
        room = await room_of(engine)
        await until(lambda: "filling tub" in room.facts)
    assert "job cancelled" in room.facts
    async with opened(home) as engine:
        job = await show(LocalClient(engine), number)
    assert job.state is JobState.INTERRUPTED
    assert job.ended_at is not None


async def test_a_job_of_an_engine_that_was_killed_is_interrupted_and_told(home: Home) -> None:
    with host() as process:
        client = await attached(home)
        number = await start(client)
        process.send_signal(signal.SIGKILL)
        process.wait()
        await client.close()
    async with opened(home) as engine:
        local = LocalClient(engine)
        last = engine.bus.last_seq
        async with asyncio.timeout(10), local.events(after=last) as events:
            assert (await show(local, number)).state is JobState.INTERRUPTED
            event = await anext(events)
            while not isinstance(event, jobs.JobChanged):
                event = await anext(events)
        assert (event.job.id, event.job.state) == (number, JobState.INTERRUPTED)
        async with local.stream(jobs.FOLLOW, jobs.JobId(id=number)) as changes:
            assert [job.state async for job in changes] == [JobState.INTERRUPTED]


async def test_a_defect_ends_its_job_and_no_other(
    client: LocalClient, room: ExampleRoom, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async def defect(_request: Wire, _control: JobControl) -> Any:
        raise LookupError("nobody \x1b[31mforesaw this")

    other = await start(client, "other", steps=1)
    engine.gate.job(example.FILL, defect, lambda request: request.name)
    job = await ended(client, await start(client))
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("internal", r"nobody \x1b[31mforesaw this")
    assert "LookupError" in caplog.text
    room.go.release()
    assert (await ended(client, other)).state is JobState.DONE


async def test_a_handler_that_is_no_coroutine_ends_its_job(
    client: LocalClient, room: ExampleRoom, engine: Engine
) -> None:
    def defect(_request: Wire, _control: JobControl) -> Any:
        raise LookupError("before the first await")

    engine.gate.job(example.FILL, defect, lambda request: request.name)
    job = await ended(client, await start(client))
    assert job.state is JobState.FAILED


async def test_an_error_with_more_to_say_ends_its_job_too(
    client: LocalClient, room: ExampleRoom, engine: Engine
) -> None:
    async def asks(_request: Wire, _control: JobControl) -> Any:
        raise NeedsApproval("A person must answer.", "Look at #7.", 7)

    engine.gate.job(example.FILL, asks, lambda request: request.name)
    job = await ended(client, await start(client))
    assert job.error is not None
    assert (job.error.code, job.error.hint) == ("needs_approval", "Look at #7.")


async def test_an_end_that_could_not_be_recorded_is_told_and_recorded_when_it_can(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: Any) -> None:
        raise StoreFailed("The disk is full.", "Free some space.")

    async with opened(home) as engine:
        client, room = LocalClient(engine), await room_of(engine)
        number = await start(client, steps=1)
        with monkeypatch.context() as disk:
            disk.setattr(JobsRoom, "_record", full)
            room.go.release()
            assert (await ended(client, number)).state is JobState.DONE
            assert (await show(client, number)).state is JobState.DONE
            with pytest.raises(NotFound):
                await client.call(jobs.PAUSE, jobs.JobId(id=number))
    async with opened(home) as engine:
        assert (await show(LocalClient(engine), number)).state is JobState.DONE


async def test_two_who_follow_see_the_same_end(client: LocalClient, room: ExampleRoom) -> None:
    number = await start(client, steps=2)
    following = [asyncio.create_task(ended(client, number)) for _ in range(2)]
    await asyncio.sleep(0)
    room.go.release()
    room.go.release()
    first, second = await asyncio.gather(*following)
    assert first == second
    assert first.state is JobState.DONE


async def test_a_job_that_stands_still_tells_neither_rate_nor_time_left(
    client: LocalClient, room: ExampleRoom
) -> None:
    number = await start(client, steps=4)
    for _ in range(2):
        room.go.release()

    async def fast() -> bool:
        return (await show(client, number)).progress.rate is not None

    await until(fast)
    paused = await done(client, jobs.PAUSE, jobs.JobId(id=number))
    room.go.release()  # What is in hand is still told.
    assert (paused.state, paused.progress.rate, paused.progress.eta_s) == ("paused", None, None)
    for job in (await done(client, jobs.LIST, jobs.ListJobs())).jobs:
        assert (job.progress.rate, job.progress.eta_s) == (None, None)
    await done(client, jobs.RESUME, jobs.JobId(id=number))
    for _ in range(2):
        room.go.release()
    await ended(client, number)
