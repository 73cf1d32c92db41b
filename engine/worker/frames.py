"""How the room and its worker processes speak: a length (4 bytes, big-endian) and JSON.

Standard library only: a worker must start fast. JSON and not a pickle: a frame is data. Paths are
bytes on a disk and text in a frame (UTF-8, what is not UTF-8 as lone surrogates, escaped by JSON).
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

Frame = dict[str, Any]

HEADER = struct.Struct(">I")
MAX_FRAME = 1024 * 1024


def encode(frame: Frame) -> bytes:
    """The frame's bytes. Raises ValueError where it is larger than MAX_FRAME."""
    body = json.dumps(frame, separators=(",", ":")).encode("ascii")
    if len(body) > MAX_FRAME:
        raise ValueError(f"a frame of {len(body)} bytes")
    return HEADER.pack(len(body)) + body


def size_of(header: bytes) -> int:
    """The length of the body that follows. Raises ValueError where no frame is that large."""
    size: int = HEADER.unpack(header)[0]
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    return size


def read(stream: BinaryIO) -> Frame | None:
    """The next frame; None at the end of the stream. Blocking."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    size = size_of(header)
    body = stream.read(size)
    return None if len(body) < size else json.loads(body)


def to_text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def to_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
