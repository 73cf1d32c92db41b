"""Some room on the disk, kept for when there is none left.

A database cannot even be read without a little space for what SQLite shares between connections.
So a small file lies beside it, and is let go of when the disk is full: what was saved can be read
then, and what frees space can be written down.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

BYTES = 256 * 1024
_ROOM = 4 * BYTES


class Reserve:
    """Blocking: for threads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self) -> None:
        """Makes it where it is not, and where there is room for more than it."""
        with suppress(OSError):
            if not self.path.exists() and not self.is_missed():
                # Of zeros some file systems would keep nothing.
                self.path.write_bytes(os.urandom(BYTES))

    def is_missed(self) -> bool:
        """It is not there, and there is no room for it."""
        try:
            return not self.path.exists() and shutil.disk_usage(self.path.parent).free < _ROOM
        except OSError:
            return False

    def let_go(self) -> bool:
        """Whether there was one."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True
