"""The header of a GGUF file: its metadata and where its tensors lie. Every byte is a stranger's.

Nothing is allocated because the file says so: it is read window by window, arrays are walked
over, and whatever claims more than the file holds ends the reading. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import BinaryIO

from backends.shape import NONSENSE, Wrong

MAX_HEADER = 64 * 1024 * 1024
MAX_PAIRS = 100_000
MAX_TENSORS = 200_000
_MAX_KEY = 65_535
_MAX_TEXT = 1024
"""Bytes of a text that are kept; a longer one is only walked over."""
_MAX_NUMBERS = 4096
"""Numbers of an array that are kept, one for each layer; a longer one is only counted."""
_MAX_ELEMENTS = 2**50
_WINDOW = 1024 * 1024

_START = struct.Struct("<4sIQQ")  # magic, version, number of tensors, number of pairs
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_TEXT = 8
_ARRAY = 9

BLOCKS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}
"""Types of tensors by their number: name, values in a block, bytes of a block."""

Value = int | float | bool | str | tuple[int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """``offset`` counts from the start of the data. A ``size`` of a type that is not known here
    is up to the next tensor."""

    name: str
    kind: int
    elements: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """``values``: the metadata that is short. ``counts``: how long each array is, and ``places``
    where it begins. ``data``: where the tensors' data begin.
    """

    values: dict[str, Value]
    counts: dict[str, int]
    places: dict[str, int]
    tensors: tuple[Tensor, ...]
    data: int

    @property
    def end(self) -> int:
        """How long the file must be."""
        return max((self.data + each.offset + each.size for each in self.tensors), default=0)


def read_header(file: BinaryIO, size: int) -> Header:
    """The header of an open file of ``size`` bytes. Raises Wrong, OSError."""
    cursor = _Cursor(file, size)
    if size < _START.size:
        raise Wrong(f"is cut off: {size} bytes")
    magic, version, tensors, pairs = _START.unpack(cursor.take(_START.size))
    if magic != b"GGUF":
        raise Wrong(f"is not a GGUF model: it starts with {magic.decode('latin-1')!r}")
    if version not in {2, 3} or not 0 < pairs <= MAX_PAIRS or not 0 <= tensors <= MAX_TENSORS:
        raise Wrong(NONSENSE)
    values: dict[str, Value] = {}
    counts: dict[str, int] = {}
    places: dict[str, int] = {}
    for _ in range(pairs):
        key = cursor.text(_MAX_KEY)
        kind = cursor.number(_U32)
        if kind == _ARRAY:
            places[key] = cursor.at
            counts[key], found = _array(cursor)
            if found:
                values[key] = found
        else:
            values[key] = _scalar(cursor, kind)
    infos = tuple(_tensors(cursor, tensors))
    aligned = values.get("general.alignment", 32)
    if not isinstance(aligned, int) or not 0 < aligned <= 65_536 or aligned & (aligned - 1):
        raise Wrong(NONSENSE)
    data = -(-cursor.at // aligned) * aligned
    return Header(values, counts, places, _sized(infos, size - data), data)


def read_numbers(file: BinaryIO, size: int, place: int) -> tuple[int | float | bool, ...]:
    """All numbers of an array; none where it is one of texts. Raises Wrong, OSError."""
    cursor = _Cursor(file, size, place)
    form, count = _SCALARS.get(cursor.number(_U32)), cursor.number(_U64)
    if form is None:
        return ()
    return tuple(each[0] for each in form.iter_unpack(cursor.take(count * form.size)))


def read_texts(file: BinaryIO, size: int, place: int, which: Iterable[int]) -> list[str]:
    """Some texts of an array, in its order; none where it holds no texts. Raises Wrong, OSError."""
    cursor = _Cursor(file, size, place)
    kind, count = cursor.number(_U32), cursor.number(_U64)
    found: list[str] = []
    at = 0
    for each in which:
        if kind != _TEXT or not at <= each < count:
            break
        cursor.skip_texts(each - at)
        found.append(cursor.start_of_text(_MAX_TEXT))
        at = each + 1
    return found


def _sized(tensors: tuple[Tensor, ...], end: int) -> tuple[Tensor, ...]:
    if all(each.kind in BLOCKS for each in tensors):
        return tensors
    offsets = sorted({each.offset for each in tensors} | {end})
    following = dict(pairwise(offsets))
    return tuple(
        each
        if each.kind in BLOCKS
        else replace(each, size=max(0, following.get(each.offset, 0) - each.offset))
        for each in tensors
    )


def _scalar(cursor: _Cursor, kind: int) -> Value:
    if kind == _TEXT:
        return cursor.start_of_text(_MAX_TEXT)
    if (form := _SCALARS.get(kind)) is None:
        raise Wrong(NONSENSE)
    value: Value = form.unpack(cursor.take(form.size))[0]
    return value


def _array(cursor: _Cursor) -> tuple[int, tuple[int | float | bool, ...]]:
    """How many there are, and the numbers themselves where they are few."""
    kind, count = cursor.number(_U32), cursor.number(_U64)
    if kind == _TEXT:
        cursor.skip_texts(count)
        return count, ()
    if (form := _SCALARS.get(kind)) is None:  # Arrays of arrays: llama.cpp takes none either.
        raise Wrong(NONSENSE)
    if count > _MAX_NUMBERS:
        cursor.skip(count * form.size)
        return count, ()
    return count, tuple(each[0] for each in form.iter_unpack(cursor.take(count * form.size)))


def _tensors(cursor: _Cursor, count: int) -> Iterator[Tensor]:
    for _ in range(count):
        name = cursor.text(_MAX_TEXT)
        dimensions = cursor.number(_U32)
        if not 0 < dimensions <= 4:
            raise Wrong(NONSENSE)
        elements = prod(cursor.number(_U64) for _ in range(dimensions))
        kind, offset = cursor.number(_U32), cursor.number(_U64)
        if elements > _MAX_ELEMENTS or offset > _MAX_ELEMENTS:
            raise Wrong(NONSENSE)
        _, values, block = BLOCKS.get(kind, ("", 1, 0))
        yield Tensor(name, kind, elements, offset, elements // values * block)


class _Cursor:
    """Reads on and never back. ``at`` is the position in the file."""

    def __init__(self, file: BinaryIO, size: int, at: int = 0) -> None:
        self._file = file
        self._size = size
        self._end = min(size, MAX_HEADER)
        self._window = b""
        self._start = at
        self.at = at

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])

    def text(self, most: int) -> str:
        length = self.number(_U64)
        if length > most:
            raise Wrong(NONSENSE)
        return self.take(length).decode("utf-8", "replace")

    def start_of_text(self, most: int) -> str:
        length = self.number(_U64)
        kept = self.take(min(length, most))
        self.skip(length - len(kept))
        return kept.decode("utf-8", "replace")

    def take(self, count: int) -> bytes:
        self._have(count)
        begin = self.at - self._start
        self.at += count
        return self._window[begin : begin + count]

    def skip(self, count: int) -> None:
        self._check(count)
        self.at += count

    def skip_texts(self, count: int) -> None:
        self._check(count * _U64.size)
        unpack = _U64.unpack_from
        while count:
            self._have(_U64.size)
            window, here = self._window, self.at - self._start
            last = len(window) - _U64.size
            while count and here <= last:
                here += _U64.size + unpack(window, here)[0]
                count -= 1
            self.skip(self._start + here - self.at)

    def _have(self, count: int) -> None:
        """Moves the window where it does not hold the next ``count`` bytes."""
        self._check(count)
        if self.at + count <= self._start + len(self._window):
            return
        self._file.seek(self.at)
        self._window = self._file.read(max(count, _WINDOW))
        self._start = self.at
        if len(self._window) < count:  # It has shrunk meanwhile.
            raise Wrong("is cut off")

    def _check(self, count: int) -> None:
        if self.at + count > self._end:
            if self._end < self._size:
                raise Wrong(NONSENSE)
            raise Wrong(f"is cut off or damaged: its header goes on after its {self._size} bytes")
