"""Streams and jobs: the same through either client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.contract import approvals, jobs
from engine.contract.call import Call
from engine.contract.client import EngineClient
from engine.contract.errors import (
    DeadlineExceeded,
    Failed,
    NeedsApproval,
    NotFound,
    Refused,
)
from engine.contract.jobs import JobStarted, JobState
from engine.core.gate import Jobs
from engine.home import Home
from tests.fakes import room as example
from tests.fakes.front import Front, raised
from tests.fakes.house import done
from tests.fakes.waiting import until


async def test_a_stream_gives_its_items_in_order_and_ends(front: Front) -> None:
    async with front.client.stream(example.COUNT, example.Count(upto=1000)) as items:
        found = [item.n async for item in items]
    assert found == list(range(1000))
    assert front.room.facts[-1] == "closed"


async def test_leaving_a_stream_cancels_its_handler(front: Front) -> None:
    request = example.Count(upto=10, holds_at=3)
    async with front.client.stream(example.COUNT, request) as items:
        async for item in items:
            if item.n == 2:
                break
        await until(lambda: "holding" in front.room.facts or "counted 2" in front.room.facts)
    await until(lambda: "closed" in front.room.facts)
    assert "counted 4" not in front.room.facts


async def test_a_task_that_is_cancelled_in_a_stream_cancels_its_handler(front: Front) -> None:
    async def read() -> None:
        request = example.Count(upto=10, holds_at=0)
        async with front.client.stream(example.COUNT, request) as items:
            async for _item in items:
                raise AssertionError("it holds before the first")

    reading = asyncio.create_task(read())
    await until(lambda: "holding" in front.room.facts)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await until(lambda: "closed" in front.room.facts)


async def test_a_refusal_is_raised_on_entering(front: Front) -> None:
    with pytest.raises(Refused, match="It will not be counted"):
        async with front.client.stream(example.COUNT, example.Count(upto=1, refused=True)):
            raise AssertionError("the stream was opened")


async def test_a_stream_that_fails_in_the_middle_gives_what_it_had(front: Front) -> None:
    found: list[int] = []
    with pytest.raises(Failed, match="beyond 3"):
        async with front.client.stream(example.COUNT, example.Count(upto=9, fails_at=3)) as items:
            await read_into(found, items)
    assert found == [0, 1, 2]


async def read_into(found: list[int], items: AsyncIterator[Any]) -> None:
    async for item in items:
        found.append(item.n)  # noqa: PERF401 - what came before it failed counts


async def test_a_stream_that_needs_approval_says_which_and_sends_nothing(front: Front) -> None:
    with pytest.raises(NeedsApproval) as caught:
        async with front.client.stream(example.SEND, example.Send(away=True)):
            raise AssertionError("the stream was opened")
    assert "sent" not in front.room.facts
    number = caught.value.approval_id
    shown = await done(front.client, approvals.SHOW, approvals.ApprovalId(id=number))
    assert shown.operation == "example.send"
    async with front.client.stream(example.SEND, example.Send(away=False)) as items:
        assert [item.n async for item in items] == [1]


async def test_a_streams_deadline_holds_after_it_was_opened(front: Front) -> None:
    with pytest.raises(DeadlineExceeded):
        async with front.client.stream(
            example.COUNT, example.Count(upto=2, holds_at=1), Call().within(0.2)
        ) as items:
            async for _item in items:
                pass
    assert "closed" in front.room.facts


async def test_what_a_face_raises_in_a_stream_is_its_own(front: Front) -> None:
    with pytest.raises(KeyError, match="a widget"):
        async with front.client.stream(example.COUNT, example.Count(upto=3)) as items:
            async for _item in items:
                raise KeyError("a widget")
    await until(lambda: "closed" in front.room.facts)


async def test_a_slow_reader_of_one_stream_does_not_hold_another_call(front: Front) -> None:
    """A face calls while it reads a stream, as it does when it folds events."""
    request = example.Count(upto=5000)
    async with asyncio.timeout(30), front.client.stream(example.COUNT, request) as items:
        async for item in items:
            if item.n % 1000 == 0:
                await done(front.client, example.ECHO, example.Echo())
    assert item.n == 4999


async def started(front: Front, request: example.Fill) -> int:
    answer: JobStarted = await done(front.client, example.FILL, request)
    return answer.job_id


async def test_a_job_is_followed_to_its_end(front: Front) -> None:
    number = await started(front, example.Fill(name="tub", steps=3))
    states: list[JobState] = []
    follow = front.client.stream(jobs.FOLLOW, jobs.JobId(id=number))
    async with asyncio.timeout(10), follow as changes:
        async for job in changes:
            if not states:
                for _ in range(3):
                    front.room.go.release()
            states.append(job.state)
    assert states[0] is JobState.RUNNING
    assert states[-1] is JobState.DONE
    assert job.result == {"steps": 3}
    assert job.subject == "tub"
    assert (await done(front.client, jobs.SHOW, jobs.JobId(id=number))).state is JobState.DONE


async def test_a_job_outlives_the_client_that_started_it(
    front: Front, kind: str, home: Home
) -> None:
    number = await started(front, example.Fill(name="tub", steps=2))
    await front.client.close()
    front.room.go.release()
    front.room.go.release()
    again: EngineClient = (
        LocalClient(front.engine) if kind == "local" else await SocketClient.connect(home.socket)
    )
    follow = again.stream(jobs.FOLLOW, jobs.JobId(id=number))
    async with asyncio.timeout(10), follow as changes:
        seen = [job.state async for job in changes]
    assert seen[-1] is JobState.DONE
    await again.close()


async def test_a_job_is_paused_and_resumed(front: Front) -> None:
    number = await started(front, example.Fill(name="tub", steps=3))
    await until(lambda: "filling tub" in front.room.facts)
    paused = await done(front.client, jobs.PAUSE, jobs.JobId(id=number))
    assert paused.state is JobState.PAUSED
    for _ in range(3):
        front.room.go.release()
    await until(lambda: front.room.go._value == 2)  # The step in flight ends, no other starts.
    assert (await done(front.client, jobs.SHOW, jobs.JobId(id=number))).state is JobState.PAUSED
    await done(front.client, jobs.RESUME, jobs.JobId(id=number))
    follow = front.client.stream(jobs.FOLLOW, jobs.JobId(id=number))
    async with asyncio.timeout(10), follow as changes:
        assert [job.state async for job in changes][-1] is JobState.DONE


async def test_a_job_is_cancelled(front: Front) -> None:
    number = await started(front, example.Fill(name="tub", steps=3))
    cancelling = asyncio.create_task(done(front.client, jobs.CANCEL, jobs.JobId(id=number)))
    running = front.engine.ground.use(Jobs)._running[number]  # type: ignore[type-abstract, attr-defined]
    await until(lambda: running.cancelled)
    front.room.go.release()  # It notices at its next checkpoint.
    async with asyncio.timeout(8):
        assert (await cancelling).state is JobState.CANCELLED
    error = await raised(front, jobs.CANCEL, jobs.JobId(id=number))
    assert isinstance(error, NotFound)


async def test_a_job_that_fails_says_why(front: Front) -> None:
    number = await started(front, example.Fill(name="tub", steps=3, fails=True))
    front.room.go.release()
    follow = front.client.stream(jobs.FOLLOW, jobs.JobId(id=number))
    async with asyncio.timeout(10), follow as changes:
        last = [job async for job in changes][-1]
    assert last.state is JobState.FAILED
    assert last.error is not None
    assert (last.error.code, last.error.hint) == ("failed", "Take a larger one.")
