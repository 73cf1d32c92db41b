"""The folder at which a library begins. Standard library only."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.media.volume import born_at, volume_of
from engine.media.walk import GONE, Identity


class RootLostError(Exception):
    """The root is not there (``missing``), is not the library (``another``) or cannot be read
    (``unreadable``)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Root(NamedTuple):
    """Which folder a root is. ``volume`` names its file system, ``born`` is when it was made: see
    there; "" and 0 where that is not known."""

    dev: int
    ino: int
    volume: str = ""
    born: int = 0


def open_root(path: bytes) -> tuple[int, Identity, int]:
    """The root, open for reading, its identity and its device. Raises RootLostError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(fd)
    except OSError as error:
        code = "missing" if error.errno in GONE else "unreadable"
        raise RootLostError(code, error.strerror or str(error)) from error
    return fd, Identity.of(status), status.st_dev


def root_of(fd: int, identity: Identity, device: int) -> Root:
    """Of what ``open_root`` gave. Raises OSError."""
    return Root(*identity[:2], volume_of(fd, device), born_at(fd))
