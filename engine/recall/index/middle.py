"""The middle of a space, the mean of its vectors: what all that is told there has in common.

What lies near it is near every query, and says little of any. So a cosine counts less by what a
memory has of the middle (Mu and Viswanath, All-but-the-Top, ICLR 2018). A sample of a large space
is enough, and is a fixed one: after a restart the same is found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.recall.index.vectors import Vectors

SAMPLE = 512
"""So many are looked at, and less than twice as many; all of a space that has fewer."""
_FEW = 32
"""Of so many vectors half is believed: what few have in common may be what is asked for."""
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Middle:
    """``trust``: how far it is believed, from 0 to 1."""

    vector: np.ndarray
    trust: float

    def cosines(self, found: np.ndarray, query: np.ndarray) -> np.ndarray:
        """Of these vectors with a query, less what each has of the middle beyond the usual."""
        own = self.trust * self.vector
        return np.asarray(found @ (query - own) + own @ self.vector)


class Middles:
    """What was worked out is kept as long as the sample is the same and has all its vectors."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[Vectors, np.ndarray, Middle]] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(int(keys.nbytes + mid.vector.nbytes) for _, keys, mid in self._kept.values())

    def follow(self, changed: Sequence[int]) -> None:
        """These keys came, went or were changed."""
        for space in {key >> 32 for key in changed} & set(self._kept):
            if np.isin(self._kept[space][1], np.asarray(changed, np.int64)).any():
                del self._kept[space]

    def of(self, space: int, keys: np.ndarray, vectors: Vectors) -> Middle | None:
        """``keys``: all of the space, in order. None where nothing has a vector yet."""
        some = _sample(keys)
        kept = self._kept.get(space)
        if kept is not None and kept[0] is vectors and np.array_equal(kept[1], some):
            self._kept.move_to_end(space)
            return kept[2]
        known, found = vectors.of((some & 0xFFFF_FFFF).tolist())
        if not len(known):
            return None
        middle = Middle(found.mean(axis=0), len(known) / (len(known) + _FEW))
        if len(known) == len(some):
            self._kept[space] = vectors, some, middle
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return middle


def _sample(keys: np.ndarray) -> np.ndarray:
    """Evenly spread: what is added at the end rarely changes it."""
    step = 1
    while len(keys) >= 2 * SAMPLE * step:
        step *= 2
    return keys[::step]
