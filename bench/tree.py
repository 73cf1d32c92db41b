"""A folder with very many small files, as a scan meets them; what the kernel has of one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PER_FOLDER = 500
_DROP = Path("/proc/sys/vm/drop_caches")


def plant(root: Path, files: int) -> Path:
    """Makes ``files`` files, each with a content of its own, in folders two deep."""
    for number in range(files):
        folder = root / f"{number // PER_FOLDER // 20:03}" / f"{number // PER_FOLDER:04}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:06}.nfo").write_bytes(b"%d\n" % number)
    return root


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
