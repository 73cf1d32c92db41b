"""A walk in processes of its own, ahead of whoever compares what they meet.

To walk costs more than to compare with what is known, Python does one of them at a time, and a disk
that is cold can look for two things at once. Each process (``python -m engine.media.ahead ROOT DEV
LOW HIGH SKIP [INNER ...]``: the root's descriptor; names in hex) walks its range of the library and
does nothing else; a full pipe holds it back. Standard library only.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from engine.media.walk import Found, Identity, Range, Walker, numbers_of

_MOST_FILES = 500
_WAIT_S = 0.25
_NUMBERS = 6
_PIPE = 1024 * 1024


class Walked:
    """Files that were met one after the other: their paths, and all numbers of their identities."""

    __slots__ = ("numbers", "paths")

    def __init__(self, paths: bytes, numbers: bytes) -> None:
        self.paths, self.numbers = paths.split(b"\0"), array("q", numbers)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Found]:
        six = [iter(self.numbers)] * _NUMBERS
        for path, identity in zip(self.paths, zip(*six, strict=True), strict=True):
            yield tuple.__new__(Found, (path, tuple.__new__(Identity, identity), False))

    def are(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether these rows (id, path, identity) are of the same files, none of which changed. By
        columns: a fifth of what it takes row by row."""
        if len(rows) != len(self):
            return False
        _ids, paths, *identity, _links = zip(*rows, strict=True)
        return paths == (*self.paths,) and all(
            array("q", column) == self.numbers[place::_NUMBERS]
            for place, column in enumerate(identity)
        )


def ahead(walker: Walker, ranges: Sequence[Range]) -> Iterator[tuple[int, Walked | list[Found]]]:
    """What ``walker.everything()`` yields of each range, in order, and which of them it is of. The
    ranges are walked at the same time, elsewhere; the walker's counts are those of all of them.

    Raises OSError where the root cannot be listed, EOFError where a process died.
    """
    import selectors
    import subprocess  # Of no use to small libraries, and a fifth of the worker's start.

    with ExitStack() as running, selectors.DefaultSelector() as ready:
        for number, (low, high) in enumerate(ranges):
            numbers = [str(walker.root_fd), str(walker.dev)]
            names = [name.hex() for name in (low, high or b"", walker.skip, *walker.inner)]
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine.media.ahead", *numbers, *names],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                pass_fds=[walker.root_fd],
                cwd="/",
                pipesize=_PIPE,
            )
            running.enter_context(child)
            running.callback(child.kill)
            assert child.stdout is not None
            ready.register(child.stdout, selectors.EVENT_READ, number)
        while ready.get_map():
            for key, _events in ready.select():
                kind, *values = _message(key.fd)
                if kind == "files":
                    yield key.data, Walked(*values)
                elif kind == "unseen":
                    yield key.data, [Found(values[0], None, values[1])]
                elif kind == "failed":
                    raise OSError(*values)
                else:
                    walker.add(*values)
                    ready.unregister(key.fileobj)


def _message(fd: int) -> Any:
    return marshal.loads(_exactly(fd, int.from_bytes(_exactly(fd, 4))))  # noqa: S302 - our child's


def _exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, size)
        if not part:
            raise EOFError("the process that walks has ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Out:
    """Files go out many at a time, and none waits longer than a quarter of a second for others."""

    def __init__(self) -> None:
        self._paths: list[bytes] = []
        self._numbers = array("q")
        self._sent = time.monotonic()

    def everything(self, walker: Walker) -> None:
        paths, numbers = self._paths, self._numbers
        for path, status, folder in walker.met():
            if status is None:
                self._flush()
                self._send("unseen", path, folder)
                continue
            paths.append(path)
            numbers.extend(numbers_of(status))
            if len(paths) >= _MOST_FILES or time.monotonic() - self._sent > _WAIT_S:
                self._flush()
        self._flush()
        self._send("end", walker.unreadable, walker.skipped, walker.problems, walker.unseen)

    def _flush(self) -> None:
        if self._paths:
            self._send("files", b"\0".join(self._paths), self._numbers.tobytes())
            self._paths.clear()
            del self._numbers[:]
        self._sent = time.monotonic()

    @staticmethod
    def _send(*message: Any) -> None:
        data = marshal.dumps(message)
        sys.stdout.buffer.write(len(data).to_bytes(4) + data)
        sys.stdout.buffer.flush()

    def failed(self, error: OSError) -> None:
        self._send("failed", error.errno, error.strerror)


def main() -> None:
    root, dev, *names = sys.argv[1:]
    low, high, skip, *inner = (bytes.fromhex(name) for name in names)
    out = _Out()
    try:
        out.everything(Walker(int(root), int(dev), skip, inner, (low, high or None)))
    except BrokenPipeError:  # Whoever listened is gone: so is this, without a last word.
        os._exit(0)
    except OSError as error:
        out.failed(error)


if __name__ == "__main__":
    main()
