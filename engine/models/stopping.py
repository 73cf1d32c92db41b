"""Ending at once what a job does between two of its checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from engine.contract.ports import JobControl

T = TypeVar("T")
LOOK_EVERY_S = 0.2
"""How soon a pause, or a stop, is noticed."""


async def stopping(work: Coroutine[Any, Any, T], job: JobControl) -> T:
    """The outcome of ``work``, which ends where the job is cancelled; a pause leaves it alone.

    Raises Cancelled with the job, once the work has cleaned up.
    """
    doing = asyncio.create_task(work)
    try:
        while not doing.done():
            await job.checkpoint()
            await asyncio.wait({doing}, timeout=LOOK_EVERY_S)
        return doing.result()
    finally:
        doing.cancel()
        await asyncio.wait({doing})
