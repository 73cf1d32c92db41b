"""Finding by meaning: the vectors of all memories, in parts that are loaded when they are needed.

Each space has parts of its own, so nothing of another one is ever near. What is in which part is
written in the derived database in the same transaction as the vectors; a part's file is brought up
to date with it when it is loaded, or made anew from it where the file is stale or damaged.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from engine.recall.index.parts import MOST, Part, UnusableError, check, digest
from engine.recall.index.shelf import Shelf, key_of, memory_of, span

_log = logging.getLogger(__name__)
_LEAST = 32
_TOGETHER = 4_096
"""Vectors that are read from the database at a time."""


class Vectors:
    """``budget``: bytes that the loaded parts may take; what was used least is let go."""

    def __init__(self, shelf: Shelf, model: str, dimensions: int, budget: int) -> None:
        self._shelf, self._model, self.dimensions = shelf, model, dimensions
        self._budget = budget
        self._folder = shelf.folder / "vectors"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._loaded: OrderedDict[tuple[int, int], Part] = OrderedDict()
        self._change = int(shelf.get("change") or 0)
        self._numbers: dict[int, list[int]] = {}
        self._hashing = ThreadPoolExecutor(1, "hashing")
        self._looking = ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "looking")
        self._hashed: dict[Path, Future[str]] = {}
        self.remade: list[str] = []
        """Parts that were made anew, and why; whoever tells them empties it."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(part.size for part in self._loaded.values())

    @property
    def dirty(self) -> bool:
        return any(part.dirty for part in self._loaded.values())

    # --- vectors in the database ----------------------------------------------------------------

    def put(self, spaces: Sequence[tuple[int, ...]], ids: Sequence[int], found: np.ndarray) -> None:
        """Stores vectors of unit length, and puts each into the spaces where it stands.

        Raises ValueError for what is no vector of this model.
        """
        unit = normal(check(found, self.dimensions, len(ids)))
        db = self._shelf.db
        rows = [
            (number, row.tobytes())
            for number, row in zip(ids, unit.astype(np.float16), strict=True)
        ]
        db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", rows)
        db.executemany("DELETE FROM unembedded WHERE memory = ?", [(number,) for number in ids])
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
        where = self._placed(space, ids)
        new = [i for i, number in enumerate(ids) if number not in where]
        for part_number in {*where.values()}:
            rows = [i for i, number in enumerate(ids) if where.get(number) == part_number]
            self._into(space, part_number, [ids[i] for i in rows], unit[rows])
        while new:
            part_number = self._open_part(space)
            part = self.part(space, part_number)
            room = max(1, MOST - len(part.ids))
            rows, new = new[:room], new[room:]
            self._into(space, part_number, [ids[i] for i in rows], unit[rows])

    def _into(self, space: int, number: int, ids: list[int], unit: np.ndarray) -> None:
        part = self.part(space, number)
        if number not in self.numbers(space):
            self._numbers[space].append(number)
        self._change += 1
        part.put(ids, unit, self._change)
        self._shelf.db.executemany(
            "INSERT OR REPLACE INTO placed VALUES (?, ?, ?)",
            [(key_of(space, memory), number, self._change) for memory in ids],
        )
        self._shelf.put("change", self._change)

    def _placed(self, space: int, ids: Iterable[int]) -> dict[int, int]:
        keys = ",".join(str(key_of(space, number)) for number in ids)
        return {
            memory_of(key): part
            for key, part in self._shelf.db.execute(
                f"SELECT key, part FROM placed WHERE key IN ({keys})"  # noqa: S608 - numbers
            )
        }

    def _open_part(self, space: int) -> int:
        numbers = self.numbers(space)
        if not numbers:
            return 0
        return numbers[-1] + 1 if self.part(space, numbers[-1]).full else numbers[-1]

    def numbers(self, space: int) -> list[int]:
        """The parts of a space, in order."""
        if space not in self._numbers:
            low, high = span(space)
            self._numbers[space] = [
                row[0]
                for row in self._shelf.db.execute(
                    "SELECT DISTINCT part FROM placed WHERE key BETWEEN ? AND ? ORDER BY part",
                    (low, high),
                )
            ]
        return self._numbers[space]

    def of(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of these memories those whose vectors are known, by number, and the vectors."""
        marks = ",".join(map(str, ids))
        rows = self._shelf.db.execute(
            "SELECT memory, data FROM vector"  # noqa: S608 - numbers
            f" WHERE memory IN ({marks}) AND length(data) = ? ORDER BY memory",
            (2 * self.dimensions,),
        ).fetchall()
        known = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        data = np.frombuffer(b"".join(row[1] for row in rows), np.float16)
        return known, data.reshape(len(rows), self.dimensions).astype(np.float32)

    # --- taking out -----------------------------------------------------------------------------

    def drop(self, keys: Iterable[int], *, erase: bool = False) -> None:
        """They are found no more. ``erase``: nothing of their vectors stays in any file."""
        rows = [
            (key, part)
            for key in keys
            for (part,) in self._shelf.db.execute("SELECT part FROM placed WHERE key = ?", (key,))
        ]
        for key, number in rows:
            part = self.part(key >> 32, number)
            self._change += 1
            (part.erase if erase else part.drop)([memory_of(key)], self._change)
            self._shelf.db.execute("DELETE FROM placed WHERE key = ?", (key,))
            self._shelf.put("change", self._change)

    # --- parts ----------------------------------------------------------------------------------

    def part(self, space: int, number: int) -> Part:
        """A part, loaded, brought up to date, or made anew."""
        key = (space, number)
        if (held := self._loaded.get(key)) is not None:
            self._loaded.move_to_end(key)
            return held
        part = Part(self._folder, space, number, self.dimensions, self._model)
        known = self._shelf.db.execute(
            "SELECT 1 FROM placed WHERE key BETWEEN ? AND ? AND part = ? LIMIT 1",
            (*span(space), number),
        ).fetchone()
        if known is not None:
            try:
                part.load(self._digest)
            except UnusableError as error:
                part = Part(self._folder, space, number, self.dimensions, self._model)
                self.remade.append(f"part {number} of space {space}: {error}")
            self._bring_up_to_date(part)
        self._loaded[key] = part
        self._let_go(key)
        return part

    def _hash_ahead(self, space: int, numbers: Sequence[int]) -> None:
        """Of several parts that are to be loaded, each is hashed while those before it load."""
        missing = [number for number in numbers if (space, number) not in self._loaded]
        for number in missing if len(missing) > 1 else ():
            file = Part(self._folder, space, number, self.dimensions, self._model).file
            if file is not None:
                self._hashed[file] = self._hashing.submit(digest, file)

    def _digest(self, path: Path) -> str:
        ahead = self._hashed.pop(path, None)
        return digest(path) if ahead is None else ahead.result()

    def _bring_up_to_date(self, part: Part) -> None:
        low, high = span(part.space)
        placed = {
            memory_of(key): change
            for key, change in self._shelf.db.execute(
                "SELECT key, change FROM placed WHERE part = ? AND key BETWEEN ? AND ?",
                (part.number, low, high),
            )
        }
        gone = [number for number in part.ids if number not in placed]
        if gone:
            part.drop(gone, self._change)
        there, since = part.ids, part.change
        wanted = [n for n, change in placed.items() if n not in there or change > since]
        for start in range(0, len(wanted), _TOGETHER):
            known, found = self.of(wanted[start : start + _TOGETHER])
            if len(known):
                part.put(known.tolist(), found, self._change)

    def _let_go(self, used: tuple[int, int]) -> None:
        while self.size > self._budget and len(self._loaded) > 1:
            key = next(key for key in self._loaded if key != used)
            part = self._loaded.pop(key)
            if part.dirty:
                part.save()

    def save(self) -> None:
        """Writes what has changed; what is mostly dead is made anew first. Raises OSError."""
        for (space, number), part in list(self._loaded.items()):
            kept = part
            if part.wasteful:
                kept = Part(self._folder, space, number, self.dimensions, self._model)
                self._bring_up_to_date(kept)
                self._loaded[space, number] = kept
            if kept.dirty:
                kept.save()

    def clean(self) -> None:
        """Removes files that nothing refers to any more."""
        kept = set()
        for path in self._folder.glob("*.json"):
            space, _, number = path.stem.partition("-")
            known = self._shelf.db.execute(
                "SELECT 1 FROM placed WHERE part = ? AND key BETWEEN ? AND ? LIMIT 1",
                (int(number), *span(int(space))),
            ).fetchone()
            part = Part(self._folder, int(space), int(number), self.dimensions, self._model)
            if known is None:
                part.remove()
            elif (file := part.file) is not None:
                kept |= {file.name, path.name}
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink()

    # --- finding --------------------------------------------------------------------------------

    def nearest(self, space: int, vector: np.ndarray, count: int) -> list[tuple[int, float]]:
        """(memory, cosine) of the nearest of a space, best first. Raises ValueError.

        Of many parts each gives its share, three times over: the nearest seldom lie in one.
        """
        found: list[tuple[int, float]] = []
        numbers = self.numbers(space)
        each = min(count, max(_LEAST, 3 * count // max(1, len(numbers))))
        self._hash_ahead(space, numbers)
        parts = [self.part(space, number) for number in numbers]
        # hnswlib lets go of the interpreter while it looks: several parts on several cores.
        for near in self._looking.map(lambda part: part.nearest(vector, each), parts):
            found += near
        found.sort(key=lambda hit: -hit[1])
        return found[:count]


def normal(vectors: np.ndarray) -> np.ndarray:
    """Of unit length; what has no direction gets one that is like nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 0, vectors / np.maximum(lengths, 1e-12), 0.0).astype(np.float32)
