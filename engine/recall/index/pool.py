"""The memories that one search scores exactly, as columns: what each has by itself and of others.

Rows stand in the order of their keys, which is the order in which they were told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.recall.index.weights import Weights

TOP = 3
"""The best of a sitting, which tell what was talked about then."""
TOGETHER_S = 3600.0
"""Neighbours of one source, and those of one sitting, were told within it."""
TELLS, ASKS, ASKED_HERE = 0, 1, 2
"""What a memory does; the last was asked of a model here by its person."""


@dataclass(slots=True)
class Pool:
    """``own``: what a memory scores by its own words and meaning. ``asks``: TELLS, ASKS or
    ASKED_HERE."""

    keys: np.ndarray
    at: np.ndarray
    asks: np.ndarray
    speakers: list[str]
    sources: list[str]
    lexical: np.ndarray
    dense: np.ndarray
    neighbours: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def own(self) -> np.ndarray:
        return self.lexical + self.dense

    def only(self, rows: np.ndarray) -> Pool:
        """The rows where ``rows`` is true, or those with these numbers in rising order."""
        numbers = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Pool(
            self.keys[numbers],
            self.at[numbers],
            self.asks[numbers],
            [self.speakers[i] for i in numbers.tolist()],
            [self.sources[i] for i in numbers.tolist()],
            self.lexical[numbers],
            self.dense[numbers],
            self.neighbours[numbers] if len(self.neighbours) else self.neighbours,
        )

    def share(self, keys: np.ndarray, weights: Weights) -> None:
        """Fills in what each has of its neighbours; ``keys``: all of the space, in order."""
        places, own = np.searchsorted(keys, self.keys), self.own
        codes = _codes(self.sources)
        total = np.zeros(len(self))
        for shares, step in ((weights.before, -1), (weights.after, 1)):
            for distance, share in enumerate(shares, 1):
                beside = np.searchsorted(places, places + step * distance)
                beside = np.minimum(beside, len(self) - 1)
                near = (
                    (places[beside] == places + step * distance)
                    & (codes[beside] == codes)
                    & (np.abs(self.at[beside] - self.at) <= TOGETHER_S)
                )
                total += share * np.where(near, own[beside], 0.0)
                if step == -1 and distance == 1:
                    answers = near & (self.asks[beside] == ASKS)
                    total += weights.answers * np.where(answers, own[beside], 0.0)
        self.neighbours = total + weights.sitting * self._of_sittings(codes, own)

    def _of_sittings(self, codes: np.ndarray, own: np.ndarray) -> np.ndarray:
        """For each row the mean of the best of what was told in one go with it, from one source."""
        apart = (np.diff(codes) != 0) | (np.abs(np.diff(self.at)) > TOGETHER_S)
        sitting = np.concatenate(([0], np.cumsum(apart)))
        order = np.lexsort((-own, sitting))
        begins = np.searchsorted(sitting, sitting)  # where the sitting of each row begins
        rank = np.arange(len(self)) - begins  # in ``order``, where sittings stand in their places
        best = order[rank < TOP]
        sums = np.bincount(sitting[best], weights=own[best])
        counts = np.bincount(sitting[best])
        return np.asarray((sums / counts)[sitting])


def _codes(names: Sequence[str]) -> np.ndarray:
    known = {name: code for code, name in enumerate(set(names))}
    return np.asarray([known[name] for name in names], np.int64)


def merged(one: Pool, two: Pool) -> Pool:
    """The rows of both, which have no key in common."""
    if not len(two):
        return one
    order = np.argsort(np.concatenate((one.keys, two.keys)))
    speakers, sources = one.speakers + two.speakers, one.sources + two.sources
    return Pool(
        np.concatenate((one.keys, two.keys))[order],
        np.concatenate((one.at, two.at))[order],
        np.concatenate((one.asks, two.asks))[order],
        [speakers[i] for i in order.tolist()],
        [sources[i] for i in order.tolist()],
        np.concatenate((one.lexical, two.lexical))[order],
        np.concatenate((one.dense, two.dense))[order],
    )
