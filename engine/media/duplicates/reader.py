"""A second process that reads small files while the first one still walks.

``python -m engine.media.duplicates.reader`` gets what to read as batches on stdin and answers them
in order on stdout: for each file how it went, what it takes on the disk, and its BLAKE3. With a
hundred thousand of them it is the interpreter that is slow, not the disk, and threads would share
one. It writes nothing, may be killed at any time, and what it did not answer is read by the other.
Standard library and blake3 only.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from array import array
from collections.abc import Sequence
from contextlib import suppress

from blake3 import blake3

from engine.media.walk import GONE, Identity

OK, CHANGED, UNREADABLE = range(3)
ANSWER = struct.Struct("=BQ32s")
_BATCH = struct.Struct("=iII")
_WIDTH = len(Identity._fields)
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Reading a file must not make it look used: rules go by when a file was last played.
_NO_ATIME = getattr(os, "O_NOATIME", 0)
_TOGETHER = 256
_AHEAD = 4096
"""Files that may wait for their answer. Beyond it the first process does not wait, but reads them
itself when it has walked."""
_PIPE = 1024 * 1024


def open_quietly(path: bytes, folder: int) -> int:
    """Opens a file below an open folder. Raises OSError."""
    try:
        return os.open(path, _FLAGS | _NO_ATIME, dir_fd=folder)
    except PermissionError:  # O_NOATIME is for the owner only.
        return os.open(path, _FLAGS, dir_fd=folder)


class Reader:
    """The first process's end. ``folders``: those that files lie below, open."""

    def __init__(self, folders: Sequence[int]) -> None:
        import subprocess  # Of no use to the process that reads, and a third of its start.

        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.media.duplicates.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=folders,
            cwd="/",
            pipesize=_PIPE,
        )
        self._folder, self._paths, self._numbers = 0, list[bytes](), array("q")
        self.asked = 0
        self.answers = bytearray()
        self._listener = threading.Thread(target=self._listen, name="reader", daemon=True)
        self._listener.start()

    def ask(self, folder: int, path: bytes, identity: Sequence[int]) -> int:
        """Wants a file read; the number of its answer."""
        if folder != self._folder:
            self.flush()
            self._folder = folder
        self._paths.append(path)
        self._numbers.extend(identity)
        if len(self._paths) == _TOGETHER:
            self.flush()
        self.asked += 1
        return self.asked - 1

    @property
    def busy(self) -> bool:
        """Whether too much waits for an answer already."""
        return self.asked - len(self._paths) - self.answered > _AHEAD

    @property
    def answered(self) -> int:
        """So many files."""
        return len(self.answers) // ANSWER.size

    def answer(self, number: int) -> tuple[int, int, bytes] | None:
        """How it went, what it takes, its BLAKE3; None where the process ended before."""
        if (number + 1) * ANSWER.size > len(self.answers):
            return None
        return ANSWER.unpack_from(self.answers, number * ANSWER.size)

    def finish(self) -> None:
        """Waits for all answers, and the end of the process."""
        assert self._child.stdin is not None
        self.flush()
        with suppress(OSError):
            self._child.stdin.close()
        self._listener.join()
        self._child.wait()

    def flush(self) -> None:
        """Sends what was asked for."""
        if not self._paths:
            return
        assert self._child.stdin is not None
        paths, numbers = b"\0".join(self._paths), self._numbers.tobytes()
        with suppress(OSError):  # It ended: what it did not answer is read here.
            head = _BATCH.pack(self._folder, len(paths), len(numbers))
            self._child.stdin.write(head + paths + numbers)
            self._child.stdin.flush()
        self._paths.clear()
        del self._numbers[:]

    def _listen(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as stream:
            while data := os.read(stream.fileno(), 1 << 16):
                self.answers += data


def read(folder: int, path: bytes, numbers: tuple[int, ...]) -> bytes:
    """The answer for one file."""
    try:
        fd = open_quietly(path, folder)
        try:
            data = os.read(fd, numbers[2] + 1)
            status = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError as error:
        return ANSWER.pack(CHANGED if error.errno in GONE else UNREADABLE, 0, b"")
    # The same as a whole identity, and three times as fast.
    if (
        status.st_ctime_ns != numbers[4]
        or status.st_mtime_ns != numbers[3]
        or status.st_size != numbers[2]
        or status.st_ino != numbers[1]
        or status.st_dev != numbers[0]
    ) and Identity.of(status)[:5] != numbers[:5]:
        return ANSWER.pack(CHANGED, 0, b"")
    return ANSWER.pack(OK, status.st_blocks * 512, blake3(data).digest())


def main() -> None:
    # It gives way as the first process does, whose child it is, and ends when that closes the pipe.
    stream = sys.stdin.buffer
    while len(head := stream.read(_BATCH.size)) == _BATCH.size:
        folder, *sizes = _BATCH.unpack(head)
        paths, numbers = (stream.read(size) for size in sizes)
        if len(numbers) < sizes[1]:
            return
        six = [iter(array("q", numbers))] * _WIDTH
        met = zip(paths.split(b"\0"), zip(*six, strict=True), strict=True)
        sys.stdout.buffer.write(b"".join([read(folder, *one) for one in met]))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
