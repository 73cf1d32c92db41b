"""What code costs in processor time, for bounds that say that nobody can make us work without end.

A bound is far from what the code takes. What is left are two things that are not the code's:
collections of garbage that walk through what thousands of tests before it left, and a machine
that shares its cores. The first is put aside, and the least of three runs is what counts: code
that costs too much does so each time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
