"""What disks do to files."""

from __future__ import annotations

from pathlib import Path


def flip(path: Path, word: bytes) -> None:
    """The upper bit of a letter of each: what is no UTF-8."""
    data = bytearray(path.read_bytes())
    at = data.find(word)
    assert at >= 0
    while at >= 0:
        data[at + 1] ^= 0x80
        at = data.find(word, at + 1)
    path.write_bytes(data)
