"""One part of the vector index: an hnswlib graph of one space, and the file that it is kept in.

hnswlib checks little: a query of another length runs over the heap, a file of another dimension
loads without a word, flipped bytes go unnoticed. So all of that is checked here, before it sees
anything: lengths, numbers, how many there are, and the file's BLAKE3 and all that was said of it
when it was written. What does not verify is not loaded.

A file is written whole under a name of its own, then a small JSON beside it names it: a crash
leaves the old pair.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
from blake3 import blake3

from engine.recall.index.kept import Kept, write
from engine.recall.index.signs import Signs

MOST = 131_072
"""Vectors in a part: writing one takes a moment, making one anew two minutes."""
BARE = 1_024
"""A part of fewer has no graph and no file: a graph takes 2.5 MiB however small, and there may
be thousands of small namespaces."""
LINKS, BUILD, LOOK = 16, 120, 512
"""M, ef_construction and the least ef of hnswlib: for a recall@10 of at least 0.99, measured."""
LOOK_OF_MANY = 320
"""Of many parts none has all of the nearest: each may look less far."""
_LOCKS = 65_536 * 40
"""hnswlib has a lock for each of so many labels, in every graph."""
ROWS = ".rows"
"""The end of the name of the file with its vectors."""
_SEED = 1993
_FIRST = 64


class UnusableError(Exception):
    """The file is not what was written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What stands beside a file. ``change``: the change of the index that it holds at last."""

    file: str
    dimensions: int
    count: int
    model: str
    change: int
    blake3: str


class Part:
    """Not for two threads at once."""

    def __init__(self, folder: Path, space: int, number: int, dimensions: int, model: str) -> None:
        self._folder, self.space, self.number = folder, space, number
        self._dimensions, self._model = dimensions, model
        self._index = self._empty(_FIRST)
        self._ids: set[int] = set()
        self._dead: set[int] = set()
        self._fresh: set[int] = set()
        self.kept: Kept | None = None
        """Its file, where it was written or loaded and can be read."""
        self.change = 0
        self.dirty = False

    def _empty(self, capacity: int) -> Any:
        index = hnswlib.Index(space="ip", dim=self._dimensions)
        index.init_index(capacity, M=LINKS, ef_construction=BUILD, random_seed=_SEED)
        index.set_num_threads(1)
        return index

    def __len__(self) -> int:
        return len(self._ids) - len(self._dead)

    @property
    def taken(self) -> int:
        """How many are in it, with what is dead."""
        return len(self._ids)

    @property
    def wasteful(self) -> bool:
        """Whether most of it is dead."""
        return len(self._dead) > max(32, len(self))

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return size_of(len(self._ids), self._dimensions)

    # --- changing -------------------------------------------------------------------------------

    def put(self, ids: Sequence[int], vectors: np.ndarray, change: int) -> None:
        """Adds or replaces. Raises ValueError for what is no vector of this index."""
        checked = check(vectors, self._dimensions, len(ids))
        capacity = self._index.get_max_elements()
        needed = len(self._ids | set(ids))
        if needed > capacity:
            self._index.resize_index(max(needed, min(MOST, capacity * 2)))
        for number in self._dead & set(ids):
            self._index.unmark_deleted(number)
            self._dead.discard(number)
        if len(ids):
            self._index.add_items(checked, np.asarray(ids, np.int64))
        self._ids.update(ids)
        self._fresh.update(ids)
        self._touched(change)

    def drop(self, ids: Sequence[int], change: int) -> None:
        """They are found no more; their vectors stay in the file until it is made anew."""
        for number in ids:
            if number in self._ids and number not in self._dead:
                self._index.mark_deleted(number)
                self._dead.add(number)
        self._touched(change)

    def erase(self, ids: Sequence[int], change: int) -> None:
        """As ``drop``, and their vectors are overwritten."""
        there = [number for number in ids if number in self._ids]
        blank = np.zeros((len(there), self._dimensions), np.float32)
        blank[:, 0] = 1.0
        self.put(there, blank, change)
        self.drop(there, change)

    def _touched(self, change: int) -> None:
        self.change = max(self.change, change)
        self.dirty = True

    @property
    def ids(self) -> set[int]:
        """Those that are alive."""
        return self._ids - self._dead

    @property
    def changed(self) -> set[int]:
        """Those of whom its file does not say the truth."""
        return self._fresh | self._dead

    def signs(self) -> Signs | None:
        """Of those that are alive, as its file has them; None where it cannot be read."""
        if self.kept is None:
            return None
        places = np.argsort(self.kept.labels)
        dead = np.fromiter(self._dead, np.int64)
        places = places[~np.isin(self.kept.labels[places], dead)]
        return Signs.of(self.change, self.kept.labels[places], self.kept.packed(places))

    # --- finding --------------------------------------------------------------------------------

    def nearest(self, vector: np.ndarray, count: int, look: int = LOOK) -> list[tuple[int, float]]:
        """(memory, cosine) of the nearest, best first. Raises ValueError."""
        query = check(vector[None, :], self._dimensions, 1)
        count = min(count, len(self))
        if count <= 0:
            return []
        self._index.set_ef(max(look, count + count // 2))
        labels, distances = self._index.knn_query(query, k=count, num_threads=1)
        return [
            (int(label), 1.0 - float(far))
            for label, far in zip(labels[0], distances[0], strict=True)
        ]

    # --- files ----------------------------------------------------------------------------------

    @property
    def _beside(self) -> Path:
        return self._folder / f"{self.space}-{self.number}.json"

    def save(self) -> None:
        """Raises OSError; then the file before it is still there."""
        name = f"{self.space}-{self.number}.{self.change}.hnsw"
        old = self._written()
        path = self._folder / f"{name}.part"
        self._index.save_index(str(path))
        told = Written(
            name, self._dimensions, len(self._ids), self._model, self.change, digest(path)
        )
        _reach_disk(path)
        path.replace(self._folder / name)
        draft = self._beside.with_suffix(".part")
        body = vars_of(told) | {"dead": sorted(self._dead)}
        draft.write_text(json.dumps(body), encoding="ascii")
        _reach_disk(draft)
        draft.replace(self._beside)
        if old is not None and old.file != name:
            (self._folder / old.file).unlink(missing_ok=True)
            (self._folder / old.file).with_suffix(ROWS).unlink(missing_ok=True)
        self.dirty = False
        self._keep(self._folder / name, told.blake3)

    def _keep(self, path: Path, of: str) -> None:
        """Opens the vectors of a part's file, made where they are not there."""
        self._fresh.clear()
        rows, form = path.with_suffix(ROWS), (self._dimensions, len(self._ids))
        try:
            self.kept = Kept(rows, of, *form)
            if set(self.kept.labels.tolist()) == self._ids:
                return
        except (OSError, ValueError):
            pass
        try:
            write(rows, path, of, *form)
            self.kept = Kept(rows, of, *form)
        except (OSError, ValueError, struct.error):  # Then the database is read instead.
            self.kept = None

    def _written(self) -> Written | None:
        try:
            found = json.loads(self._beside.read_text("ascii"))
            found.pop("dead")
            return Written(**found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    @property
    def files(self) -> set[str]:
        """The names of those that belong to it, if it was written."""
        file = self.file
        return set() if file is None else {self._beside.name, file.name, f"{file.stem}{ROWS}"}

    @property
    def file(self) -> Path | None:
        """Where it was written, if it was."""
        told = self._written()
        return None if told is None or "/" in told.file else self._folder / told.file

    def load(self, hashed: Callable[[Path], str] | None = None) -> None:
        """Raises UnusableError where there is no file, or it is not what was written.

        ``hashed``: where the file's digest was taken already, a moment ago.
        """
        told = self._written()
        if told is None:
            raise UnusableError("there is no file")
        path = self._folder / told.file
        if "/" in told.file or (told.dimensions, told.model) != (self._dimensions, self._model):
            raise UnusableError("it was made for another model")
        try:
            if (hashed or digest)(path) != told.blake3:
                raise UnusableError("its bytes are not those that were written")
        except OSError as error:
            raise UnusableError(error.strerror or type(error).__name__) from error
        index = hnswlib.Index(space="ip", dim=self._dimensions)
        try:
            index.load_index(str(path), max_elements=max(_FIRST, told.count))
        except (RuntimeError, OSError, MemoryError) as error:
            raise UnusableError("hnswlib cannot read it") from error
        if index.get_current_count() != told.count:
            raise UnusableError("it does not hold as many as were written")
        index.set_num_threads(1)
        try:
            dead = set(map(int, json.loads(self._beside.read_text("ascii"))["dead"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UnusableError("what stands beside it is damaged") from error
        self._index, self._ids = index, set(index.get_ids_list())
        self._dead = dead & self._ids
        self.change, self.dirty = told.change, False
        self._keep(path, told.blake3)


def size_of(count: int, dimensions: int) -> int:
    """Bytes that so many take: each vector, its links on the lowest level, its label."""
    return _LOCKS + count * (dimensions * 4 + LINKS * 8 + 4 + 8 + LINKS)


def vars_of(told: Written) -> dict[str, Any]:
    return {name: getattr(told, name) for name in Written.__slots__}


def check(vectors: np.ndarray, dimensions: int, count: int) -> np.ndarray:
    """The vectors as hnswlib takes them. Raises ValueError."""
    found = np.ascontiguousarray(vectors, np.float32)
    if found.shape != (count, dimensions):
        raise ValueError(f"{found.shape} where {(count, dimensions)} belongs")
    if not np.isfinite(found).all():
        raise ValueError("a vector with what is no number")
    return found


def digest(path: Path) -> str:
    """BLAKE3 of a file, in hex."""
    return str(blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest())


def _reach_disk(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
