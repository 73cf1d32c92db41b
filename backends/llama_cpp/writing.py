"""The header of a GGUF file, written. Standard library only."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from backends.llama_cpp.header import BLOCKS

F32, F16, Q8_0 = 0, 1, 8
ALIGNMENT = 32
"""Bytes. The data of each tensor begin at a multiple of it."""
Tensor = tuple[str, tuple[int, ...], int]
"""Name, dimensions (the innermost first), type."""


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key: str, value: Any) -> bytes:
    """One of the metadata: a list is an array; whole numbers have 32 bits, signed in a list."""
    return text(key) + _typed(value)


def header(values: Mapping[str, Any], tensors: Sequence[Tensor]) -> tuple[bytes, int]:
    """The header, padded, and how many bytes of data belong behind it.

    The data come in the order of the tensors, those of each padded too.
    """
    out = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values))]
    out += [pair(key, value) for key, value in values.items()]
    offset = 0
    for name, dimensions, kind in tensors:
        out.append(text(name) + struct.pack("<I", len(dimensions)))
        out += [struct.pack("<Q", each) for each in dimensions]
        out.append(struct.pack("<IQ", kind, offset))
        _, values_in_block, block = BLOCKS.get(kind, ("", 1, 1))
        size = prod(dimensions) // values_in_block * block
        offset += size + padding(size)
    data = b"".join(out)
    return data + bytes(padding(len(data))), offset


def padding(size: int) -> int:
    """How many zeros belong behind so many bytes."""
    return -size % ALIGNMENT


def _typed(value: Any, whole: tuple[int, str] = (4, "<I")) -> bytes:
    kinds = {bool: (7, "<?"), int: whole, float: (6, "<f")}
    if isinstance(value, str | bytes):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        typed = [_typed(each, (5, "<i")) for each in value]
        inner = b"".join(each[4:] for each in typed)
        return struct.pack("<I", 9) + typed[0][:4] + struct.pack("<Q", len(value)) + inner
    number, form = kinds[type(value)]
    return struct.pack("<I", number) + struct.pack(form, value)
