"""The one gate for every operation.

Bound size, authorise, limit, validate, risk of this request (never above the declared one); then
``high``: plan and approval, else: audit intent, run, audit outcome. All of it inside one span.
"""

from __future__ import annotations

import asyncio
import logging
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
    Cancelled,
    DeadlineExceeded,
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
from engine.metrics import Metrics

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)
_log = logging.getLogger("arcanum.gate")


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

    def _bind(self, kind: Kind, binding: _Binding) -> None:
        name = binding.operation.name
        if binding.operation.kind is not kind:
            raise TypeError(f"{name} is declared as {binding.operation.kind}, bound as {kind}")
        self._bindings[name] = binding

    def unary(
        self, operation: Operation[Req, Res], handler: Callable[[Req, Call], Awaitable[Res]]
    ) -> None:
        if operation.risk is Risk.HIGH:
            raise TypeError(f"{operation.name} is high risk: bind plan, check and execute")
        self._bind(Kind.UNARY, _Binding(operation, handler))

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
        self._bind(Kind.JOB, _Binding(operation, handler, subject=subject))

    def high(self, operation: Operation[Req, Res], acts: HighRisk[Req]) -> None:
        self._bind(Kind.UNARY, _Binding(operation, acts=acts))

    # --- calling --------------------------------------------------------------------------------

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call
    ) -> Done[Res] | Pending:
        """One unary call, or the start of a job. Raises ArcanumError and nothing else."""
        async with self._span(operation, request, call) as (binding, admitted):
            try:
                async with asyncio.timeout(admitted.remaining()):
                    risk = self._risk(binding, request, admitted)
                    if risk is Risk.HIGH:
                        return Pending(await self._propose(binding, request, admitted))
                    if operation.kind is Kind.JOB:
                        started = await self._start_job(binding, request, admitted)
                        return cast("Done[Res]", Done(started))
                    return Done(await self._run(binding, request, admitted, risk))
            except TimeoutError:
                raise DeadlineExceeded(
                    f"{operation.name} did not end in time.", "Try again, or give it more time."
                ) from None

    @asynccontextmanager
    async def stream_of(
        self, operation: Operation[Req, Res], request: Req, call: Call
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Opens a stream; leaving it cancels it. Raises NeedsApproval where nothing was done."""
        if operation.kind is not Kind.STREAM:
            raise Invalid(f"{operation.name} is not a stream.", "Call it instead.")
        async with self._span(operation, request, call) as (binding, admitted):
            risk = self._risk(binding, request, admitted)
            if risk is Risk.HIGH:
                approval_id = await self._propose(binding, request, admitted)
                raise NeedsApproval(
                    f"Approval #{approval_id} waits for your answer; nothing was done.",
                    f"arcanum approvals show {approval_id}",
                    approval_id,
                )
            async with self._audited(binding, request, admitted, risk):
                assert binding.handler is not None
                async with binding.handler(request, admitted) as items:
                    yield items

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
        self, operation: Operation[Any, Any], request: Wire, call: Call
    ) -> AsyncIterator[tuple[_Binding, Call]]:
        """Admits the call; times it, counts it and names its errors."""
        started, outcome = time.perf_counter(), "ok"
        self._metrics.in_flight.inc()
        try:
            self._authorise(operation, call)
            self._bound_size(operation, request)
            binding = await self._bound(operation)
            self._limit(binding)
            try:
                yield (
                    binding,
                    replace(call.within(operation.limits.timeout_s), machine=self._machine),
                )
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
            _log.exception("%s (call %s) failed", operation.name, call.id)
            raise Internal(
                f"{operation.name}: {visible(str(error)) or type(error).__name__}.",
                f"The log has the details: look for {call.id}.",
            ) from error
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

    def _bound_size(self, operation: Operation[Any, Any], request: Wire) -> None:
        if not isinstance(request, operation.request):
            raise Invalid(
                f"{operation.name} takes a {operation.request.__name__},"
                f" not a {type(request).__name__}."
            )
        size = len(request.model_dump_json())
        if size > operation.limits.max_bytes:
            raise Invalid(
                f"{operation.name}: the request is {size} bytes long,"
                f" at most {operation.limits.max_bytes} are taken.",
                "Send less at once.",
            )

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
    ) -> AsyncIterator[Json]:
        """Intent before, outcome after; what the body puts into the yielded dict goes with it."""
        notes: Json = {}
        if risk is Risk.READ:
            yield notes
            return
        name = binding.operation.name
        await self._audit.intent(name, call, _details(binding, request))
        outcome = "ok"
        try:
            yield notes
        except ArcanumError as error:
            outcome = error.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome = Cancelled.code
            raise
        except Exception:
            outcome = Internal.code
            raise
        finally:
            # The outcome is written even where the caller left meanwhile.
            await asyncio.shield(self._audit.outcome(name, call, outcome, notes))

    async def _run(self, binding: _Binding, request: Wire, call: Call, risk: Risk) -> Any:
        assert binding.handler is not None
        async with self._audited(binding, request, call, risk):
            result = await binding.handler(request, call)
        if isinstance(result, TakenBack) and result.complete:
            await self._ensure("approvals")
            await self._desk().taken_back(binding.operation.name, request.model_dump(mode="json"))
        return result

    async def _start_job(self, binding: _Binding, request: Wire, call: Call) -> JobStarted:
        assert binding.handler is not None
        assert binding.subject is not None
        await self._ensure("jobs")
        # The job outlives this call, and its own end is audited under the same call's id.
        await self._audit.intent(binding.operation.name, call, _details(binding, request))
        job_id = await self._jobs().start_job(
            binding.operation,
            request,
            binding.subject(request),
            replace(call, deadline=None),
            binding.handler,
        )
        return JobStarted(job_id=job_id)

    async def _propose(self, binding: _Binding, request: Wire, call: Call) -> int:
        assert binding.acts is not None
        await self._ensure("approvals")
        async with self._audited(binding, request, call, Risk.HIGH) as notes:
            draft = await binding.acts.plan(request, call)
            approval_id = await self._desk().submit(binding.operation.name, draft, call)
            notes["approval"] = approval_id
            return approval_id


def _details(binding: _Binding, request: Wire) -> Json:
    return {name: getattr(request, name) for name in binding.operation.audit}


def validate(operation: Operation[Any, Any], request: Json | bytes) -> Wire:
    """The request as its model. Raises Invalid, naming the field and what was expected."""
    try:
        if isinstance(request, bytes):
            return cast(Wire, operation.request.model_validate_json(request))
        return cast(Wire, operation.request.model_validate(request))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the request"
        raise Invalid(
            f"{operation.name}: {visible(where)}: {visible(problem['msg'])}.",
            "arcanum COMMAND --help shows what it takes.",
        ) from error
