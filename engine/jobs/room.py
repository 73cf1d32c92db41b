"""Runs jobs, keeps their records, tells their progress.

A job's record is durable from its start. A job that was running when the engine died is
``interrupted`` at the next start: nothing starts again by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Any

from engine.contract import jobs
from engine.contract.base import ErrorInfo, Wire, now, visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Busy, Cancelled, Internal, NotFound, Unavailable
from engine.contract.events import Resync
from engine.contract.jobs import ENDED, Job, JobState, Progress
from engine.contract.operation import Operation
from engine.contract.ports import JobControl
from engine.core.audit import AuditLog
from engine.core.gate import Jobs
from engine.ground import Ground
from engine.jobs.speed import Speed
from engine.store import Transaction
from engine.worker.failures import said

_log = logging.getLogger("arcanum.jobs")
_TELL_EVERY_S = 0.2
_MOST_AT_ONCE = 16
_TELLING = (jobs.JobChanged, jobs.JobProgressed)


class RunningJob:
    """A job that runs; what it is handed as ``JobControl``."""

    def __init__(self, job: Job, call: Call, tell: Callable[[Job], None]) -> None:
        self.job = job
        self.call = call
        self._tell = tell
        self._told_at = 0.0
        self._stood = 0.0
        self._speed = Speed()
        self._may_run = asyncio.Event()
        self._may_run.set()
        self.cancelled = False
        self.interrupted = False
        self.task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    @property
    def job_id(self) -> int:
        return self.job.id

    async def checkpoint(self) -> None:
        """Waits while paused. Raises Cancelled once the job was cancelled."""
        if not self._may_run.is_set() and not self.cancelled:
            paused_at = time.monotonic()
            await self._may_run.wait()
            self._stood += time.monotonic() - paused_at  # A pause is no part of the rate.
        if self.cancelled:
            raise Cancelled(f"Job {self.job.id} was cancelled.", "What it had done is kept.")

    def progress(
        self,
        done: int,
        total: int | None,
        unit: str,
        note: str = "",
        *,
        files: tuple[int, int] | None = None,
    ) -> None:
        clock, speed = time.monotonic(), self._speed
        met, all_ = files or (None, None)
        speed.note(clock - self._stood, done, unit, met)
        runs = self._may_run.is_set()
        told = Progress(
            done=done,
            total=total,
            unit=unit,
            rate=speed.rate if runs else None,
            eta_s=speed.left_s(total, all_) if runs else None,
            note=visible(note),
        )
        self.job = self.job.model_copy(update={"progress": told})
        if clock - self._told_at >= _TELL_EVERY_S:
            self._told_at = clock
            self._tell(self.job)

    def pause(self) -> None:
        self._may_run.clear()

    def resume(self) -> None:
        self._may_run.set()

    def cancel(self) -> None:
        self.cancelled = True
        self._may_run.set()


class JobsRoom:
    """Owns the ``job`` table and the tasks of the jobs that run."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state
        self._audit = ground.use(AuditLog)
        self._running: dict[int, RunningJob] = {}
        self._unrecorded: dict[int, Job] = {}
        self._stopping = False

    async def start(self) -> None:
        await self._settle()
        door = self._ground.door
        door.unary(jobs.LIST, self._list)
        door.unary(jobs.SHOW, lambda request, _call: self._load(request.id))
        door.unary(jobs.PAUSE, self._pause)
        door.unary(jobs.RESUME, self._resume)
        door.unary(jobs.CANCEL, self._cancel)
        door.stream(jobs.FOLLOW, self._follow)
        self._ground.provide(Jobs, self)  # type: ignore[type-abstract]
        self._ground.queues["jobs"] = lambda: (len(self._running), _MOST_AT_ONCE)

    async def stop(self) -> None:
        """Ends what runs and waits until each has saved what it had: nobody cancelled it."""
        self._stopping = True
        running = list(self._running.values())
        for job in running:
            job.interrupted = True
            job.cancel()
            if job.task is not None:
                job.task.cancel()
        await asyncio.gather(*(job.ended.wait() for job in running))
        for ended in self._unrecorded.values():
            with suppress(ArcanumError):  # It was logged; the next start says interrupted.
                await self._record(ended)

    async def idle(self) -> None:
        """Waits until no job runs."""
        while self._running:
            await asyncio.gather(*(job.ended.wait() for job in self._running.values()))

    async def _settle(self) -> None:
        async def work(tx: Transaction) -> None:
            rows = await tx.fetch("SELECT * FROM job WHERE ended_at IS NULL")
            for row in rows:
                job = _job(row).model_copy(
                    update={"state": JobState.INTERRUPTED, "ended_at": now()}
                )
                await _save(tx, job)
                await tx.emit(jobs.JobChanged(job=job, machine=self._ground.machine))

        await self._state.write(work)

    # --- running --------------------------------------------------------------------------------

    async def start_job(
        self,
        operation: Operation[Any, Any],
        request: Wire,
        subject: str,
        call: Call,
        handler: Callable[[Any, JobControl], Awaitable[Wire]],
    ) -> int:
        """Records the job, starts it, returns its id. Whoever calls it is not to be cancelled."""
        started = now()
        begun: list[RunningJob] = []

        async def work(tx: Transaction) -> None:
            if self._stopping:
                raise Unavailable("The engine is stopping.", "Start it again.")
            if len(self._running) >= _MOST_AT_ONCE:
                raise Busy(
                    f"{_MOST_AT_ONCE} jobs run already.", "Wait for one to end, or cancel one."
                )
            number = await tx.insert(
                "INSERT INTO job"
                " (operation, subject, request, state, machine, progress, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    operation.name,
                    visible(subject),
                    request.model_dump_json(),
                    JobState.RUNNING,
                    self._ground.machine,
                    Progress().model_dump_json(),
                    started.isoformat(),
                ),
            )
            job = Job(
                id=number,
                operation=operation.name,
                subject=visible(subject),
                state=JobState.RUNNING,
                machine=self._ground.machine,
                started_at=started,
            )
            await tx.emit(jobs.JobChanged(job=job, machine=self._ground.machine))
            # Before the commit: nobody may see a row of a job that seems not to run.
            begun.append(RunningJob(job, call, self._tell))
            self._running[job.id] = begun[0]

        try:
            await self._state.write(work)
        except BaseException:
            for running in begun:
                del self._running[running.job_id]
            raise
        running = begun[0]
        running.task = asyncio.create_task(
            self._run(running, request, handler), name=f"job:{running.job_id}"
        )
        return running.job_id

    def _tell(self, job: Job) -> None:
        self._ground.bus.publish(jobs.JobProgressed(job=job, machine=self._ground.machine))

    async def _run(
        self,
        running: RunningJob,
        request: Wire,
        handler: Callable[[Any, JobControl], Awaitable[Wire]],
    ) -> None:
        state, result, error = JobState.DONE, None, None
        try:
            result = (await handler(request, running)).model_dump(mode="json")
        except (Cancelled, asyncio.CancelledError):
            state = JobState.INTERRUPTED if running.interrupted else JobState.CANCELLED
        except ArcanumError as problem:
            state, error = JobState.FAILED, problem
        except Exception as problem:  # noqa: BLE001 - a defect in a room ends its job, not the engine
            _log.exception("job %d (%s) failed", running.job.id, running.job.operation)
            state, error = JobState.FAILED, Internal(visible(said(problem)), "The log has details.")
        try:
            await self._end(running, state, result, error)
        finally:
            del self._running[running.job.id]
            running.ended.set()

    async def _end(
        self,
        running: RunningJob,
        state: JobState,
        result: dict[str, Any] | None,
        error: ArcanumError | None,
    ) -> None:
        info = None if error is None else ErrorInfo.of(error)
        running.job = running.job.model_copy(
            update={"state": state, "ended_at": now(), "result": result, "error": info}
        )
        self._ground.metrics.jobs.labels(running.job.operation, state).inc()
        try:
            await self._record(running.job)
            await self._audit.outcome(
                running.job.operation, running.call, state, {"job": running.job.id}
            )
        except ArcanumError as problem:  # The disk is full, say: faces still learn how it ended.
            _log.error("job %d ended as %s, not recorded: %s", running.job.id, state, problem)
            self._unrecorded[running.job.id] = running.job
            self._tell(running.job)

    async def _record(self, job: Job) -> None:
        async def work(tx: Transaction) -> None:
            await _save(tx, job)
            await tx.emit(jobs.JobChanged(job=job, machine=self._ground.machine))

        await self._state.write(work)

    # --- operations -----------------------------------------------------------------------------

    async def _list(self, request: jobs.ListJobs, _call: Call) -> jobs.JobList:
        rows = await self._state.read(
            "SELECT * FROM job ORDER BY ended_at IS NOT NULL, id DESC LIMIT ?", (request.limit,)
        )
        return jobs.JobList(jobs=tuple(self._live(_job(row)) for row in rows))

    async def _load(self, number: int) -> Job:
        rows = await self._state.read("SELECT * FROM job WHERE id = ?", (number,))
        if not rows:
            raise NotFound(f"There is no job {number}.", "arcanum jobs list shows them.")
        return self._live(_job(rows[0]))

    def _live(self, job: Job) -> Job:
        running = self._running.get(job.id)
        return running.job if running is not None else self._unrecorded.get(job.id, job)

    def _find(self, number: int) -> RunningJob:
        running = self._running.get(number)
        if running is None or running.job.state in ENDED:
            raise NotFound(f"Job {number} does not run.", "arcanum jobs list shows what does.")
        return running

    async def _pause(self, request: jobs.JobId, _call: Call) -> Job:
        running = self._find(request.id)
        running.pause()
        return await self._set(running, JobState.PAUSED)

    async def _resume(self, request: jobs.JobId, _call: Call) -> Job:
        running = self._find(request.id)
        running.resume()
        return await self._set(running, JobState.RUNNING)

    async def _set(self, running: RunningJob, state: JobState) -> Job:
        if running.job.state not in ENDED:
            # How fast it was says nothing while it stands still.
            still = running.job.progress.model_copy(update={"rate": None, "eta_s": None})
            running.job = running.job.model_copy(update={"state": state, "progress": still})
            await self._record(running.job)
        return running.job

    async def _cancel(self, request: jobs.JobId, _call: Call) -> Job:
        """Asks it to stop at its next checkpoint, and waits until it has."""
        running = self._find(request.id)
        running.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await running.ended.wait()
        if not running.ended.is_set() and running.task is not None:
            running.task.cancel()
            await running.ended.wait()
        return running.job

    @asynccontextmanager
    async def _follow(self, request: jobs.JobId, _call: Call) -> AsyncIterator[AsyncIterator[Job]]:
        with self._ground.bus.subscribe() as events:
            job = await self._load(request.id)

            async def changes() -> AsyncGenerator[Job, None]:
                latest = job
                yield latest
                if latest.state in ENDED:
                    return
                async for event in events:
                    if isinstance(event, Resync):
                        latest = await self._load(job.id)
                    elif isinstance(event, _TELLING) and event.job.id == job.id:
                        latest = event.job
                    else:
                        continue
                    yield latest
                    if latest.state in ENDED:
                        return

            async with aclosing(changes()) as items:
                yield items


def _job(row: Any) -> Job:
    def parsed(name: str) -> Any:
        return None if row[name] is None else json.loads(row[name])

    return Job(
        id=row["id"],
        operation=row["operation"],
        subject=row["subject"],
        state=JobState(row["state"]),
        machine=row["machine"],
        progress=Progress.model_validate_json(row["progress"]),
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=None if row["ended_at"] is None else datetime.fromisoformat(row["ended_at"]),
        result=parsed("result"),
        error=parsed("error"),
    )


async def _save(tx: Transaction, job: Job) -> None:
    await tx.execute(
        "UPDATE job SET state = ?, progress = ?, ended_at = ?, result = ?, error = ? WHERE id = ?",
        (
            job.state,
            job.progress.model_dump_json(),
            None if job.ended_at is None else job.ended_at.isoformat(),
            None if job.result is None else json.dumps(job.result, ensure_ascii=False),
            None if job.error is None else job.error.model_dump_json(),
            job.id,
        ),
    )
