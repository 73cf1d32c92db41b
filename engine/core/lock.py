"""The lock of a data folder: whoever holds it runs the engine, everybody else attaches.

The lock file says where its holder listens: another process of the same user may have another
runtime folder (a cron job has no XDG_RUNTIME_DIR) or another name for the data folder.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.contract.errors import StoreFailed

_LONGEST = 107
"""Bytes of a unix socket's path."""


class EngineLock:
    """An advisory lock on a file; it ends with the process, however that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> EngineLock | None:
        """The lock, or None where another process holds it. Raises StoreFailed."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreFailed(
                f"{path}: {error.strerror or error}.",
                "Make the folder writable, or move config and data with ARCANUM_HOME.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def announce(self, socket: Path) -> None:
        """Says where the holder listens."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, os.fsencode(socket), 0)

    @staticmethod
    def announced(path: Path) -> Path | None:
        """Where the holder of this lock listens, or the last one did."""
        try:
            with path.open("rb") as file:
                text = file.read(_LONGEST + 1)
        except OSError:
            return None
        sound = text.startswith(b"/") and b"\0" not in text and len(text) <= _LONGEST
        return Path(os.fsdecode(text)) if sound else None

    def release(self) -> None:
        os.close(self._descriptor)
