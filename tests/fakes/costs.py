"""What code costs in processor time, for bounds that say that nobody can make us work without end.

A bound is far from what the code takes. What is left are two things that are not the code's:
collections of garbage that walk through what thousands of tests before it left, and a machine
that shares its cores. The first is put aside, and the least of three runs is what counts: code
that costs too much does so each time.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

RUNS = 3


@contextmanager
def undisturbed() -> Iterator[None]:
    """Nothing that is there by now is walked through by a collection, as the engine does it too."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def cpu_time(work: Callable[[], object]) -> float:
    """The least that ``work`` took of this thread's processor time, in seconds."""
    took = []
    with undisturbed():
        for _ in range(RUNS):
            began = time.thread_time()
            work()
            took.append(time.thread_time() - began)
    return min(took)


@dataclass(slots=True)
class Step:
    """A turn of the event loop; in seconds of its thread's processor time."""

    longest: float = 0.0


@asynccontextmanager
async def steps() -> AsyncIterator[Step]:
    """The longest turn that the loop took meanwhile: other programs on the machine do not count."""
    step = Step()

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            step.longest = max(step.longest, time.thread_time() - before)

    with undisturbed():
        watching = asyncio.create_task(watch())
        try:
            yield step
        finally:
            watching.cancel()
