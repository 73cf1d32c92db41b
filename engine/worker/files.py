"""Opening what lies below a folder, however the disk changes meanwhile. Standard library only."""

from __future__ import annotations

import os

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# Reading a file must not make it look used: rules go by when a file was last played.
_NO_ATIME = getattr(os, "O_NOATIME", 0)


def open_below(root_fd: int, path: bytes) -> int:
    """A file below the root, opened folder by folder and through no link. Raises OSError."""
    *parents, name = path.split(b"/")
    at = root_fd
    try:
        for parent in parents:
            below = os.open(parent, _FOLDER, dir_fd=at)
            if at != root_fd:
                os.close(at)
            at = below
        try:
            return os.open(name, _FILE | _NO_ATIME, dir_fd=at)
        except PermissionError:  # O_NOATIME is for the owner only.
            return os.open(name, _FILE, dir_fd=at)
    finally:
        if at != root_fd:
            os.close(at)
