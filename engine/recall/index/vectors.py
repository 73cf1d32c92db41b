"""Finding by meaning: the vectors of all memories, in parts that are loaded when they are needed.

Each space has parts of its own, so nothing of another one is ever near. What is in which part is
written in the derived database in the same transaction as the vectors; a part's file is brought up
to date with it when it is loaded, or made anew from it where the file is stale or damaged.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.recall.index.parts import (
    BARE,
    LOOK,
    LOOK_OF_MANY,
    MOST,
    Part,
    UnusableError,
    check,
    digest,
    size_of,
)
from engine.recall.index.places import Places
from engine.recall.index.shelf import Shelf, key_of, memory_of
from engine.recall.index.signs import Signs, SignTable
from engine.recall.index.table import Table

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LEAST = 32
_TOGETHER = 4_096
"""Vectors that are read from the database at a time."""
_MANY = 8
_AT_ONCE = 2
"""Parts that a search loads by itself. Where more are missing it goes by their signs, and they are
loaded between searches."""
_NOTE = re.compile(r"\d{1,10}-\d{1,10}\.json")
LIKELY = 1_024
"""So many are compared that their signs say are near."""

Near = list[tuple[int, float]]
"""Memory and cosine, best first."""


class Vectors:
    """``budget``: bytes that the loaded parts may take; what was used least is let go."""

    def __init__(self, shelf: Shelf, model: str, dimensions: int, budget: int) -> None:
        self._shelf, self._model, self.dimensions = shelf, model, dimensions
        self._budget = budget
        self._folder = shelf.folder / "vectors"
        if self._folder.exists() and not self._folder.is_dir():
            self._folder.unlink()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._loaded: OrderedDict[tuple[int, int], Part] = OrderedDict()
        self._places = Places(shelf)
        self._hashing = ThreadPoolExecutor(1, "hashing")
        self._looking = ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "looking")
        self._hashed: dict[Path, Future[str]] = {}
        self._signs = SignTable(shelf, dimensions)
        self._wanted: OrderedDict[tuple[int, int], int] = OrderedDict()
        """Parts that a search did without, and how many are in each."""
        self._litter: list[Path] = []
        self._table = Table(shelf, dimensions)
        self.remade = self._table.remade
        """What was made anew, and why; whoever tells it empties it."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        graphs = sum(part.size for part in self._loaded.values())
        return graphs + self._signs.size + self._table.rows.size

    @property
    def dirty(self) -> bool:
        return any(part.dirty for part in self._loaded.values())

    # --- putting in -----------------------------------------------------------------------------

    def put(self, spaces: Sequence[tuple[int, ...]], ids: Sequence[int], found: np.ndarray) -> None:
        """Stores vectors of unit length, and puts each into the spaces where it stands.

        Raises ValueError for what is no vector of this model.
        """
        unit = normal(check(found, self.dimensions, len(ids)))
        self._table.put(ids, unit)
        by_space: dict[int, list[int]] = {}
        for row, standing in enumerate(spaces):
            for space in standing:
                by_space.setdefault(space, []).append(row)
        for space, places in by_space.items():
            self._insert(space, [ids[i] for i in places], unit[places])

    def stand(self, space: int, memory: int) -> None:
        """A memory whose vector is known stands in this space too from now on."""
        known, found = self.of([memory])
        if len(known):
            self._insert(space, [memory], found)

    def _insert(self, space: int, ids: list[int], unit: np.ndarray) -> None:
        placed = self._places.of(key_of(space, number) for number in ids)
        where = {memory_of(key): part for key, part in placed.items()}
        new = [i for i, number in enumerate(ids) if number not in where]
        for part_number in {*where.values()}:
            rows = [i for i, number in enumerate(ids) if where.get(number) == part_number]
            self._into(space, part_number, [ids[i] for i in rows], unit[rows], 0)
        while new:
            part_number = self._open_part(space)
            room = max(1, MOST - self._taken(space, part_number))
            rows, new = new[:room], new[room:]
            self._into(space, part_number, [ids[i] for i in rows], unit[rows], len(rows))

    def _into(self, space: int, number: int, ids: list[int], unit: np.ndarray, more: int) -> None:
        """``more``: how many of them are new there."""
        part = None if self._is_bare(space, number, more) else self.part(space, number)
        self._places.change += 1
        self._places.put(space, number, ids)
        if part is None:
            self._note_bare(space, number)
        else:
            part.put(ids, unit, self._places.change)
            self._note(part)

    def _note(self, part: Part) -> None:
        self._places.note(part.space, part.number, len(part), part.change)

    def _note_bare(self, space: int, number: int) -> None:
        places = self._places
        places.note(space, number, len(places.members(space, number)), places.change)

    def _open_part(self, space: int) -> int:
        numbers = self._places.numbers(space)
        if not numbers:
            return 0
        last = numbers[-1]
        return last + 1 if self._taken(space, last) >= MOST else last

    def _taken(self, space: int, number: int) -> int:
        """Places that are taken in a part, also by what is dead."""
        if self._is_bare(space, number):
            return self._places.alive(space, number)
        return self.part(space, number).taken

    def of(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of these memories those whose vectors are known, in order, and the vectors."""
        return self._table.of(ids)

    # --- taking out -----------------------------------------------------------------------------

    def drop(self, keys: Iterable[int], *, erase: bool = False) -> None:
        """They are found no more. ``erase``: nothing of their vectors stays in any file."""
        for key, number in self._places.of(keys).items():
            space = key >> 32
            part = None if self._is_bare(space, number) else self.part(space, number)
            self._places.change += 1
            self._places.drop(key)
            self._table.rows.forget([memory_of(key)])
            if part is None:
                self._note_bare(space, number)
            else:
                (part.erase if erase else part.drop)([memory_of(key)], self._places.change)
                self._note(part)

    # --- parts ----------------------------------------------------------------------------------

    def _is_bare(self, space: int, number: int, more: int = 0) -> bool:
        """Whether a part is, and with so many more stays, too small for a graph: it is compared
        whole. One that had a graph keeps it until the next start."""
        if (space, number) in self._loaded:
            return False
        alive = self._places.alive(space, number)
        return alive + more < BARE and self._empty(space, number).file is None

    def _empty(self, space: int, number: int) -> Part:
        return Part(self._folder, space, number, self.dimensions, self._model)

    def part(self, space: int, number: int) -> Part:
        """A part, loaded, brought up to date, or made anew."""
        key = (space, number)
        if (held := self._loaded.get(key)) is not None:
            self._loaded.move_to_end(key)
            return held
        self._wanted.pop(key, None)
        part = self._empty(space, number)
        if (noted := self._places.noted(space, number)) is not None:
            try:
                part.load(self._digest)
            except UnusableError as error:
                if noted[0] >= BARE or part.file is not None:  # Else it had none yet.
                    self.remade.append(f"part {number} of space {space}: {error}")
                part = self._empty(space, number)
            if (len(part), part.change) != noted:
                self._bring_up_to_date(part)
        self._loaded[key] = part
        self._table.rows.add(key, part.kept, part.changed)
        self._let_go(key)
        return part

    def _hash_ahead(self, space: int, numbers: Sequence[int]) -> None:
        """Of several parts that are to be loaded, each is hashed while those before it load."""
        missing = [number for number in numbers if (space, number) not in self._loaded]
        for number in missing if len(missing) > 1 else ():
            file = self._empty(space, number).file
            if file is not None:
                self._hashed[file] = self._hashing.submit(digest, file)

    def _digest(self, path: Path) -> str:
        ahead = self._hashed.pop(path, None)
        return digest(path) if ahead is None else ahead.result()

    def _bring_up_to_date(self, part: Part) -> None:
        placed, since = self._places.members(part.space, part.number), part.change
        gone = [number for number in part.ids if number not in placed]
        if gone:
            part.drop(gone, self._places.change)
        there = part.ids
        wanted = [n for n, change in placed.items() if n not in there or change > since]
        for start in range(0, len(wanted), _TOGETHER):
            known, found = self.of(wanted[start : start + _TOGETHER])
            if len(known):
                part.put(known.tolist(), found, self._places.change)
        self._note(part)

    def _let_go(self, used: tuple[int, int]) -> None:
        while self.size > self._budget and len(self._loaded) > 1:
            key = next(key for key in self._loaded if key != used)
            part = self._loaded.pop(key)
            if part.dirty:
                self._save(part)

    def save(self) -> None:
        """Writes what has changed; what is mostly dead is made anew first. Raises OSError."""
        for (space, number), part in list(self._loaded.items()):
            kept = part
            if part.wasteful:
                kept = self._empty(space, number)
                self._bring_up_to_date(kept)
                self._loaded[space, number] = kept
            if kept.dirty:
                self._save(kept)

    def _save(self, part: Part) -> None:
        """The part's file, and its signs."""
        part.save()
        self._signs.put(part.space, part.number, part.signs())
        self._table.rows.add((part.space, part.number), part.kept, part.changed)

    def clean(self) -> None:
        """Finds files that nothing refers to any more (``sweep`` removes them), and those of parts
        that need no graph."""
        kept = set()
        for path in self._folder.glob("*.json"):
            if not _NOTE.fullmatch(path.name) or not path.is_file():
                continue  # It is none of a part.
            space, number = map(int, path.stem.split("-"))
            part = self._empty(space, number)
            if self._places.alive(space, number) < BARE or part.file is None:
                path.unlink()
                self._signs.drop(space, number)
            else:
                kept |= part.files
        self._litter = [path for path in self._folder.iterdir() if path.name not in kept]
        self._places.clean()

    def sweep(self) -> bool:
        """Removes one of the files that nothing refers to; False where there is none. It takes ten
        milliseconds for each that is large."""
        if self._litter:
            path = self._litter.pop()
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return bool(self._litter)

    # --- finding --------------------------------------------------------------------------------

    def nearest(self, space: int, vector: np.ndarray, count: int) -> Near:
        """The nearest of a space. Raises ValueError."""
        return self.begin(space, vector, count)()

    def begin(self, space: int, vector: np.ndarray, count: int) -> Callable[[], Near]:
        """Looks in other threads; what it returns waits for the nearest of a space, and must be
        called before anything changes. Raises ValueError.

        Of many parts each gives its share, three times over: the nearest seldom lie in one.
        """
        query = check(vector[None, :], self.dimensions, 1)[0]
        numbers = self._places.numbers(space)
        each = min(count, max(_LEAST, 3 * count // max(1, len(numbers))))
        bare = [number for number in numbers if self._is_bare(space, number)]
        drawn = [number for number in numbers if number not in bare]
        signs = self._by_signs(space, drawn)
        graphs = [number for number in drawn if (space, number) not in signs]
        self._hash_ahead(space, graphs)
        parts = [self.part(space, number) for number in graphs]
        # hnswlib and NumPy let go of the interpreter while they look: several cores, several parts.
        look = LOOK if len(numbers) < _MANY else LOOK_OF_MANY
        looks = [self._looking.submit(part.nearest, query, each, look) for part in parts]
        likely = [self._looking.submit(one.likely, query, LIKELY) for one in signs.values()]

        def finish() -> Near:
            found = [hit for look in looks for hit in look.result()]
            if likely:
                found += self.compared(query, [one.result() for one in likely])
            for number in bare:
                known, vectors = self.of(list(self._places.members(space, number)))
                found += zip(known.tolist(), (vectors @ query).tolist(), strict=True)
            return sorted(found, key=itemgetter(1), reverse=True)[:count]

        return finish

    def _by_signs(self, space: int, numbers: Sequence[int]) -> dict[tuple[int, int], Signs]:
        """Of the parts that are not loaded those whose signs are known, if they are many, or more
        than the budget holds."""
        missing = {
            (space, number): self._places.noted(space, number) or (0, -1)
            for number in numbers
            if (space, number) not in self._loaded
        }
        found: dict[tuple[int, int], Signs] = {}
        needed = sum(size_of(alive, self.dimensions) for alive, _ in missing.values())
        if len(missing) <= _AT_ONCE and self.size + needed <= self._budget:
            return found
        for key, (alive, change) in missing.items():
            if (signs := self._signs.get(*key)) is not None and signs.change == change:
                found[key] = signs
                self._wanted[key] = alive
        return found

    def signs(self, space: int) -> list[Signs]:
        """Those of a space's parts, as they were when these were written down."""
        kept = (self._signs.get(space, number) for number in self._places.numbers(space))
        return [signs for signs in kept if signs is not None]

    def begin_work(self, work: Callable[[Signs], T], signs: Signs) -> Future[T]:
        """In another thread, which nothing that changes may come to meet."""
        return self._looking.submit(work, signs)

    def compared(self, query: np.ndarray, likely: Sequence[tuple[np.ndarray, np.ndarray]]) -> Near:
        """The likeliest of all, by their vectors; what is likely: ids, and how far apart."""
        ids = np.concatenate([numbers for numbers, _ in likely])
        apart = np.concatenate([places for _, places in likely])
        if len(ids) > LIKELY:
            ids = ids[np.argpartition(apart, LIKELY)[:LIKELY]]
        known, vectors = self.of(ids.tolist())
        return list(zip(known.tolist(), (vectors @ query).tolist(), strict=True))

    @property
    def lacks_parts(self) -> bool:
        """Whether a search did without a part that the budget can hold."""
        if not self._wanted:
            return False
        count = next(iter(self._wanted.values()))
        return self.size + size_of(count, self.dimensions) <= self._budget

    def load_one(self) -> None:
        """Loads a part that a search did without."""
        key = next(iter(self._wanted))
        self.part(*key)
        self._signs.let_go(*key)


def normal(vectors: np.ndarray) -> np.ndarray:
    """Of unit length; what has no direction gets one that is like nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 0, vectors / np.maximum(lengths, 1e-12), 0.0).astype(np.float32)
