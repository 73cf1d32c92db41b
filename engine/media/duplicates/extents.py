"""Where on the disk a file's bytes lie: what reflinks share comes free only with the last of them.

Linux tells it (FIEMAP). Other systems, and file systems that share without telling, are unknown.
Standard library only.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_FIEMAP = 0xC020660B
_HEAD = struct.Struct("=QQLLLL")
_EXTENT = struct.Struct("=QQQ16xL12x")
_AT_ONCE = 128
_MOST = 8192
_LAST = 0x1
_NOWHERE = 0x2 | 0x4 | 0x200  # Unknown, not yet allocated, or inside of the inode.
_SHARED = 0x2000
_NEVER_SHARE = re.compile(
    b"ext[234]|tmpfs|ramfs|v?fat|exfat|msdos|ntfs3?|hfs|hfsplus|iso9660|udf|squashfs|jfs|reiserfs"
)

Span = tuple[int, int]
"""From, up to: bytes of a disk."""


class Layout(NamedTuple):
    """``taken``: bytes on the disk. ``shared``: where those lie that the file system says are not
    this file's alone; None where it cannot be known."""

    taken: int
    shared: list[Span] | None


class Weight(NamedTuple):
    """``shares`` as the contract names it; ``frees``: bytes that go with it."""

    shares: str
    frees: int


def never_share(dev: int, mounts: bytes) -> bool:
    """Whether files of this device cannot share bytes. ``mounts``: the table of what is mounted."""
    number = b"%d:%d" % (dev >> 8 & 0xFFF | dev >> 32 & ~0xFFF, dev & 0xFF | dev >> 12 & ~0xFF)
    for line in mounts.split(b"\n"):
        before, dash, after = line.partition(b" - ")
        if dash and before.split()[2:3] == [number]:
            return _NEVER_SHARE.fullmatch(after.split()[0]) is not None
    return False


def shared_spans(fd: int) -> list[Span] | None:
    """Where the bytes lie that the file may share with others; None where nobody tells."""
    if sys.platform != "linux":
        return None
    import fcntl

    spans: list[Span] = []
    start = seen = 0
    while seen < _MOST:
        buffer = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(buffer, 0, start, 2**64 - 1 - start, 0, 0, _AT_ONCE, 0)
        try:
            fcntl.ioctl(fd, _FIEMAP, buffer, True)
        except OSError:
            return None
        count = _HEAD.unpack_from(buffer)[3]
        for number in range(count):
            at = _HEAD.size + number * _EXTENT.size
            logical, physical, length, flags = _EXTENT.unpack_from(buffer, at)
            start = logical + length
            if flags & _SHARED and not flags & _NOWHERE:
                spans.append((physical, physical + length))
            if flags & _LAST:
                return merge(spans)
        if not count:
            return merge(spans)
        seen += count
    return None  # In more pieces than are worth looking at.


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same bytes in order, each once."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)


def weigh(layouts: Sequence[Layout], spare: Sequence[bool]) -> list[Weight]:
    """What each of these copies, all on one file system, frees where the spare ones go.

    Bytes that several of them share come free once, with the first, and not at all where one that
    stays has them, or where nobody here shares them: then it is another file, or a snapshot.
    """
    together, freed = [0] * len(layouts), [0] * len(layouts)
    for size, holders in _overlaps([layout.shared or [] for layout in layouts]):
        for holder in holders:
            together[holder] += size
        if all(spare[holder] for holder in holders):
            freed[min(holders)] += size
    found: list[Weight] = []
    for at, layout in enumerate(layouts):
        own = length(layout.shared or [])
        alone = max(0, layout.taken - own)
        if layout.shared is None:
            shares = "unknown"
        elif not own:
            shares = "none"
        else:
            shares = "all" if alone == 0 and together[at] == own else "some"
        found.append(Weight(shares, min(layout.taken, alone + freed[at]) if spare[at] else 0))
    return found


def _overlaps(everyone: Sequence[Sequence[Span]]) -> Iterator[tuple[int, list[int]]]:
    """Lengths of what lies in several of these (each is merged), and in which."""
    edges = sorted(
        (edge, begins, at)
        for at, spans in enumerate(everyone)
        for span in spans
        for edge, begins in zip(span, (True, False), strict=True)
    )
    active: dict[int, None] = {}
    before = 0
    for edge, begins, at in edges:
        if edge > before and len(active) > 1:
            yield edge - before, list(active)
        before = edge
        if begins:
            active[at] = None
        else:
            del active[at]
