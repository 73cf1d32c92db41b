"""How fast a job is, and how long it still takes, by what it did lately."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW_S = 20.0
"""Slower and faster stretches before that say little of what is to come."""

_EACH_S = 0.5

FILE_COSTS = 256 * 1024
"""Bytes that are read in the time that one file takes beside its bytes: to find, open and note it.

From a fast disk 0.3 ms, from a slow one 8: with a fixed number a stretch of one kind of files is
told exactly, and where small ones come before large ones, or behind them, neither is mistaken for
the rest.
"""


class Step(NamedTuple):
    """How far it was at a time. ``work`` is what is done in bytes, with what the files cost."""

    at: float
    done: int
    work: int


class Speed:
    """Times are seconds on a clock that stands still while the job is paused."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()
        self._unit = ""
        self._latest = Step(0.0, 0, 0)

    def note(self, at: float, done: int, unit: str, files: int | None) -> None:
        """It is so far now. What was there before the first of these, or has to be done again, is
        no part of the speed."""
        if self._unit != unit or done < self._latest.done:
            self._steps.clear()
        self._unit, self._latest = unit, Step(at, done, done + (files or 0) * FILE_COSTS)
        if not self._steps or at - self._steps[-1].at >= _EACH_S:
            self._steps.append(self._latest)
        while len(self._steps) > 1 and self._steps[1].at <= at - WINDOW_S:
            self._steps.popleft()

    @property
    def rate(self) -> float | None:
        """In units a second; None where that is not known yet."""
        took, done = self._took, self._latest.done - self._steps[0].done
        return done / took if took > 0 and done else None

    def left_s(self, total: int | None, files: int | None) -> float | None:
        """Seconds to the end, where ``total`` and so many files are all there is."""
        if total is None:
            return None
        work = self._latest.work - self._steps[0].work
        rest = total + (files or 0) * FILE_COSTS - self._latest.work
        return rest * self._took / work if self._took > 0 and work and rest >= 0 else None

    @property
    def _took(self) -> float:
        return self._latest.at - self._steps[0].at
