"""Checksum lists, as md5sum, sha1sum, sha256sum, sha512sum and b3sum write them.

The algorithm is said by a tag (``SHA256 (name) = ...``) or by the length of the digest; 64 digits
may be SHA-256 or BLAKE3, and either may match. Whoever wrote the list is not trusted: a line that
is not understood, or that leads out of the library, is told with its number. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_BYTES = 32 * 1024 * 1024
_LONGEST = 4 * 4096 + 256
_BY_LENGTH = {
    32: ("md5",),
    40: ("sha1",),
    64: ("sha256", "blake3"),
    128: ("sha512",),
}
_BY_TAG = {
    b"MD5": ("md5", 32),
    b"SHA1": ("sha1", 40),
    b"SHA256": ("sha256", 64),
    b"SHA512": ("sha512", 128),
    b"BLAKE3": ("blake3", 64),
}
_PLAIN = re.compile(rb"([0-9A-Fa-f]{32,128}) [ *](.+)", re.DOTALL)
_TAGGED = re.compile(rb"([A-Z0-9]{2,12}) ?\((.+)\) ?= ?([0-9A-Fa-f]+)", re.DOTALL)
_ESCAPES = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


class ListError(Exception):
    """A line that is not one of a checksum list; what is wrong with it."""


class Entry(NamedTuple):
    """``name`` as the list has it; ``kinds``: the algorithms that the digest may be of."""

    line: int
    name: bytes
    kinds: tuple[str, ...]
    digest: str


def parse(data: bytes) -> Iterator[Entry | tuple[int, str]]:
    """The entries, in order; for a line that is none its number and the reason."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line, start, number = data[start:end], end + 1, number + 1
        line = line.removesuffix(b"\r")
        if not line or line.startswith(b"#"):
            continue
        try:
            yield _entry(number, line)
        except ListError as error:
            yield number, str(error)


def _entry(number: int, line: bytes) -> Entry:
    if len(line) > _LONGEST:
        raise ListError(f"it is {len(line)} bytes long")
    escaped = line.startswith(b"\\")
    line = line[1:] if escaped else line
    if tagged := _TAGGED.fullmatch(line):
        tag, name, digits = tagged.groups()
        if tag not in _BY_TAG:
            raise ListError(f"{tag.decode('ascii')} is no algorithm that is known here")
        kind, length = _BY_TAG[tag]
        if len(digits) != length:
            raise ListError(f"a digest of {len(digits)} digits, where {kind} has {length}")
        kinds: tuple[str, ...] = (kind,)
    elif plain := _PLAIN.fullmatch(line):
        digits, name = plain.groups()
        if len(digits) not in _BY_LENGTH:
            raise ListError(f"no algorithm known here has digests of {len(digits)} digits")
        kinds = _BY_LENGTH[len(digits)]
    else:
        raise ListError("it is not a digest, two characters and a name")
    if escaped:
        name = _unescaped(name)
    if b"\0" in name:
        raise ListError("a name with NUL in it")
    return Entry(number, name, kinds, digits.decode("ascii").lower())


def _unescaped(name: bytes) -> bytes:
    parts = re.split(rb"(\\.?)", name, flags=re.DOTALL)
    for part in parts[1::2]:
        if part not in _ESCAPES:
            raise ListError("a backslash in the name that escapes nothing")
    return b"".join(_ESCAPES.get(part, part) for part in parts)


def inside(name: bytes, root: bytes, base: bytes) -> bytes:
    """The name as a path relative to the library's ``root``.

    ``base``: the folder, relative to it, that the list's own names start from. Raises ListError
    where it leads elsewhere.
    """
    if name.startswith(b"/"):
        if not name.startswith(root + b"/"):
            raise ListError("it leads out of the library")
        path = name[len(root) + 1 :]
    else:
        path = base + b"/" + name if base else name
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise ListError("it leads upwards (..)")
    if not parts or len(path) > 4096:
        raise ListError("it names no file")
    return b"/".join(parts)
