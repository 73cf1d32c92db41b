"""The signs of a part's vectors: one bit a dimension, 48 bytes where the vector takes 1,536.

A part's graph takes a fifth of a second to load, and of a million memories there are eight. Until
it is there, those are found whose signs differ from the query's in the fewest places
(random hyperplanes: Charikar, Similarity Estimation Techniques from Rounding Algorithms, 2002), and
compared by their vectors: of the ten nearest of a million 9.9 are among the thousand found so. What
a filter leaves is found by them, too (``narrow``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.recall.index.shelf import Shelf

_WORD = 64
_LEAST = 4_096
"""The signs of smaller parts are not kept: they load quickly, and are compared whole."""


@dataclass(frozen=True, slots=True)
class Signs:
    """``ids`` (n) and ``bits`` (words, n): a row for each 64 dimensions. ``change``: that of the
    part when they were taken."""

    change: int
    ids: np.ndarray
    bits: np.ndarray

    @classmethod
    def of(cls, change: int, ids: np.ndarray, packed: np.ndarray) -> Signs:
        """``packed``: a row of bytes for each, with a bit a dimension."""
        return cls(change, ids.astype(np.int64), _in_words(packed))

    @classmethod
    def read(cls, change: int, ids: bytes, bits: bytes, dimensions: int) -> Signs | None:
        """None where the bytes do not fit together."""
        words = _words(dimensions)
        if len(ids) % 8 or len(bits) != len(ids) * words:
            return None
        numbers = np.frombuffer(ids, np.int64)
        return cls(change, numbers, np.frombuffer(bits, np.uint64).reshape(words, len(numbers)))

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return int(self.ids.nbytes + self.bits.nbytes)

    def only(self, rows: np.ndarray) -> Signs:
        """Those where ``rows`` is true."""
        numbers = np.flatnonzero(rows)
        return Signs(self.change, self.ids[numbers], self.bits[:, numbers])

    def likely(self, vector: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Those that may be nearest, at most so many, and in how many places each differs."""
        asked = _packed(vector[None, :])[:, 0]
        apart = np.zeros(len(self.ids), np.uint16)
        for row, word in zip(self.bits, asked, strict=True):
            apart += np.bitwise_count(row ^ word)
        if len(apart) <= most:
            return self.ids, apart
        found = np.argpartition(apart, most)[:most]
        return self.ids[found], apart[found]


class SignTable:
    """The signs of all parts, in the database, and those in memory that were asked for."""

    def __init__(self, shelf: Shelf, dimensions: int) -> None:
        self._shelf, self._dimensions = shelf, dimensions
        self._held: dict[tuple[int, int], Signs] = {}

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(signs.size for signs in self._held.values())

    def put(self, space: int, number: int, signs: Signs | None) -> None:
        """Those of a part that was written down; None where they cannot be had."""
        self._held.pop((space, number), None)
        if signs is None or len(signs.ids) < _LEAST:
            self.drop(space, number)
            return
        self._shelf.db.execute(
            "INSERT OR REPLACE INTO signs VALUES (?, ?, ?, ?, ?)",
            (space, number, signs.change, signs.ids.tobytes(), signs.bits.tobytes()),
        )

    def drop(self, space: int, number: int) -> None:
        """There are none of it any more."""
        self._shelf.db.execute("DELETE FROM signs WHERE space = ? AND number = ?", (space, number))

    def get(self, space: int, number: int) -> Signs | None:
        """As they were when the part was written down; None where none are kept, or damaged."""
        if (space, number) not in self._held:
            row = self._shelf.db.execute(
                "SELECT change, ids, bits FROM signs WHERE space = ? AND number = ?",
                (space, number),
            ).fetchone()
            signs = row and Signs.read(row[0], row[1], row[2], self._dimensions)
            if signs is None:
                return None
            self._held[space, number] = signs
        return self._held[space, number]

    def let_go(self, space: int, number: int) -> None:
        self._held.pop((space, number), None)


def _words(dimensions: int) -> int:
    return -(-dimensions // _WORD)


def _packed(vectors: np.ndarray) -> np.ndarray:
    return _in_words(np.packbits(vectors > 0, axis=1))


def _in_words(packed: np.ndarray) -> np.ndarray:
    rows, width = packed.shape
    held = np.zeros((rows, -(-width // 8) * 8), np.uint8)
    held[:, :width] = packed
    return np.ascontiguousarray(held.view(np.uint64).T)
