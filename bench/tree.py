"""A folder with very many small files, as a scan meets them; what the kernel has of one."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

PER_FOLDER = 500
LAST_YEAR, TYPE, LARGER, SOURCE = 2024, "application/gzip", 4096, "url"
"""Of these are some files that ``vary`` made."""
_GZIP = b"\x1f\x8b\x08"
_DROP = Path("/proc/sys/vm/drop_caches")


def plant(root: Path, files: int, per_folder: int = PER_FOLDER) -> Path:
    """Makes ``files`` files, each with a content of its own, in folders two deep."""
    for number in range(files):
        path = _place(root, number, per_folder)
        if number % per_folder == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"%d\n" % number)
    return root


def vary(root: Path, files: int) -> Path:
    """What was planted becomes what lists are narrowed by: years follow the folders, of ten files
    one is of another type and one is large, and one in fifty was fetched from somewhere."""
    for number in range(files):
        path = _place(root, number)
        if number % 10 == 3:
            path.write_bytes(_GZIP + b"%d\n" % number)
        if number % 10 == 7:
            path.write_bytes(b"%0*d" % (LARGER, number))
        if number % 50 == 0 and sys.platform == "linux":
            with suppress(OSError):  # Not every file system keeps attributes.
                os.setxattr(path, "user.xdg.origin.url", b"https://example.org/%d" % number)
        when = datetime(LAST_YEAR - 9 + 10 * number // files, 7, 1, tzinfo=UTC).timestamp()
        os.utime(path, (when, when))
    return root


def name_of(number: int) -> str:
    """What is in the path of this file, and of no other."""
    return f"{number:06}.nfo"


def _place(root: Path, number: int, per_folder: int = PER_FOLDER) -> Path:
    folder = number // per_folder
    return root / f"{folder // 20:03}" / f"{folder:04}" / name_of(number)


def warm(root: Path) -> str:
    """Everything below is in the page cache."""
    subprocess.run(
        ["find", str(root), "-type", "f", "-exec", "cat", "{}", "+"],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return ""


def warm_names(root: Path) -> str:
    """The kernel knows every name below, and its inode."""
    subprocess.run(["find", str(root), "-size", "+1c"], stdout=subprocess.DEVNULL, check=False)
    return ""


def chill_names(_root: Path) -> str:
    """Drops all that the kernel has of any disk, where root lets us; how, in words."""
    os.sync()
    try:
        _DROP.write_text("3\n", encoding="ascii")
    except OSError:
        return "not cold: only root can drop names and inodes"
    return "all caches dropped"


def chill(root: Path) -> str:
    """Drops what the kernel has of these files; how, in words."""
    os.sync()  # What is not on the disk yet cannot be dropped.
    for folder, _folders, names in os.walk(root):
        for name in names:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
    try:
        _DROP.write_text("2\n", encoding="ascii")  # Names and inodes alone.
    except OSError:
        return "pages dropped, names and inodes still known"
    return "pages, names and inodes dropped"
