"""The one gate for every operation.

Bound size, authorise, limit, validate, risk of this request (never above the declared one); then
``high``: plan and approval, else: audit intent, run, audit outcome. All of it inside one span.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, cast

from pydantic import ValidationError

from engine.contract.approvals import TakenBack
from engine.contract.base import Json, Wire, visible
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.errors import (
    ArcanumError,
    Busy,
    Forbidden,
    Internal,
    Invalid,
    NeedsApproval,
    NotFound,
    Unavailable,
)
from engine.contract.jobs import JobStarted
from engine.contract.operation import Kind, Operation, Risk, find
from engine.contract.ports import ApprovalDesk, HighRisk, JobControl
from engine.core.audit import AuditLog
from engine.core.span import Record, audited, conclude, defect, in_time, to_the_end
from engine.metrics import Metrics

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)


class Jobs(Protocol):
    """What the gate asks of the jobs service."""

    async def start_job(
        self,
        operation: Operation[Any, Any],
        request: Wire,
        subject: str,
        call: Call,
        handler: Callable[[Any, JobControl], Awaitable[Wire]],
    ) -> int: ...

    async def idle(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class _Binding:
    operation: Operation[Any, Any]
    handler: Callable[..., Any] | None = None
    risk: Callable[[Any, Call], Risk] | None = None
    acts: HighRisk[Any] | None = None
    subject: Callable[[Any], str] | None = None
    running: int = 0
    starts: deque[float] = field(default_factory=deque)


class Gate:
    """Implements the ports ``Door`` and ``HighRiskOperations``.

    ``ensure`` starts the service that owns a room; ``desk`` and ``jobs`` are found when first used,
    because they are services themselves.
    """

    def __init__(
        self,
        machine: str,
        audit: AuditLog,
        metrics: Metrics,
        *,
        ensure: Callable[[str], Awaitable[None]],
        desk: Callable[[], ApprovalDesk],
        jobs: Callable[[], Jobs],
    ) -> None:
        self._machine = machine
        self._audit = audit
        self._metrics = metrics
        self._ensure = ensure
        self._desk = desk
        self._jobs = jobs
        self._bindings: dict[str, _Binding] = {}

    # --- binding --------------------------------------------------------------------------------

    async def ensure(self, room: str) -> None:
        """Starts the service that serves ``room``."""
        await self._ensure(room)

    def _bind(self, kind: Kind, binding: _Binding) -> None:
        name = binding.operation.name
        if binding.operation.kind is not kind:
            raise TypeError(f"{name} is declared as {binding.operation.kind}, bound as {kind}")
        self._bindings[name] = binding

    def unary(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], Awaitable[Res]],
        *,
        risk: Callable[[Req, Call], Risk] | None = None,
        high: HighRisk[Req] | None = None,
    ) -> None:
        if operation.risk is Risk.HIGH and (risk is None or high is None):
            raise TypeError(f"{operation.name} can be high risk: bind its risk and its acts")
        self._bind(Kind.UNARY, _Binding(operation, handler, risk, high))

    def stream(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], AbstractAsyncContextManager[AsyncIterator[Any]]],
        *,
        risk: Callable[[Req, Call], Risk] | None = None,
        high: HighRisk[Req] | None = None,
    ) -> None:
        if operation.risk is Risk.HIGH and (risk is None or high is None):
            raise TypeError(f"{operation.name} can be high risk: bind its risk and its acts")
        self._bind(Kind.STREAM, _Binding(operation, handler, risk, high))

    def job(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, JobControl], Awaitable[Res]],
        subject: Callable[[Req], str],
    ) -> None:
        if operation.risk is Risk.HIGH:
            raise TypeError(f"{operation.name} is high risk: a job has no plan to approve")
        self._bind(Kind.JOB, _Binding(operation, handler, subject=subject))

    def high(self, operation: Operation[Req, Res], acts: HighRisk[Req]) -> None:
        self._bind(Kind.UNARY, _Binding(operation, acts=acts))

    # --- calling --------------------------------------------------------------------------------

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call
    ) -> Done[Res] | Pending:
        """One unary call, or the start of a job. Raises ArcanumError and nothing else."""
        if operation.kind is Kind.STREAM:
            raise Invalid(f"{operation.name} is a stream.", "Open it instead.")
        async with self._span(operation, request, call) as (binding, asked, admitted):
            risk = self._risk(binding, asked, admitted)
            if risk is Risk.HIGH:
                return Pending(await self._propose(binding, asked, admitted))
            if operation.kind is Kind.JOB:
                # A caller that leaves now finds the job in the list: it was started or refused.
                started = await asyncio.shield(self._start_job(binding, asked, admitted))
                return cast("Done[Res]", Done(started))
            return Done(await self._run(binding, asked, admitted, risk))

    @asynccontextmanager
    async def stream_of(
        self, operation: Operation[Req, Res], request: Req, call: Call
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Opens a stream; leaving it cancels it. Raises NeedsApproval where nothing was done."""
        if operation.kind is not Kind.STREAM:
            raise Invalid(f"{operation.name} is not a stream.", "Call it instead.")
        async with self._span(operation, request, call) as (binding, asked, admitted):
            risk = self._risk(binding, asked, admitted)
            if risk is Risk.HIGH:
                approval_id = await self._propose(binding, asked, admitted)
                raise NeedsApproval(
                    f"Approval #{approval_id} waits for your answer; nothing was done.",
                    f"arcanum approvals show {approval_id}",
                    approval_id,
                )
            async with self._audited(binding, asked, admitted, risk) as record:
                assert binding.handler is not None
                async with binding.handler(asked, admitted) as items:
                    yield to_the_end(items, operation, admitted, record)

    async def propose(self, operation: str, request: Json, call: Call) -> int:
        """Makes a plan for the request and leaves it to be answered."""
        declared = find(operation)
        return await self._propose(await self._bound(declared), validate(declared, request), call)

    async def acts(self, operation: str) -> HighRisk[Any]:
        """What the owning room bound to a high-risk operation."""
        binding = await self._bound(find(operation))
        if binding.acts is None:
            raise Internal(f"{operation} has no plan to execute.")
        return binding.acts

    # --- the steps ------------------------------------------------------------------------------

    @asynccontextmanager
    async def _span(
        self, operation: Operation[Req, Any], request: Req, call: Call
    ) -> AsyncIterator[tuple[_Binding, Req, Call]]:
        """Admits the call; times it, counts it and names its errors."""
        started, outcome = time.perf_counter(), "ok"
        self._metrics.in_flight.inc()
        try:
            data = self._bound_size(operation, request)
            self._authorise(operation, call)
            admitted = replace(call.within(operation.limits.timeout_s), machine=self._machine)
            async with in_time(operation, admitted):
                binding = await self._bound(operation)
                self._limit(binding)
                try:
                    # As it came over the wire: a face may have made it without validation.
                    yield binding, validate(operation, data), admitted
                finally:
                    binding.running -= 1
        except ArcanumError as error:
            outcome = error.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except Exception as error:
            outcome = "internal"
            raise defect(operation, call, error) from error
        finally:
            self._metrics.in_flight.dec()
            self._metrics.calls.labels(operation.name, outcome).inc()
            self._metrics.call_seconds.labels(operation.name).observe(time.perf_counter() - started)

    def _authorise(self, operation: Operation[Any, Any], call: Call) -> None:
        if call.actor.kind not in operation.actors:
            raise Forbidden(
                f"{operation.name} may not be called by {call.actor}.",
                f"Allowed: {', '.join(sorted(operation.actors))}.",
            )
        if call.machine not in {None, self._machine}:
            raise Unavailable(
                f"This engine is {self._machine}; {call.machine} is not attached.",
                "Call the engine on that machine.",
            )

    def _bound_size(self, operation: Operation[Any, Any], request: Wire) -> bytes:
        if not isinstance(request, operation.request):
            raise Invalid(
                f"{operation.name} takes a {operation.request.__name__},"
                f" not a {type(request).__name__}."
            )
        data: bytes = request.model_dump_json(warnings="none").encode()
        if len(data) > operation.limits.max_bytes:
            raise Invalid(
                f"{operation.name}: the request is {len(data)} bytes long,"
                f" at most {operation.limits.max_bytes} are taken.",
                "Send less at once.",
            )
        return data

    async def _bound(self, operation: Operation[Any, Any]) -> _Binding:
        await self._ensure(operation.room)
        binding = self._bindings.get(operation.name)
        if binding is None:
            raise NotFound(
                f"No room serves {operation.name}.", "arcanum status names the services."
            )
        return binding

    def _limit(self, binding: _Binding) -> None:
        limits, now = binding.operation.limits, time.monotonic()
        if limits.concurrent is not None and binding.running >= limits.concurrent:
            raise Busy(
                f"{binding.operation.name}: {limits.concurrent} calls run already.",
                "Wait for one to end.",
            )
        if limits.per_minute is not None:
            while binding.starts and now - binding.starts[0] > 60:
                binding.starts.popleft()
            if len(binding.starts) >= limits.per_minute:
                raise Busy(
                    f"{binding.operation.name}: {limits.per_minute} calls a minute are the limit.",
                    "Try again in a minute.",
                )
            binding.starts.append(now)
        binding.running += 1

    def _risk(self, binding: _Binding, request: Wire, call: Call) -> Risk:
        declared = binding.operation.risk
        if binding.risk is None:
            return declared
        risk = binding.risk(request, call)
        if risk.rank > declared.rank:
            raise Internal(f"{binding.operation.name} claims more risk than it declares.")
        return risk

    # --- running --------------------------------------------------------------------------------

    @asynccontextmanager
    async def _audited(
        self, binding: _Binding, request: Wire, call: Call, risk: Risk
    ) -> AsyncIterator[Record]:
        if risk is Risk.READ:
            yield Record()
            return
        details = _details(binding, request)
        async with audited(self._audit, binding.operation, call, details) as record:
            yield record

    async def _run(self, binding: _Binding, request: Wire, call: Call, risk: Risk) -> Any:
        assert binding.handler is not None
        async with self._audited(binding, request, call, risk):
            result = await binding.handler(request, call)
        if isinstance(result, TakenBack) and result.complete:
            await asyncio.shield(self._taken_back(binding.operation, request))
        return result

    async def _taken_back(self, operation: Operation[Any, Any], request: Wire) -> None:
        await self._ensure("approvals")
        await self._desk().taken_back(operation.name, request.model_dump(mode="json"))

    async def _start_job(self, binding: _Binding, request: Wire, call: Call) -> JobStarted:
        assert binding.handler is not None
        assert binding.subject is not None
        await self._ensure("jobs")
        # The job outlives this call, and its own end is audited under the same call's id.
        await self._audit.intent(binding.operation.name, call, _details(binding, request))
        try:
            job_id = await self._jobs().start_job(
                binding.operation,
                request,
                binding.subject(request),
                replace(call, deadline=None),
                binding.handler,
            )
        except Exception as error:
            await conclude(self._audit, binding.operation, call, Record(), error)
            raise
        return JobStarted(job_id=job_id)

    async def _propose(self, binding: _Binding, request: Wire, call: Call) -> int:
        assert binding.acts is not None
        await self._ensure("approvals")
        async with self._audited(binding, request, call, Risk.HIGH) as record:
            draft = await binding.acts.plan(request, call)
            approval_id = await self._desk().submit(binding.operation.name, draft, call)
            record.notes["approval"] = approval_id
            return approval_id


def _details(binding: _Binding, request: Wire) -> Json:
    told = {name: getattr(request, name) for name in binding.operation.audit}
    return {
        name: value.model_dump(mode="json") if isinstance(value, Wire) else value
        for name, value in told.items()
    }


def validate(operation: Operation[Req, Any], request: Json | bytes) -> Req:
    """The request as its model. Raises Invalid, naming the field and what was expected."""
    try:
        if isinstance(request, bytes):
            return operation.request.model_validate_json(request)
        return operation.request.model_validate(request)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the request"
        raise Invalid(
            f"{operation.name}: {visible(where)}: {visible(problem['msg'])}.",
            "arcanum COMMAND --help shows what it takes.",
        ) from error
