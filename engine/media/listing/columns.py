"""Looking through all files by what the columns of their blocks say. Blocking; imports NumPy.

By a first look all blocks are narrowed by what numbers and folders tell, and of each is known the
best key that it may have. What remains is whoever asks to look at: the best block first, until none
can have a better one than the last that is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from engine.media.listing import packing, texts
from engine.media.listing.aside import Reading
from engine.media.listing.matching import Match, Phase
from engine.media.listing.packing import ARRAYS, BITS, DATED, Block
from engine.media.listing.texts import Array, Texts

T = TypeVar("T")

_MOST_MISSING = 12
"""So many blocks are packed in a thirtieth of a second."""
_TOGETHER = 64
"""Blocks whose numbers are looked at in one step: a millisecond."""
_TEXTS_AT_ONCE = 16
_MOST_BYTES = 8 * 1024 * 1024
"""Of folders that are looked at in one step, however long their paths are."""

_TEXTS = (
    f"SELECT b.block, {', '.join(texts.COLUMNS)} FROM file_block b"  # noqa: S608
    " JOIN block_name n ON n.block = b.block WHERE b.block IN (SELECT value FROM json_each(?))"
)


@dataclass(slots=True)
class Lead:
    """Rows of a block that fit as far as is known: their places in it, and their ids. ``keys`` are
    numbers, None by path and in no order; ``best``: none of them has a better key."""

    block: int
    rows: Array
    ids: Array
    keys: Array = None
    best: Any = None


class Columns:
    """The blocks of one reading, and what is looked for in them."""

    def __init__(
        self, reading: Reading, found: Match, made: Mapping[int, int], packed: Mapping[int, Block]
    ) -> None:
        """``made``: how many bytes the folders of each block take; ``packed``: those that are not
        there."""
        self.found, self._reading, self._packed = found, reading, packed
        self._folders = {**made, **{block: len(packed[block]["folders"]) for block in packed}}
        self._looks: Array = None
        self.barren: set[int] = set()
        """Blocks of which somebody saw that the name that is wanted is not in them."""
        self._hosts = [
            _flags(reading.ids(one.files, one.values), 1 + max(self._folders, default=-1))
            for one in found.sourced
            if one.column == "host"
        ]

    @classmethod
    def of(cls, reading: Reading, found: Match) -> Columns | None:
        """None: too little of the catalogue is in blocks, or they do not say what is asked for."""
        made, missing = packing.there(reading)
        if not (made or missing) or len(missing) > _MOST_MISSING:
            return None
        looks = packing.looks_of(reading) if any(found.looks) else {}
        columns = cls(reading, found, made, {b: packing.pack(reading, b, looks) for b in missing})
        if any(found.looks):
            if packing.full(looks):
                return None
            columns._looks = _wanted(looks, found)
        return columns

    def leads(
        self, phases: Sequence[Phase | None], beyond: tuple[Any, ...] = ()
    ) -> list[list[Lead]]:
        """Of each phase, in all blocks; of the first one only what comes behind a key and its id,
        ``beyond``. None is a phase in no order."""
        found: list[list[Lead]] = [[] for _ in phases]
        for part in self._parts(self._needed(phases)):
            keep = self._fitting(part)
            for number, phase in enumerate(phases):
                in_phase = part.of_phase(phase, () if number else beyond)
                rows = np.flatnonzero(keep & in_phase)
                if len(rows):
                    found[number] += part.leads(rows, phase)
        return found

    def texts(self, leads: Sequence[Lead]) -> Iterator[tuple[Lead, Texts]]:
        """Each with what its block says of paths; a few are read at once."""
        for some in self._batches(leads, lambda lead: lead.block, _TEXTS_AT_ONCE):
            named = json.dumps([lead.block for lead in some])
            told = {block: Texts(*data) for block, *data in self._reading.all(_TEXTS, (named,))}
            for lead in some:
                packed = self._packed.get(lead.block)
                if packed is None:
                    yield lead, told[lead.block]
                else:
                    yield lead, Texts(*(packed[name] for name in texts.COLUMNS))

    def _needed(self, phases: Sequence[Phase | None]) -> list[str]:
        ordered = [phase for phase in phases if phase is not None]
        found, keys = self.found, {phase.column for phase in ordered}
        names = {"id", "library"} | keys - {"path"}
        names |= {"look"} if self._looks is not None else set()
        names |= {"state"} if found.states or any(p.where for p in ordered) else set()
        names |= {"state", "taken_at", "mtime_ns"} if found.spans else set()
        names |= {"size"} if found.least else set()
        names |= {"sources"} if any(one.column == "kind" for one in found.sourced) else set()
        names |= {"folder", "folders"} if found.below or found.direct or "path" in keys else set()
        return sorted(names)

    def _parts(self, names: Sequence[str]) -> Iterator[_Part]:
        sql = (
            f"SELECT block, {', '.join(names)} FROM file_block"  # noqa: S608
            " WHERE block BETWEEN ? AND ? AND id IS NOT NULL"
        )
        for some in self._batches(sorted(self._folders), int, _TOGETHER):
            told = {block: data for block, *data in self._reading.all(sql, (some[0], some[-1]))}
            for block in self._packed.keys() & some:
                told[block] = [self._packed[block][name] for name in names]
            yield _Part(some, {n: [told[b][i] for b in some] for i, n in enumerate(names)})

    def _batches(
        self, items: Sequence[T], block_of: Callable[[T], int], most: int
    ) -> Iterator[list[T]]:
        some: list[T] = []
        taken = 0
        for item in items:
            size = self._folders[block_of(item)]
            if some and (len(some) == most or taken + size > _MOST_BYTES):
                yield some
                some, taken = [], 0
            some.append(item)
            taken += size
        if some:
            yield some

    def _fitting(self, part: _Part) -> Array:
        """Which rows fit as far as numbers and folders tell."""
        found = self.found
        keep = _among(part.array("library"), found.libraries)
        if self._looks is not None:
            keep &= self._looks[part.array("look")]
        if found.spans:
            date = np.where(part.dated(), part.array("taken_at"), part.array("mtime_ns"))
            within = [(date >= first) & (date <= last) for first, last in found.spans]
            keep &= np.logical_or.reduce(within)
        if found.least:
            keep &= part.array("size") >= found.least
        if found.states:
            wanted = [packing.STATES.index(state) for state in found.states]
            keep &= _among(part.array("state") & (DATED - 1), wanted)
        for one in found.sourced:
            if one.column == "kind":
                bits = sum(packing.SOURCES.get(kind, 0) for kind in set(one.values))
                keep &= (part.array("sources") & bits) > 0
        for flags in self._hosts:
            keep &= flags[part.ids()]
        if found.below or found.direct:
            keep &= part.within(found.below[0] if found.below else b"", direct=found.direct)
        return keep


@dataclass(slots=True)
class _Part:
    """Some blocks, one behind the other: of each column what each of them holds. ``ends``: where in
    the arrays each ends."""

    blocks: Sequence[int]
    columns: dict[str, list[bytes]]
    ends: Array = field(init=False)

    def __post_init__(self) -> None:
        self.ends = np.cumsum([len(one) for one in self.columns["id"]]) // 2

    def array(self, name: str) -> Array:
        return np.frombuffer(b"".join(self.columns[name]), ARRAYS[name])

    def ids(self) -> Array:
        counts = np.diff(self.ends, prepend=0)
        return np.repeat(np.asarray(self.blocks, np.int64) << BITS, counts) + self.array("id")

    def dated(self) -> Array:
        return (self.array("state") & DATED) > 0

    def within(self, top: bytes, *, direct: bool) -> Array:
        """Which rows lie below a folder, which ends with a slash, or right in it."""
        kept = []
        for folders, folder in zip(self.columns["folders"], self.columns["folder"], strict=True):
            each = [one + b"/" if one else b"" for one in folders.split(b"\0")]
            fits = [one == top if direct else one.startswith(top) for one in each]
            kept.append(np.array(fits)[np.frombuffer(folder, ARRAYS["folder"])])
        return np.concatenate(kept)

    def of_phase(self, phase: Phase | None, beyond: tuple[Any, ...]) -> Array:
        """Which rows are in a phase and, where that is a matter of numbers, behind a key and its
        id."""
        if phase is None or phase.column == "path":
            return True
        keep = True
        if phase.where:
            keep = self.dated() if phase.column == "taken_at" else ~self.dated()
        if not beyond:
            return keep
        keys, ids, (key, id_) = self.array(phase.column), self.ids(), beyond
        if phase.descending:
            return keep & ((keys < key) | ((keys == key) & (ids < id_)))
        return keep & ((keys > key) | ((keys == key) & (ids > id_)))

    def leads(self, rows: Array, phase: Phase | None) -> Iterator[Lead]:
        """By block."""
        block_of = np.searchsorted(self.ends, rows, side="right")
        starts = np.flatnonzero(np.diff(block_of, prepend=-1))
        places = rows - np.concatenate(([0], self.ends))[block_of]
        ids = self.ids()[rows]
        keys, best = self._keys(rows, starts, phase)
        ends = [*starts[1:].tolist(), len(rows)]
        for number, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
            at = int(block_of[start])
            lead = Lead(self.blocks[at], places[start:end], ids[start:end])
            if keys is not None:
                lead.keys, lead.best = keys[start:end], best[number]
            elif phase is not None:
                lead.best = self._best_path(at, lead.rows, phase)
            yield lead

    def _keys(self, rows: Array, starts: Array, phase: Phase | None) -> tuple[Array, list[int]]:
        """Of these rows, and the best of each block; None by path and in no order."""
        if phase is None or phase.column == "path":
            return None, []
        keys = self.array(phase.column)[rows]
        best = np.maximum if phase.descending else np.minimum
        return keys, best.reduceat(keys, starts).tolist()

    def _best_path(self, at: int, rows: Array, phase: Phase) -> bytes:
        folder = np.frombuffer(self.columns["folder"][at], ARRAYS["folder"])
        bounds = texts.bounds(self.columns["folders"][at], descending=phase.descending)
        places: list[int] = np.unique(folder[rows]).tolist()
        return (max if phase.descending else min)(bounds[place] for place in places)


def _wanted(looks: Mapping[packing.Look, int], found: Match) -> Array:
    """By the number of a look, whether it is wanted."""
    kinds, types, cameras = found.looks
    flags = np.zeros(max(looks.values(), default=0) + 1, bool)
    for (kind, type_, camera), number in looks.items():
        flags[number] = (
            (not kinds or (kind or "unknown") in kinds)
            and (not types or (type_ or "unknown") in types)
            and (not cameras or (camera != "" and camera in cameras))
        )
    return flags


def _flags(ids: Sequence[int], count: int) -> Array:
    """By id, of so many blocks, whether it is among these."""
    flags = np.zeros(count << BITS, bool)
    flags[np.asarray(ids, np.int64)] = True
    return flags


def _among(values: Array, wanted: Sequence[int]) -> Array:
    return values == wanted[0] if len(wanted) == 1 else np.isin(values, wanted)
