"""Following a job: progress with rate and time left on stderr, its result at the end."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar, cast

from arcanum_tui.cli.command import Invocation, value
from arcanum_tui.state.text import number, percent, size, span
from engine.contract import engine, jobs
from engine.contract.base import Empty, Wire
from engine.contract.client import EngineClient
from engine.contract.errors import EXIT_OK, Cancelled, Failed, Refused, from_wire
from engine.contract.jobs import Job, JobId, JobStarted, JobState, Progress

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser
    from engine.contract.operation import Operation

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)


def add_detach(parser: Parser) -> None:
    parser.add_argument(
        "--detach", action="store_true", help="start it, print its number, and leave it to run"
    )


async def job(run: Invocation) -> int:
    """Starts the job and follows it to its end; Ctrl-C cancels it."""
    async with run.client() as client:
        return await begin(run, client)


async def begin(run: Invocation, client: EngineClient) -> int:
    """As ``job``, over a client that is there already."""
    request = run.request()
    if run.options.detach:
        await _needs_another_process(client)
        # For a job the gate answers this, whatever the operation's own result is.
        return detached(run, value(await client.call(run.operation, request)))
    return run.tell(await job_result(run, client, run.operation, request))


async def join(run: Invocation, client: EngineClient, job_id: int) -> int:
    """Follows a job that somebody else began, and tells its result; Ctrl-C leaves it alone."""
    if run.options.detach:
        return detached(run, JobStarted(job_id=job_id))
    last = await _watch(run, client, job_id)
    return run.tell(run.operation.result.model_validate(ended(last).result))


async def job_result(
    run: Invocation, client: EngineClient, operation: Operation[Req, Res], request: Req
) -> Res:
    """Starts a job and follows it to its end; Ctrl-C cancels it. Raises what stopped it."""
    started: JobStarted = value(await client.call(cast(Any, operation), request))
    try:
        last = await _watch(run, client, started.job_id)
    except asyncio.CancelledError:
        await client.call(jobs.CANCEL, JobId(id=started.job_id))
        run.terminal.clear()
        raise Cancelled(
            f"Job {started.job_id} was cancelled ({run.interrupts.reason}).",
            "What it had done is kept; the next one goes on from there.",
        ) from None
    return operation.result.model_validate(ended(last).result)


async def follow(run: Invocation) -> int:
    """Watches a job that runs already; Ctrl-C leaves it alone."""
    request = run.request()
    async with run.client() as client:
        last = await _watch(run, client, request.id, each=run.terminal.json)
        ended(last)
        if not run.terminal.json and run.command.show:
            run.command.show(last, run.terminal)
    return EXIT_OK


def ended(last: Job) -> Job:
    """The job, if it came to its own end. Raises what stopped it."""
    if last.state is JobState.FAILED and last.error is not None:
        raise from_wire(last.error.model_dump())
    if last.state is JobState.CANCELLED:
        raise Cancelled(f"Job {last.id} ({last.subject}) was cancelled.", "What it did is kept.")
    if last.state is not JobState.DONE:
        raise Failed(
            f"Job {last.id} ({last.subject}) is {last.state}.", "Start it again to carry on."
        )
    return last


async def _watch(run: Invocation, client: EngineClient, job_id: int, *, each: bool = False) -> Job:
    """Shows the job's progress until it ends; ``each`` state is a line of JSON."""
    last: Job | None = None
    async with client.stream(jobs.FOLLOW, JobId(id=job_id)) as states:
        async for last in states:
            if each:
                run.terminal.result(last, line=True)
            else:
                run.terminal.progress(progress_line(last))
    run.terminal.clear()
    if last is None:
        raise Failed(f"Job {job_id} told nothing of itself.", f"arcanum jobs show {job_id}")
    return last


def progress_line(of: Job) -> str:
    """``films  31 %  1,204 of 3,900 files  210 files/s  ETA 18 m``."""
    p = of.progress
    share = f"{percent(p.done, p.total):.0f} %" if p.total else ""
    rate = f"{_amount(p, p.rate)}/s" if p.rate else ""
    eta = f"ETA {span(p.eta_s)}" if p.eta_s is not None else ""
    state = "" if of.state is JobState.RUNNING else of.state
    parts = (of.subject, share, _so_far(p), rate, eta, state, p.note)
    return "  ".join(part for part in parts if part)


def _so_far(progress: Progress) -> str:
    if progress.total is None:
        return _amount(progress, progress.done)
    done = number(progress.done) if progress.unit != "bytes" else size(progress.done)
    return f"{done} of {_amount(progress, progress.total)}"


def _amount(progress: Progress, count: float) -> str:
    if progress.unit == "bytes":
        return size(count)
    return f"{number(round(count))} {progress.unit}".rstrip()


def detached(run: Invocation, started: JobStarted) -> int:
    if run.terminal.json:
        run.terminal.result(started)
    else:
        run.terminal.line(str(started.job_id))
        run.terminal.note(f"To watch it: arcanum jobs follow {started.job_id}")
    return EXIT_OK


async def _needs_another_process(client: EngineClient) -> None:
    """A job lives in the engine's process: it cannot outlive the one that is about to leave."""
    status = value(await client.call(engine.STATUS, Empty()))
    if status.pid == os.getpid():
        raise Refused(
            "No engine runs that could carry on with the job.",
            "Start one (arcanum serve), or leave out --detach.",
        )
