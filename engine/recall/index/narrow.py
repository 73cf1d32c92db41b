"""What is near in meaning among those that a filter leaves.

A graph names what is nearest of all, and a filter may leave none of that. So of those that it
leaves the signs are looked at, and the likeliest are compared by their vectors. What came since its
part was written down has no signs yet: it is compared too, or looked for by the graphs where it is
much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine.recall.index.signs import Signs
from engine.recall.index.vectors import LIKELY, Near, Vectors

FEW = 2_048
"""So many are compared one by one."""
_WIDEST = 1 << 26
"""Over so many numbers it is written down for each whether it is meant."""


class Members:
    """Some memories, by number and in order; ``among`` says which of others they are."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids
        self._low = int(ids[0])
        width = int(ids[-1]) - self._low + 1
        self._there = np.zeros(width if width <= _WIDEST else 0, np.bool_)
        if len(self._there):
            self._there[ids - self._low] = True

    def among(self, ids: np.ndarray) -> np.ndarray:
        if not len(self._there):
            return np.isin(ids, self.ids)
        places = ids - self._low
        within = (places >= 0) & (places < len(self._there))
        return np.asarray(within & self._there[np.where(within, places, 0)])

    def without(self, others: Sequence[np.ndarray]) -> np.ndarray:
        """Those that are in none of these, which have nothing in common and are all meant."""
        if sum(map(len, others)) == len(self.ids):
            return np.empty(0, np.int64)
        if not len(self._there):
            return np.setdiff1d(self.ids, np.concatenate([*others, self.ids[:0]]))
        left = self._there.copy()
        for ids in others:
            left[ids - self._low] = False
        return np.flatnonzero(left) + self._low


def begin(
    vectors: Vectors, space: int, vector: np.ndarray, ids: np.ndarray, count: int
) -> Callable[[], np.ndarray]:
    """Looks in other threads; what it returns waits, for the nearest of these memories of a space
    (``ids``: in order, more than none), and must be called before anything changes."""
    if len(ids) <= FEW:
        return lambda: _best(_compared(vectors, vector, ids), count)
    members = Members(ids)

    def look(signs: Signs) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        meant = signs.only(members.among(signs.ids))
        return meant.ids, meant.likely(vector, LIKELY)

    looks = [vectors.begin_work(look, signs) for signs in vectors.signs(space)]

    def finish() -> np.ndarray:
        done = [look.result() for look in looks]
        found = vectors.compared(vector, [likely for _meant, likely in done]) if done else []
        left = members.without([meant for meant, _likely in done])
        return _best(found + _left(vectors, space, vector, left, count), count)

    return finish


def _best(found: Near, count: int) -> np.ndarray:
    best = sorted(found, key=lambda hit: -hit[1])[:count]
    return np.asarray([memory for memory, _ in best], np.int64)


def _compared(vectors: Vectors, vector: np.ndarray, ids: np.ndarray) -> Near:
    known, found = vectors.of(ids.tolist())
    return list(zip(known.tolist(), (found @ vector).tolist(), strict=True))


def _left(vectors: Vectors, space: int, vector: np.ndarray, left: np.ndarray, count: int) -> Near:
    """The near ones of those without signs."""
    if len(left) <= FEW:
        return _compared(vectors, vector, left)
    near = vectors.nearest(space, vector, 4 * count)
    meant = Members(left).among(np.asarray([memory for memory, _ in near], np.int64))
    return [hit for hit, there in zip(near, meant.tolist(), strict=True) if there]
