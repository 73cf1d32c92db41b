"""Hashes of files. One is only told of a file that held still while it was read.

Standard library and blake3 only. A mapped file saves the copy, but one that is cut short, or whose
disk fails, while it is mapped kills the process (SIGBUS): only who is started anew then may map.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import queue
import stat
import threading
from collections.abc import Callable, Sequence
from typing import Any

from blake3 import blake3

from engine.media.link import Link
from engine.media.walk import Identity

SMALL = 128 * 1024
"""Up to this size (bytes) a file is read in one step, and many are one task."""

WINDOW = 32 * 1024 * 1024
"""From this size on (bytes) a file may be mapped, so much of it at a time."""

_PIECE = 4 * 1024 * 1024
"""After so much of a mapped file, for each thread, it is told that work goes on: a slow disk is
none that hangs."""
_BUFFER = 512 * 1024
_LOOK_EVERY = 128 * _BUFFER
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Reading a file must not make it look used: rules go by when a file was last played.
_NO_ATIME = getattr(os, "O_NOATIME", 0)

_local = threading.local()


class ChangedError(Exception):
    """The file is not, or no longer, what the catalogue knows."""


def digest(
    root_fd: int,
    path: bytes,
    identity: Identity,
    link: Link,
    more: Sequence[str] = (),
    *,
    fresh: bool = False,
    mapped: bool = False,
    threads: int = 1,
) -> list[str]:
    """The file's BLAKE3 (hex), and ``more`` hashes of hashlib, in one reading.

    ``fresh``: from the disk and not from memory. ``mapped``: this process may die of it; so many
    ``threads`` hash it then. Raises OSError, and ChangedError where it is another file than
    ``identity``: so it is, too, behind a folder that was swapped for a link.
    """
    try:
        fd = os.open(path, _FLAGS | _NO_ATIME, dir_fd=root_fd)
    except PermissionError:  # O_NOATIME is for the owner only.
        fd = os.open(path, _FLAGS, dir_fd=root_fd)
    try:
        _expect(fd, identity)
        if fresh:
            _forget(fd)
        mapped = mapped and identity.size >= WINDOW
        hashers: list[Any] = [
            blake3(max_threads=threads if mapped else 1),
            *(hashlib.new(kind, usedforsecurity=False) for kind in more),
        ]
        if identity.size <= SMALL:
            data = os.read(fd, identity.size + 1)
            for hasher in hashers:
                hasher.update(data)
            link.advance(0, identity.size)
        else:
            if mapped:
                _read_mapped(fd, identity, link, hashers, _PIECE * threads)
            _read_large(fd, identity, link, hashers)
        _expect(fd, identity)
        if fresh:  # It was read for this alone: others need the memory more.
            _forget(fd)
    finally:
        os.close(fd)
    return [hasher.hexdigest() for hasher in hashers]


def _read_mapped(
    fd: int, identity: Identity, link: Link, hashers: list[Any], piece_size: int
) -> None:
    """As much as can be mapped; what is left is still to be read."""
    for start in range(0, identity.size, WINDOW):
        size = min(WINDOW, identity.size - start)
        try:
            window = mmap.mmap(fd, size, access=mmap.ACCESS_READ, offset=start)
        except (OSError, ValueError):  # Its file system cannot; or it ends before that by now.
            break
        _will_need(fd, start + size)
        with window, memoryview(window) as view:
            for at in range(0, size, piece_size):
                with view[at : at + piece_size] as piece:
                    for hasher in hashers:
                        hasher.update(piece)
                    link.advance(0, len(piece))
        os.lseek(fd, start + size, os.SEEK_SET)
        _expect(fd, identity)


def _will_need(fd: int, start: int) -> None:
    """The disk brings the next window while this one is hashed."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, start, WINDOW, os.POSIX_FADV_WILLNEED)


def _read_large(fd: int, identity: Identity, link: Link, hashers: list[Any]) -> None:
    if not hasattr(_local, "buffer"):
        _local.buffer = bytearray(_BUFFER)
    view = memoryview(_local.buffer)
    done = 0
    while count := os.readv(fd, [view]):
        for hasher in hashers:
            hasher.update(view[:count])
        link.advance(0, count)
        done += count
        if done % _LOOK_EVERY < count:
            _expect(fd, identity)


def _forget(fd: int) -> None:
    """The kernel's copy in memory goes: what is read next comes from the disk."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        import fcntl

        fcntl.fcntl(fd, getattr(fcntl, "F_NOCACHE", 48), 1)


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
