"""What is mounted in a folder. Where it is a part of the same file system, which is mounted there
once more (a bind mount), no device number tells.

Linux lists it; elsewhere nothing is known. Standard library only.
"""

from __future__ import annotations

import os
from typing import NamedTuple

_TABLE = "/proc/self/mountinfo"
_MOST = 4 * 1024 * 1024
_MOUNT_ID = b"mnt_id:"


def table() -> bytes:
    """A line for each mount; b'' where that is not told."""
    try:
        with open(_TABLE, "rb") as file:
            whole, _newline, _cut = file.read(_MOST).rpartition(b"\n")
    except OSError:
        return b""
    return whole


def changes() -> int:
    """A descriptor that ``poll`` tells of POLLPRI once for each change of the table; -1 where there
    is none."""
    try:
        return os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


class Mounts(NamedTuple):
    """The number of the mount that a folder lies on, b"" where that is not told, and the places
    below the folder at which something is mounted, relative to it."""

    number: bytes
    places: frozenset[bytes]


def mount_number(fd: int) -> bytes:
    """Of the mount that an open folder lies on, b"" where that is not told."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            told = dict(line.split(maxsplit=1) for line in file if line.startswith(_MOUNT_ID))
    except OSError:
        return b""
    return told.get(_MOUNT_ID, b"").strip()


def mounts_of(fd: int, mounts: bytes) -> Mounts:
    """Of an open folder, by the table."""
    try:
        folder = os.readlink(b"/proc/self/fd/%d" % fd)
    except OSError:
        return Mounts(b"", frozenset())
    number = mount_number(fd)
    return Mounts(number, frozenset(places(mounts, number, folder)) if number else frozenset())


def mounted_in(fd: int) -> frozenset[bytes]:
    """The places below an open folder at which something is mounted, relative to it."""
    return mounts_of(fd, table()).places


def places(mounts: bytes, mount: bytes, folder: bytes) -> set[bytes]:
    """Where in a folder, which lies on the mount of this number, others are mounted.

    The number matters: what was mounted there before the folder's own disk was is hidden by it.
    """
    above = folder.rstrip(b"/") + b"/"
    found = set()
    for line in mounts.split(b"\n"):
        fields = line.split(b" ", 5)
        if len(fields) == 6 and fields[1] == mount:
            # Spaces, newlines, backslashes and the like are written in octal.
            point = fields[4].decode("unicode_escape").encode("latin-1")
            if point.startswith(above):
                found.add(point[len(above) :])
    return found
