"""What a file system says in numbers, as SQLite stores it. It imports nothing: who walks a disk
must start fast.
"""

from __future__ import annotations

_MAX_INT = 2**63 - 1


def signed(number: int) -> int:
    """An unsigned 64-bit number (a device, an inode) as the signed one that SQLite stores."""
    return number - 2**64 if number > _MAX_INT else number


def unsigned(number: int) -> int:
    return number + 2**64 if number < 0 else number


def bounded(nanoseconds: int) -> int:
    """A time of a file, within what SQLite can store. A disk may claim any year."""
    return max(-_MAX_INT, min(_MAX_INT, nanoseconds))
