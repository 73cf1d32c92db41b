"""BLAKE3 of files. A hash is only told of a file that held still while it was read.

Standard library and blake3 only. Plain reads, not mmap: a file that shrinks while it is mapped
kills the process.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Callable

from blake3 import blake3

from engine.media.link import Link
from engine.media.walk import Identity

SMALL = 128 * 1024
"""Up to this size (bytes) a file is read in one step, and many are one task."""

_BUFFER = 1024 * 1024
_LOOK_EVERY = 64 * _BUFFER
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Reading a file must not make it look used: rules go by when a file was last played.
_NO_ATIME = getattr(os, "O_NOATIME", 0)

_local = threading.local()


class ChangedError(Exception):
    """The file is not, or no longer, what the catalogue knows."""


def digest(root_fd: int, path: bytes, identity: Identity, link: Link) -> str:
    """The file's BLAKE3 (hex). Raises ChangedError where it is another than ``identity``, OSError.

    A folder on the way that was swapped for a link leads to another file, and so to ChangedError.
    """
    try:
        fd = os.open(path, _FLAGS | _NO_ATIME, dir_fd=root_fd)
    except PermissionError:  # O_NOATIME is for the owner only.
        fd = os.open(path, _FLAGS, dir_fd=root_fd)
    try:
        _expect(fd, identity)
        if identity.size <= SMALL:
            value: str = blake3(os.read(fd, identity.size + 1)).hexdigest()
            link.advance(0, identity.size)
        else:
            value = _digest_large(fd, identity, link)
        _expect(fd, identity)
    finally:
        os.close(fd)
    return value


def _digest_large(fd: int, identity: Identity, link: Link) -> str:
    if not hasattr(_local, "buffer"):
        _local.buffer = bytearray(_BUFFER)
    view = memoryview(_local.buffer)
    hasher = blake3()
    done = 0
    while count := os.readv(fd, [view]):
        hasher.update(view[:count])
        link.advance(0, count)
        done += count
        if done % _LOOK_EVERY < count:
            _expect(fd, identity)
    value: str = hasher.hexdigest()
    return value


def _expect(fd: int, identity: Identity) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or Identity.of(status)[:5] != identity[:5]:
        raise ChangedError


class Tasks:
    """A few threads with a bounded queue before them. (concurrent.futures would import logging.)"""

    def __init__(self, threads: int, bound: int) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(bound)
        self._failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def offer(self, work: Callable[[], None], *, wait: bool) -> bool:
        """Queues a call. Where the queue is full: waits, or returns False."""
        try:
            self._queue.put(work, block=wait)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by ``finish``
                self._failure = error

    def finish(self) -> None:
        """Waits for all of it. Raises what failed."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
