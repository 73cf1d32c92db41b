"""The folder at which a library begins. Standard library only."""

from __future__ import annotations

import os

from engine.media.walk import GONE, Identity


class RootLostError(Exception):
    """The root is not there (``missing``) or cannot be read (``unreadable``)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def open_root(path: bytes) -> tuple[int, Identity, int]:
    """The root, open for reading, its identity and its device. Raises RootLostError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(fd)
    except OSError as error:
        code = "missing" if error.errno in GONE else "unreadable"
        raise RootLostError(code, error.strerror or str(error)) from error
    return fd, Identity.of(status), status.st_dev
