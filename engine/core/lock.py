"""The lock of a data folder: whoever holds it runs the engine, everybody else attaches."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.contract.errors import StoreFailed


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

    def release(self) -> None:
        os.close(self._descriptor)
