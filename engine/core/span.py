"""What surrounds a call that was admitted: its deadline, its audit, the name of its error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.contract.base import Json, visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Cancelled, DeadlineExceeded, Internal
from engine.contract.operation import Kind, Operation
from engine.core.audit import AuditLog
from engine.worker.failures import said

_log = logging.getLogger("arcanum.gate")


@dataclass(slots=True)
class Record:
    """How an audited call ends, and what goes into the audit log with it."""

    outcome: str = "ok"
    notes: Json = field(default_factory=dict)
    intent: asyncio.Task[None] | None = None
    """Is done once the intent is on disk, where the body need not wait for that."""


@asynccontextmanager
async def audited(
    audit: AuditLog, operation: Operation[Any, Any], call: Call, details: Json
) -> AsyncIterator[Record]:
    """Intent before, outcome after; the body may add to the record.

    A stream starts while its intent is on the way to the disk: what it writes itself stands behind
    it in the same queue, and shares the commit; nothing is handed out before (``to_the_end``).

    Who leaves while the intent is written leaves an outcome too: an intent without one means that
    the engine died.
    """
    intent = asyncio.create_task(audit.intent(operation.name, call, details))
    record = Record(intent=intent if operation.kind is Kind.STREAM else None)
    try:
        try:
            if record.intent is None:
                await asyncio.shield(intent)
            else:
                await asyncio.sleep(0)  # Now it is in the queue.
            yield record
        finally:
            await asyncio.wait({intent})
        intent.result()
    except BaseException as error:
        if not _failed(intent) or record.intent is not None:  # Else nothing was begun.
            await conclude(audit, operation, call, record, error)
        raise
    await conclude(audit, operation, call, record)


def _failed(intent: asyncio.Task[None]) -> bool:
    return intent.done() and not intent.cancelled() and intent.exception() is not None


async def conclude(
    audit: AuditLog,
    operation: Operation[Any, Any],
    call: Call,
    record: Record,
    error: BaseException | None = None,
) -> None:
    """Writes the outcome, even where the caller left meanwhile; never hides ``error``."""
    if error is not None:
        record.outcome = _code(error)
    try:
        await asyncio.shield(audit.outcome(operation.name, call, record.outcome, record.notes))
    except ArcanumError as problem:
        if error is None:
            raise
        _log.error(
            "%s (call %s) ended as %s, which is not in the audit log: %s",
            operation.name,
            call.id,
            record.outcome,
            problem,
        )


@asynccontextmanager
async def in_time(operation: Operation[Any, Any], call: Call) -> AsyncIterator[None]:
    """Ends the body at the call's deadline. Raises DeadlineExceeded."""
    limit = asyncio.timeout(call.remaining())
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise  # A handler's own.
        raise DeadlineExceeded(
            f"{operation.name} did not end in time.", "Try again, or give it more time."
        ) from None


def to_the_end(
    items: AsyncIterator[Any], operation: Operation[Any, Any], call: Call, record: Record
) -> AsyncIterator[Any]:
    """The items of a stream; what the handler raises among them is named like any error.

    Who leaves before the end cancels, whether by an exception or not.
    """
    record.outcome = Cancelled.code
    return _named(items, operation, call, record)


async def _named(
    items: AsyncIterator[Any], operation: Operation[Any, Any], call: Call, record: Record
) -> AsyncIterator[Any]:
    try:
        async for item in items:
            if record.intent is not None:
                await asyncio.shield(record.intent)
            yield item
    except ArcanumError:
        raise
    except Exception as error:
        raise defect(operation, call, error) from error
    record.outcome = "ok"


def defect(operation: Operation[Any, Any], call: Call, error: Exception) -> Internal:
    """What a user is told of an error that nobody foresaw; the log has all of it."""
    _log.error("%s (call %s) failed", operation.name, call.id, exc_info=error)
    return Internal(
        f"{operation.name}: {visible(said(error))}.",
        f"The log has the details: look for {call.id}.",
    )


def _code(error: BaseException) -> str:
    if isinstance(error, ArcanumError):
        return error.code
    return Internal.code if isinstance(error, Exception) else Cancelled.code
