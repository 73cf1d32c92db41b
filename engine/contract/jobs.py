"""Jobs: long work with an id, which outlives the face that started it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.contract.base import Empty, ErrorInfo, Json, Wire
from engine.contract.events import Event
from engine.contract.operation import Kind, Limits, Operation, Risk


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


ENDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED})


class Progress(Wire):
    """``total`` None: not known yet. ``rate`` is in ``unit`` per second, ``eta_s`` in seconds."""

    done: int = 0
    total: int | None = None
    unit: str = ""
    rate: float | None = None
    eta_s: float | None = None
    note: str = ""


class Job(Wire):
    """``subject`` is what it works on; ``result`` is the operation's result once it is done."""

    id: int
    operation: str
    subject: str
    state: JobState
    machine: str
    progress: Progress = Progress()
    started_at: datetime
    ended_at: datetime | None = None
    result: Json | None = None
    error: ErrorInfo | None = None


class JobStarted(Wire):
    """What ``call`` answers for an operation of kind job."""

    job_id: int


class JobId(Wire):
    id: Annotated[int, Field(ge=1, description="the job's number")]


class ListJobs(Wire):
    limit: Annotated[int, Field(ge=1, le=1000, description="at most so many")] = 50


class JobList(Wire):
    """Running first, then newest first."""

    jobs: tuple[Job, ...]


class JobChanged(Event):
    """Started, paused, resumed or ended."""

    kind: Literal["jobs.changed"] = "jobs.changed"
    job: Job


class JobProgressed(Event):
    durable: ClassVar[bool] = False
    kind: Literal["jobs.progressed"] = "jobs.progressed"
    job: Job

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.job.id}"


LIST = Operation("jobs.list", "Long work, running and past", ListJobs, JobList)
SHOW = Operation("jobs.show", "One job", JobId, Job, positional=("id",))
FOLLOW = Operation(
    "jobs.follow",
    "A job's progress until it ends",
    JobId,
    Empty,
    kind=Kind.STREAM,
    item=Job,
    limits=Limits(timeout_s=None),
    positional=("id",),
)
PAUSE = Operation(
    "jobs.pause", "Pause a job", JobId, Job, risk=Risk.WRITE, audit=("id",), positional=("id",)
)
RESUME = Operation(
    "jobs.resume", "Carry on", JobId, Job, risk=Risk.WRITE, audit=("id",), positional=("id",)
)
CANCEL = Operation(
    "jobs.cancel",
    "Stop a job for good",
    JobId,
    Job,
    risk=Risk.WRITE,
    audit=("id",),
    positional=("id",),
)
