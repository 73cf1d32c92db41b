"""BLAKE3 of files. A hash is only told of a file that held still while it was read.

Standard library and blake3 only. Plain reads, not mmap: a file that shrinks while it is mapped
kills the process.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

from engine.media.link import Link
from engine.media.walk import Identity

SMALL = 128 * 1024
"""Up to this size (bytes) a file is read in one step, and many share one task."""

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
    """A few threads with a bounded queue before them."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "hash")
        self._slots = threading.BoundedSemaphore(threads * 8)
        self._failure: BaseException | None = None

    def offer(self, work: Callable[[], None], *, wait: bool) -> bool:
        """Queues a call. Where the queue is full: waits, or returns False."""
        if self._failure is not None:
            raise self._failure
        if not self._slots.acquire(blocking=wait):
            return False
        self._pool.submit(self._run, work)
        return True

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that offers
            self._failure = error
        finally:
            self._slots.release()

    def finish(self) -> None:
        """Waits for all of it. Raises what failed."""
        self._pool.shutdown()
        if self._failure is not None:
            raise self._failure
