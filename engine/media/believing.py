"""Whether what lies at a library's place is the library. Standard library only.

It is, on the file system that it was on, whatever became of it there. Where nothing names that one,
or it is another by now (restored to a new disk, rolled back), what was known must be there.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import NamedTuple

from engine.media.root import Root, RootLostError
from engine.media.volume import lasts
from engine.worker.numbers import bounded, signed

_ASKED = 64


class Sample(NamedTuple):
    """A file as the catalogue has it."""

    path: bytes
    ino: int
    size: int
    mtime_ns: int


def believe(db: sqlite3.Connection, library: int, fd: int, known: Root | None, there: Root) -> None:
    """``known``: the root at the last look, ``there``: the one that is open as ``fd``. Of one that
    was never looked at another library may know files: see ``handover``. Raises RootLostError.
    """
    if known is not None and is_same_folder(known, there):
        return
    with os.scandir(fd) as entries:
        if next(entries, None) is None:
            why = "an empty folder is in its place, as where a disk is not mounted"
            raise RootLostError("another", why)
    if known is None or is_same_disk(known, there):
        return
    asked = sample(db, library)
    # Numbers of inodes are one disk's own.
    inodes = not (lasts(known.volume) and lasts(there.volume))
    met = sum(_is_met(fd, each, inodes=inodes) for each in asked)
    if 2 * met < len(asked):
        raise RootLostError(
            "another",
            f"another file system is in its place, with {met} of {len(asked)} files looked for",
        )


def is_same_disk(known: Root, there: Root) -> bool:
    """Whether numbers and names alone tell that it is."""
    if known.volume != there.volume:
        return False
    if lasts(known.volume):
        return True
    if known.volume:
        return known.ino == there.ino
    return known[:2] == there[:2] and known.born == there.born != 0


def is_same_folder(known: Root, there: Root) -> bool:
    """Whether it is the very folder, so that what is missing in it was taken out of it."""
    return (
        is_same_disk(known, there)
        and known.ino == there.ino
        and (known.born == there.born or not (known.born and there.born))
        and (known.dev == there.dev or lasts(known.volume))
    )


def sample(db: sqlite3.Connection, library: int) -> list[Sample]:
    """A few of the files of a library, from its first path to its last."""
    (files,) = db.execute("SELECT files FROM library WHERE id = ?", (library,)).fetchone()
    step, last = max(1, files // _ASKED), b""
    found: list[Sample] = []
    while len(found) < _ASKED and (
        row := db.execute(
            "SELECT path, ino, size, mtime_ns FROM file WHERE library = ? AND path > ?"
            " ORDER BY path LIMIT 1 OFFSET ?",
            (library, last, step - 1),
        ).fetchone()
    ):
        found.append(Sample(*row))
        last = found[-1].path
    return found


def _is_met(fd: int, known: Sample, *, inodes: bool) -> bool:
    try:
        status = os.stat(known.path, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    same_times = (status.st_size, bounded(status.st_mtime_ns)) == (known.size, known.mtime_ns)
    same = same_times or (inodes and signed(status.st_ino) == known.ino)
    return stat.S_ISREG(status.st_mode) and same
