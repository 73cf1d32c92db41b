"""An open file as parsers want it, with an end to what they may read. Standard library only."""

from __future__ import annotations

import io
import os
from typing import Any

BUFFER = 32 * 1024
_EACH = 256


class TooMuchError(Exception):
    """The parser wanted more of the file than it may have."""


class Window(io.RawIOBase):
    """Reads with ``pread``: whoever shares the descriptor is not disturbed. ``budget``: bytes, each
    reading counted as some more, so that even readings of nothing come to an end.

    Parsers take many an error for the end of the file, so ``exhausted`` says what happened.
    """

    def __init__(self, fd: int, size: int, budget: int) -> None:
        super().__init__()
        self._fd, self._size, self._left = fd, size, budget
        self._at = 0
        self.exhausted = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            self.exhausted = True
            raise TooMuchError
        count = os.preadv(self._fd, [buffer], self._at)
        self._left -= count + _EACH
        self._at += count
        return count

    def whole(self, most: int = 2**31) -> bytes:
        """All of the file, or the first bytes of it. Raises TooMuchError."""
        most = min(most, self._size)
        if most > self._left:
            self.exhausted = True
            raise TooMuchError
        parts = []
        while most > 0 and (part := os.pread(self._fd, most, self._at)):
            parts.append(part)
            most -= len(part)
            self._at += len(part)
            self._left -= len(part) + _EACH
        return b"".join(parts)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if not 0 <= start + offset < 2**63:
            raise OSError("a place before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at


def buffered(window: Window) -> io.BufferedReader:
    return io.BufferedReader(window, BUFFER)
