"""The vectors of a part in a file of their own, read where they lie.

To fetch some hundreds of vectors from the database takes three times as long, and hnswlib hands
them out as Python's numbers: of a whole part, gigabytes. So beside the file of a part that is in
use lies one with the same vectors, as the database has them, and is mapped. What changed since is
read from the database, and so is everything where that file is not right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_HEADER = struct.Struct("<6Q")
"""Of hnswlib 0.8: offset, capacity, count, bytes of an element, and where in it its label and its
vector lie."""
_HEADER_BYTES = 96
_TOGETHER = 8_192
_PART_BITS = 17
"""So many bits count the places of a part's file; those above, the files."""
_FILES = 1 << (31 - _PART_BITS)
_WIDEST = 1 << 26
"""Memories up to this number have a place in a list of all."""


class Kept:
    """Such a file. ``of``: the digest of the part's file, with which it begins; then come the
    numbers of the memories and the vectors, of 16-bit floats. ``labels``: the memories, by their
    places in it."""

    def __init__(self, path: Path, of: str, dimensions: int, count: int) -> None:
        """Raises ValueError where it is not that of this part, OSError."""
        with path.open("rb") as file:
            whole = len(of) + count * (8 + 2 * dimensions)
            if file.read(len(of)) != of.encode() or file.seek(0, 2) != whole:
                raise ValueError("it is another part's")
        self.labels = np.fromfile(path, np.int64, count, offset=len(of))
        begin, form = len(of) + self.labels.nbytes, (count, dimensions)
        self._vectors = np.asarray(np.memmap(path, np.float16, "r", offset=begin, shape=form))

    def vectors(self, places: np.ndarray) -> np.ndarray:
        return self._vectors[places].astype(np.float32)

    def packed(self, places: np.ndarray) -> np.ndarray:
        """A bit for each number of these vectors: whether it is above zero. Bytes, a row each."""
        bits = self._vectors.view(np.uint16)
        parts = [
            # Those of what is above zero are 1 to 0x7fff.
            np.packbits(bits[places[start : start + _TOGETHER]] - np.uint16(1) < 0x7FFF, axis=1)
            for start in range(0, len(places), _TOGETHER)
        ]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.uint8)


def write(path: Path, part: Path, of: str, dimensions: int, count: int) -> None:
    """Makes it from a part's file. Raises ValueError where that is of another form, OSError."""
    with part.open("rb") as file:
        _, _, held, size, label, vector = _HEADER.unpack(file.read(_HEADER.size))
    if held != count or label + 8 != size or vector + 4 * dimensions != label:
        raise ValueError("hnswlib writes another form")
    form = np.dtype(
        {
            "names": ["vector", "label"],
            "formats": [("<f4", dimensions), "<u8"],
            "offsets": [vector, label],
            "itemsize": size,
        }
    )
    elements = np.memmap(part, form, "r", offset=_HEADER_BYTES, shape=(count,))
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as file:
            file.write(of.encode())
            file.write(elements["label"].astype(np.int64).tobytes())
            for start in range(0, count, _TOGETHER):
                some = elements["vector"][start : start + _TOGETHER]
                file.write(some.astype(np.float16).tobytes())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


class Rows:
    """The vectors of the parts that were loaded, by memory: in which file each is, and where."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._files: dict[int, tuple[tuple[int, int], Kept]] = {}
        self._where = np.empty(0, np.int32)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        labels = sum(kept.labels.nbytes for _key, kept in self._files.values())
        return int(self._where.nbytes + labels)

    def add(self, key: tuple[int, int], kept: Kept | None, without: Iterable[int]) -> None:
        """A part's file; ``without``: memories that it does not say the truth of any more."""
        self.drop(key)
        number = next((n for n in range(_FILES) if n not in self._files), None)
        if kept is None or number is None or not len(kept.labels):
            return
        if (last := int(kept.labels.max())) >= _WIDEST:
            return
        self._files[number] = (key, kept)
        more = last + 1 - len(self._where)
        if more > 0:
            self._where = np.concatenate((self._where, np.full(more, -1, np.int32)))
        self._where[kept.labels] = np.arange(len(kept.labels)) + (number << _PART_BITS)
        self.forget(without)

    def drop(self, key: tuple[int, int]) -> None:
        """The file of this part is read no more."""
        for number, (held, kept) in list(self._files.items()):
            if held == key:
                del self._files[number]
                of_it = kept.labels[self._where[kept.labels] >> _PART_BITS == number]
                self._where[of_it] = -1

    def forget(self, ids: Iterable[int]) -> None:
        """These have changed since."""
        gone = np.fromiter(ids, np.int64)
        self._where[gone[gone < len(self._where)]] = -1

    def of(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of these memories are in a file, and their vectors, in the same order."""
        where = np.full(len(ids), -1, np.int32)
        within = ids < len(self._where)
        where[within] = self._where[ids[within]]
        there = where >= 0
        files, places = where[there] >> _PART_BITS, where[there] & ((1 << _PART_BITS) - 1)
        found = np.empty((len(files), self._dimensions), np.float32)
        for number, (_key, kept) in self._files.items():
            of_it = np.flatnonzero(files == number)
            if len(of_it):
                found[of_it] = kept.vectors(places[of_it])
        return there, found
