"""What of all entries of a space is held in memory: as columns, in the order of their keys.

Keys and times take 8 bytes a memory each. Who of a space has said something, or is of a kind, takes
one for each value that was asked for lately. They are read when they are first needed (of a million
memories in a fraction of a second), and then follow what comes and goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np

from engine.recall.index.shelf import Shelf, span

Column = Literal["speaker", "kind"]

_KEPT = 16
"""Values for which is kept who has them."""
_PLACES = {"speaker": 4, "kind": 7}
_WAYS = {
    "speaker": ("entry_by_speaker", "AND speaker != '' AND speaker = ?"),
    "kind": ("entry_by_time", "AND kind = ?"),
}


class Columns:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._keys: dict[int, np.ndarray] = {}
        self._times: dict[int, np.ndarray] = {}
        self._having: OrderedDict[tuple[int, Column, str], np.ndarray] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes in memory."""
        held = (*self._keys.values(), *self._times.values(), *self._having.values())
        return sum(int(column.nbytes) for column in held)

    def keys(self, space: int) -> np.ndarray:
        """All keys of a space, in order."""
        if space not in self._keys:
            self._keys[space] = self._read(space, "entry_by_time")
        return self._keys[space]

    def times(self, space: int) -> np.ndarray:
        """When each was told, in the order of the keys."""
        if space not in self._times:
            rows = self._shelf.db.execute(
                "SELECT at FROM entry WHERE key BETWEEN ? AND ? ORDER BY key", span(space)
            )
            self._times[space] = np.fromiter(chain.from_iterable(rows), np.float64)
        return self._times[space]

    def having(self, space: int, column: Column, value: str) -> np.ndarray:
        """Whether each has this value, in the order of the keys."""
        asked = (space, column, value)
        if asked not in self._having:
            keys = self.keys(space)
            found = self._having[asked] = np.zeros(len(keys), np.bool_)
            found[np.searchsorted(keys, self._read(space, *_WAYS[column], value))] = True
            if len(self._having) > _KEPT:
                self._having.popitem(last=False)
        self._having.move_to_end(asked)
        return self._having[asked]

    def _read(self, space: int, index: str, where: str = "", *values: str) -> np.ndarray:
        """Keys, in order, by an index that holds them: of the entries nothing is read. They come as
        one text of numbers, which takes half as long as a row for each."""
        low, _high = span(space)
        (text,) = self._shelf.db.execute(
            f"SELECT group_concat(key - ?) FROM entry INDEXED BY {index}"  # noqa: S608 - ours
            f" WHERE space = ? {where}",
            (low, space, *values),
        ).fetchone()
        if text is None:
            return np.empty(0, np.int64)
        return np.sort(np.fromstring(text, np.int64, sep=",")) + low

    def follow(self, added: Sequence[int], taken: Sequence[int]) -> None:
        """These keys came and went."""
        for space in {key >> 32 for key in (*added, *taken)} & set(self._keys):
            touched = np.unique(np.asarray([*added, *taken], np.int64))
            touched = touched[(touched >> 32) == space]
            rows = self._shelf.entries(touched.tolist())
            there = np.asarray([row[0] for row in rows], np.int64)
            old = self._keys[space]
            stayed = ~among(old, np.setdiff1d(touched, there, assume_unique=True))
            new = self._keys[space] = np.union1d(old[stayed], there)
            move = _Move(
                len(new), stayed, np.searchsorted(new, old[stayed]), np.searchsorted(new, there)
            )
            if (times := self._times.get(space)) is not None:
                self._times[space] = move.of(times, [row[1] for row in rows])
            for (of, column, value), having in self._having.items():
                if of == space:
                    values = [row[_PLACES[column]] == value for row in rows]
                    self._having[of, column, value] = move.of(having, values)


@dataclass(frozen=True, slots=True)
class _Move:
    """From the old keys to the ``size`` new ones: which stayed, where these stand now, and where
    those stand that came."""

    size: int
    stayed: np.ndarray
    places: np.ndarray
    came: np.ndarray

    def of(self, column: np.ndarray, values: list[Any]) -> np.ndarray:
        found = np.empty(self.size, column.dtype)
        found[self.places] = column[self.stayed]
        found[self.came] = values
        return found


def among(some: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which of some are among the keys, which are in order."""
    if not len(keys):
        return np.zeros(len(some), np.bool_)
    places = np.minimum(np.searchsorted(keys, some), len(keys) - 1)
    return np.asarray(keys[places] == some)
