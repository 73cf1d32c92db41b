"""The vectors of all memories, as the derived database keeps them: a row of 16-bit floats each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.recall.index.kept import Rows
from engine.recall.index.shelf import Shelf, among

_OFF = 0.05
"""By more than so much the square of a unit vector's length is never off, of 16-bit floats."""


class Table:
    """``rows``: what of it can be read elsewhere. ``remade``: what was damaged and waits for
    another; whoever tells it empties it."""

    def __init__(self, shelf: Shelf, dimensions: int) -> None:
        self._shelf, self._dimensions = shelf, dimensions
        self.rows = Rows(dimensions)
        self.remade: list[str] = []

    def put(self, ids: Sequence[int], unit: np.ndarray) -> None:
        """Vectors of unit length for these memories, which wait for theirs no longer."""
        db = self._shelf.db
        rows = [
            (number, row.tobytes())
            for number, row in zip(ids, unit.astype(np.float16), strict=True)
        ]
        db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", rows)
        db.executemany("DELETE FROM unembedded WHERE memory = ?", [(number,) for number in ids])
        self.rows.forget(ids)

    def of(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of these memories those whose vectors are known, in order, and the vectors."""
        wanted = np.sort(np.asarray(ids, np.int64))
        there, found = self.rows.of(wanted)
        whole = np.abs(_lengths(found) - 1) < _OFF
        if not whole.all():  # The file is damaged, or a vector has no direction.
            there[np.flatnonzero(there)[~whole]] = False
            found = found[whole]
        if there.all():
            return wanted, found
        known, others = self._read(wanted[~there].tolist())
        every = np.concatenate((wanted[there], known))
        order = np.argsort(every)
        return every[order], np.concatenate((found, others))[order]

    def _read(self, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        marks, values = among(ids)
        rows = self._shelf.db.execute(
            "SELECT memory, data FROM vector"  # noqa: S608 - numbers
            f" WHERE memory IN ({marks}) AND length(data) = ? ORDER BY memory",
            (*values, 2 * self._dimensions),
        ).fetchall()
        known = np.asarray([row[0] for row in rows], np.int64)
        data = np.frombuffer(b"".join([row[1] for row in rows]), np.float16)
        found = data.reshape(len(rows), self._dimensions).astype(np.float32)
        lengths = _lengths(found)
        whole = (np.abs(lengths - 1) < _OFF) | (lengths == 0)
        if whole.all():
            return known, found
        self._make_again(known[~whole].tolist())
        return known[whole], found[whole]

    def _make_again(self, ids: Sequence[int]) -> None:
        """These were damaged: they wait for other vectors."""
        rows = [(number,) for number in ids]
        self._shelf.db.executemany("DELETE FROM vector WHERE memory = ?", rows)
        self._shelf.db.executemany("INSERT OR IGNORE INTO unembedded VALUES (?)", rows)
        self.remade += [f"the vector of memory {number}: it was damaged" for number in ids]


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Their squares."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors))
