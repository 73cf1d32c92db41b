"""Which of many hashes of 64 bits differ in few: groups of pictures that look alike.

Two hashes that differ in at most ``d`` of 64 bits differ in at most ``d // 4`` in one of their four
quarters: so only those that agree so far in a quarter are compared (multi-index hashing: Norouzi,
Punjani, Fleet, Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012). A hundred
thousand take about a second. NumPy is imported where it is used: in the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from engine.media.link import Batch, Link
from engine.media.look import open_catalogue
from engine.worker.frames import Frame

_QUARTER = 16
_AT_ONCE = 4_000_000
_EDGES_MORE = 6
"""Bits by which the second hash may differ more: it is the coarser one, and only confirms."""
Star = tuple[int, int, int]
"""A picture, the one in the middle of its group, and how far it is from that, by position."""

# One of those with the same bytes stands for all: the first.
_PICTURES = """
SELECT min(picture.file) AS file, shape, edges
FROM picture CROSS JOIN file ON file.id = picture.file
WHERE library IN ({asked}) AND shape IS NOT NULL AND NOT plain AND damage = ''
GROUP BY coalesce(blake3, picture.file) ORDER BY 1
"""


class Alike:
    """``command``: catalogue, libraries (ids), distance. Tells ``star`` rows."""

    def __init__(self, command: Frame, link: Link) -> None:
        self._link, self._distance = link, command["distance"]
        self._libraries: list[int] = command["libraries"]
        self._db = open_catalogue(command["catalogue"])

    def run(self) -> Frame:
        """Returns the closing frame."""
        asked = ",".join("?" * len(self._libraries))
        rows = self._db.execute(_PICTURES.format(asked=asked), self._libraries).fetchall()
        self._db.close()
        files = [row[0] for row in rows]
        batch, middles = Batch(self._link, "star"), set[int]()
        found = stars(
            [row[1] for row in rows], [row[2] for row in rows], self._distance, self._link
        )
        for one, middle, away in found:
            batch.add([files[one], files[middle], away], 0)
            middles.add(middle)
        batch.flush()
        return {"k": "done", "pictures": len(files), "groups": len(middles), "near": len(found)}


def stars(
    shapes: Sequence[int], edges: Sequence[int], distance: int, link: Link | None = None
) -> list[Star]:
    """Groups: around the one with the most neighbours these, and so on among the rest.

    So nobody is in a group for being like a neighbour's neighbour. The middle is in its own, at 0.
    """
    near: dict[int, list[tuple[int, int]]] = {}
    for one, other, away in _pairs(shapes, edges, distance, link):
        near.setdefault(one, []).append((other, away))
        near.setdefault(other, []).append((one, away))
    found: list[Star] = []
    taken: set[int] = set()
    for middle in sorted(near, key=lambda at: (-len(near[at]), at)):
        around = [(at, away) for at, away in near[middle] if at not in taken]
        if middle in taken or not around:
            continue
        found.append((middle, middle, 0))
        found += [(at, middle, away) for at, away in sorted(around, key=lambda one: one[::-1])]
        taken.update([middle, *(at for at, _away in around)])
    return found


def _pairs(
    shapes: Sequence[int], edges: Sequence[int], distance: int, link: Link | None
) -> Iterator[tuple[int, int, int]]:
    """Each pair once, with how far it is from one to the other."""
    import numpy as np

    shape = np.array(shapes, dtype=np.int64).view(np.uint64)
    edge = np.array(edges, dtype=np.int64).view(np.uint64)
    kept = [np.empty(0, dtype=np.int64)]
    for left, right in _candidates(shape, distance // 4):
        if link is not None:
            link.advance()
        ones, others = left[left < right], right[left < right]
        away = np.bitwise_count(shape[ones] ^ shape[others])
        apart = np.bitwise_count(edge[ones] ^ edge[others])
        good = (away <= distance) & (apart <= distance + _EDGES_MORE)
        kept.append(ones[good].astype(np.int64) * len(shape) + others[good])
    for pair in np.unique(np.concatenate(kept)).tolist():
        one, other = divmod(pair, len(shape))
        yield one, other, int(np.bitwise_count(shape[one] ^ shape[other]))


def _candidates(shape: Any, radius: int) -> Iterator[tuple[Any, Any]]:
    """Positions of those that are within ``radius`` in one of their quarters."""
    import numpy as np

    masks = [
        sum(1 << bit for bit in bits)
        for count in range(radius + 1)
        for bits in combinations(range(_QUARTER), count)
    ]
    for quarter in range(4):
        keys = ((shape >> np.uint64(_QUARTER * quarter)) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        starts = np.zeros(2**_QUARTER + 1, dtype=np.int64)
        np.cumsum(np.bincount(keys, minlength=2**_QUARTER), out=starts[1:])
        for mask in masks:
            first, counts = starts[keys ^ mask], np.diff(starts)[keys ^ mask]
            yield from _expanded(order, first, counts)


def _expanded(order: Any, first: Any, counts: Any) -> Iterator[tuple[Any, Any]]:
    """Each position with those of its range in ``order``, a bounded number of pairs at a time."""
    import numpy as np

    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        some = counts[start:stop]
        total = int(some.sum())
        if total:
            ones = np.repeat(np.arange(start, stop), some)
            within = np.arange(total) - np.repeat(ends[start:stop] - some - done, some)
            yield ones, order[np.repeat(first[start:stop], some) + within]
        start = stop
