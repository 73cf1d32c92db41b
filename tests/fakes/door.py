"""A door without a gate: records what a room binds, and lets a test call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from engine.contract.base import Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.errors import Cancelled
from engine.contract.jobs import JobStarted
from engine.contract.operation import Kind, Operation, Risk
from engine.contract.ports import HighRisk

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)


@dataclass
class JobDouble:
    """A job that a test pauses and cancels. ``told`` keeps every progress."""

    job_id: int = 1
    call: Call = field(default_factory=Call)
    told: list[tuple[int, int | None, str, str]] = field(default_factory=list)
    cancelled: bool = False
    waits: int = 0

    def __post_init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()

    async def checkpoint(self) -> None:
        if not self._free.is_set():
            self.waits += 1
            await self._free.wait()
        if self.cancelled:
            raise Cancelled(f"Job {self.job_id} was cancelled.")

    def progress(
        self,
        done: int,
        total: int | None,
        unit: str,
        note: str = "",
        *,
        files: tuple[int, int] | None = None,
    ) -> None:
        assert done >= 0
        assert files is None or 0 <= files[0] <= files[1]
        assert total is None or done <= total
        self.told.append((done, total, unit, note))

    def pause(self) -> None:
        self._free.clear()

    def resume(self) -> None:
        self._free.set()

    def cancel(self) -> None:
        self.cancelled = True
        self._free.set()


class DoorDouble:
    """Strict: an operation is bound once, by its own kind, and asked with its own request."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}
        self.subjects: dict[str, Callable[[Any], str]] = {}
        self.risks: dict[str, Callable[[Any, Call], Risk]] = {}
        self.acts: dict[str, HighRisk[Any]] = {}

    def _bind(self, operation: Operation[Any, Any], kind: Kind, handler: Any) -> None:
        assert operation.kind is kind, f"{operation.name} is {operation.kind}"
        assert operation.name not in self.handlers, f"{operation.name} is bound twice"
        self.handlers[operation.name] = handler

    async def ensure(self, room: str) -> None:
        """What a room needs of another, the test itself provides."""

    def unary(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], Awaitable[Res]],
        *,
        risk: Callable[[Req, Call], Risk] | None = None,
        high: HighRisk[Req] | None = None,
    ) -> None:
        narrowed = risk is not None and high is not None
        assert operation.risk is not Risk.HIGH or narrowed, f"{operation.name} is high risk"
        self._bind(operation, Kind.UNARY, handler)

    def stream(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], AbstractAsyncContextManager[AsyncIterator[Any]]],
        *,
        risk: Callable[[Req, Call], Risk] | None = None,
        high: HighRisk[Req] | None = None,
    ) -> None:
        self._bind(operation, Kind.STREAM, handler)
        if risk is not None:
            self.risks[operation.name] = risk
        if high is not None:
            self.acts[operation.name] = high

    def job(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Any], Awaitable[Res]],
        subject: Callable[[Req], str],
    ) -> None:
        self._bind(operation, Kind.JOB, handler)
        self.subjects[operation.name] = subject

    def high(self, operation: Operation[Req, Res], acts: HighRisk[Req]) -> None:
        assert operation.risk is Risk.HIGH, f"{operation.name} is not high risk"
        self._bind(operation, operation.kind, acts)
        self.acts[operation.name] = acts

    # --- for the test ---------------------------------------------------------------------------

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> Res:
        """Calls a unary operation."""
        assert isinstance(request, operation.request)
        result = await self.handlers[operation.name](request, call or Call())
        assert isinstance(result, operation.result)
        return result

    async def run(
        self, operation: Operation[Req, Res], request: Req, control: JobDouble | None = None
    ) -> Res:
        """Runs a job to its end."""
        assert isinstance(request, operation.request)
        result = await self.handlers[operation.name](request, control or JobDouble())
        assert isinstance(result, operation.result)
        return result

    def open(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        """Opens a stream."""
        assert isinstance(request, operation.request)
        opened: AbstractAsyncContextManager[AsyncIterator[Any]] = self.handlers[operation.name](
            request, call or Call()
        )
        return opened


class JobsDouble:
    """The port ``Operations`` for a room that starts jobs by itself: each goes on beside it."""

    def __init__(self, door: DoorDouble) -> None:
        self._door = door
        self.started: list[JobDouble] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.pausing = False
        """Whether jobs begin paused."""

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call
    ) -> Done[Res] | Pending:
        job = JobDouble(100 + len(self.started), call)
        if self.pausing:
            job.pause()
        self.started.append(job)
        self.tasks.append(asyncio.create_task(self._door.run(operation, request, job)))
        return cast("Done[Res]", Done(JobStarted(job_id=job.job_id)))

    async def idle(self) -> None:
        """Returns when all have ended."""
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def stop(self) -> None:
        """As the jobs room does before others are stopped: each is broken off."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
