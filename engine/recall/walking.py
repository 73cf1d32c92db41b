"""The documents of a folder: which there are, how large, how old. Standard library only.

Folders are opened one below the other and never through a symbolic link; nothing on another file
system is entered, nothing hidden is seen.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from engine.worker.frames import to_text
from engine.worker.numbers import bounded, signed

SUFFIXES = (b".md", b".markdown", b".txt", b".text", b".rst", b".org", b".pdf")
MAX_FILES = 50_000
_MAX_DEPTH = 64
_MAX_PROBLEMS = 20
_MAX_NAMES = 200_000
"""Names in one folder: beyond that it is no folder of documents."""
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

Version = tuple[int, int]
"""The size of a file in bytes, and when it was written (nanoseconds)."""
Level = tuple[int, bytes, Iterator[bytes]]
"""An open folder, its relative path with a slash at the end, and the names still to look at."""


class LostError(Exception):
    """The folder is ``missing``, ``unreadable``, or ``file``: none at all."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def open_root(path: bytes) -> tuple[int, os.stat_result]:
    """The folder, open, and what it is. Raises LostError."""
    try:
        fd = os.open(path, _OPEN_FOLDER)
        return fd, os.fstat(fd)
    except OSError as error:
        if error.errno == errno.ENOTDIR and os.path.lexists(path):
            raise LostError("file", "it is no folder") from error
        code = "missing" if error.errno in GONE else "unreadable"
        raise LostError(code, error.strerror or str(error)) from error


def identity(status: os.stat_result) -> list[int]:
    """What tells one folder from another that took its place: device, inode."""
    return [signed(status.st_dev), signed(status.st_ino)]


def version(status: os.stat_result) -> Version:
    return status.st_size, bounded(status.st_mtime_ns)


class Listing:
    """``files``: the documents by relative path. ``cut``: the first that is left out, as there are
    too many.

    ``unseen``: places that could not be looked at; what is known there stays. ``unread`` counts
    those that should have been, ``problems`` holds the first, with the reason. ``tick`` is called
    with each path.
    """

    def __init__(
        self, root_fd: int, dev: int, tick: Callable[[bytes], None], most: int = MAX_FILES
    ) -> None:
        self.files: dict[bytes, Version] = {}
        self.unseen: list[bytes] = []
        self.problems: list[tuple[str, str]] = []
        self.unread = 0
        self.cut: bytes | None = None
        self._dev, self._tick, self._most = dev, tick, most
        self._walk(root_fd)

    def covers(self, path: bytes) -> bool:
        """True where a document of this path would have been found."""
        if self.cut is not None and path >= self.cut:
            return False
        return not any(path == at or path.startswith(at + b"/") for at in self.unseen)

    def _walk(self, root_fd: int) -> None:
        stack: list[Level] = [self._list(os.open(b".", _OPEN_FOLDER, dir_fd=root_fd), b"")]
        try:
            while stack and self.cut is None:
                fd, prefix, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(stack.pop()[0])
                    continue
                path = prefix + name.rstrip(b"/")
                self._tick(path)
                try:
                    if name.endswith(b"/"):
                        below = self._enter(fd, name[:-1], len(stack))
                        stack.append(self._list(below, prefix + name))
                    else:
                        self._file(path, os.stat(name, dir_fd=fd, follow_symlinks=False))
                except OSError as error:
                    self._unseen(path, error)
        finally:
            for fd, _prefix, _names in stack:
                os.close(fd)

    def _enter(self, fd: int, name: bytes, depth: int) -> int:
        if depth == _MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, f"deeper than {_MAX_DEPTH} folders")
        below = os.open(name, _OPEN_FOLDER, dir_fd=fd)
        if os.fstat(below).st_dev != self._dev:
            os.close(below)
            raise OSError(errno.EXDEV, "another file system")
        return below

    def _list(self, fd: int, prefix: bytes) -> Level:
        """What may matter, in order, folders with a slash at the end."""
        try:
            with os.scandir(fd) as entries:
                names = sorted(_matter(entries))
        except OSError:
            os.close(fd)
            raise
        return fd, prefix, iter(names)

    def _file(self, path: bytes, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            return
        if len(self.files) == self._most:
            self.cut = path
        else:
            self.files[path] = version(status)

    def _unseen(self, path: bytes, error: OSError) -> None:
        if error.errno in GONE:
            return
        self.unseen.append(path)
        if error.errno == errno.EXDEV:
            return  # Left alone, and no trouble.
        self.unread += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append((to_text(path), error.strerror or str(error)))


def _matter(entries: Iterable[os.DirEntry[str]]) -> Iterator[bytes]:
    for count, entry in enumerate(entries):
        if count == _MAX_NAMES:
            raise OSError(errno.EMFILE, f"more than {_MAX_NAMES:,} names in it")
        name = os.fsencode(entry.name)
        if name.startswith(b"."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield name + b"/"
        elif name.lower().endswith(SUFFIXES):
            yield name
