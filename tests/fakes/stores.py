"""A real database for a test, closed whatever happens: an open one keeps the process alive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from engine.contract.events import Event
from engine.contract.jobs import Job, JobChanged, JobState
from engine.store import Database

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def opened(
    path: Path, *, kind: str = "state", publish: Callable[[Event], None] | None = None
) -> AsyncIterator[Database]:
    database = Database(path, kind, durable=True, publish=publish)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def job_event(number: int = 1) -> JobChanged:
    """A durable event; any would do."""
    job = Job(
        id=number,
        operation="example.job",
        subject="x",
        state=JobState.RUNNING,
        machine="m",
        started_at=_LONG_AGO,
    )
    return JobChanged(job=job)
