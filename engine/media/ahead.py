"""A walk in a process of its own, ahead of whoever compares what it meets.

To walk costs more than to compare with what is known, and Python does one of them at a time. The
process (``python -m engine.media.ahead DEV SKIP [INNER ...]``, names in hex, the root as its stdin)
walks and does nothing else; a full pipe holds it back. Standard library only.
"""

from __future__ import annotations

import marshal
import signal
import sys
import time
from array import array
from collections.abc import Iterator
from typing import Any

from engine.media.walk import Found, Identity, Walker

_MOST_FILES = 500
_WAIT_S = 0.25
_NUMBERS = 6
_PIPE = 1024 * 1024


def ahead(walker: Walker) -> Iterator[Found]:
    """What ``walker.everything()`` yields, walked elsewhere; its counts are those of that walk.

    Raises OSError where the root cannot be listed, EOFError where the process died.
    """
    import subprocess  # Of no use to small libraries, and a fifth of the worker's start.

    names = [name.hex() for name in (walker.skip, *walker.inner)]
    numbers = [str(walker.root_fd), str(walker.dev)]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.media.ahead", *numbers, *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[walker.root_fd],
        cwd="/",
        pipesize=_PIPE,
    )
    try:
        assert child.stdout is not None
        while True:
            kind, *values = marshal.load(child.stdout)  # noqa: S302 - of our own child
            if kind == "files":
                yield from _files(*values)
            elif kind == "unseen":
                yield Found(values[0], None, values[1])
            elif kind == "failed":
                raise OSError(*values)
            else:
                walker.unreadable, walker.skipped, walker.problems = values
                return
    finally:
        child.kill()
        child.communicate()


def _files(paths: bytes, numbers: bytes) -> Iterator[Found]:
    six = [iter(array("q", numbers))] * _NUMBERS
    for path, identity in zip(paths.split(b"\0"), zip(*six, strict=True), strict=True):
        yield tuple.__new__(Found, (path, tuple.__new__(Identity, identity), False))


class _Out:
    """Files go out many at a time, and none waits longer than a quarter of a second for others."""

    def __init__(self) -> None:
        self._paths: list[bytes] = []
        self._numbers = array("q")
        self._sent = time.monotonic()

    def everything(self, walker: Walker) -> None:
        paths, numbers = self._paths, self._numbers
        for path, identity, folder in walker.everything():
            if identity is None:
                self._flush()
                self._send("unseen", path, folder)
                continue
            paths.append(path)
            numbers.extend(identity)
            if len(paths) >= _MOST_FILES or time.monotonic() - self._sent > _WAIT_S:
                self._flush()
        self._flush()
        self._send("end", walker.unreadable, walker.skipped, walker.problems)

    def _flush(self) -> None:
        if self._paths:
            self._send("files", b"\0".join(self._paths), self._numbers.tobytes())
            self._paths.clear()
            del self._numbers[:]
        self._sent = time.monotonic()

    @staticmethod
    def _send(*message: Any) -> None:
        sys.stdout.buffer.write(marshal.dumps(message))
        sys.stdout.buffer.flush()

    def failed(self, error: OSError) -> None:
        self._send("failed", error.errno, error.strerror)


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Whoever listened is gone: so is this.
    root, dev, *names = sys.argv[1:]
    skip, *inner = (bytes.fromhex(name) for name in names)
    out = _Out()
    try:
        out.everything(Walker(int(root), int(dev), skip, inner))
    except OSError as error:
        out.failed(error)


if __name__ == "__main__":
    main()
