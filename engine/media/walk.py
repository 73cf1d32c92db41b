"""Walking a library: every regular file below a folder, in the byte order of its relative path.

Folders are opened one below the other with ``openat`` and never through a symbolic link, so a
folder that is swapped for a link meanwhile is not followed; nothing on another file system, or
mounted below the root, is entered. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Collection, Iterator
from typing import NamedTuple

from engine.media.mounts import mounted_in
from engine.media.nesting import lies_in
from engine.worker.numbers import bounded, signed

_MAX_DEPTH = 512
_BOUND = 2**63 - 1
_SLASH = ord("/")
# As os.fsencode has it, whose own steps cost a tenth of a walk.
_NAMES = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

MOST_PROBLEMS = 20
"""So many of the paths that could not be read are named."""
MOST_UNSEEN = 1000
"""Of so many places it is remembered that what is known there could not be looked at."""


class Identity(NamedTuple):
    """What tells one state of a file from another. The last, ``nlink``, is not part of it."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    nlink: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        # Twice as fast as to call the class, a million times in a walk.
        return tuple.__new__(cls, numbers_of(status))


def numbers_of(status: os.stat_result) -> tuple[int, int, int, int, int, int]:
    """Those of an identity, in order."""
    dev, ino = status.st_dev, status.st_ino
    mtime_ns, ctime_ns = status.st_mtime_ns, status.st_ctime_ns
    if not (dev < _BOUND > ino and -_BOUND < mtime_ns < _BOUND > ctime_ns > -_BOUND):
        dev, ino = signed(dev), signed(ino)
        mtime_ns, ctime_ns = bounded(mtime_ns), bounded(ctime_ns)
    return dev, ino, status.st_size, mtime_ns, ctime_ns, status.st_nlink


class Found(NamedTuple):
    """A file, or, where ``identity`` is None, a place that could not be looked at.

    Whatever is known at and below such a place stays as it is.
    """

    path: bytes
    identity: Identity | None
    folder: bool = False


Met = tuple[bytes, os.stat_result | None, bool]
"""What ``Found`` is made of."""

Range = tuple[bytes, bytes | None]
"""Names in the root, those of folders with a slash: from the first on, up to but without the
second; None: to the end."""

Level = tuple[int, bytes, Iterator[bytes]]
"""An open folder, its relative path with a slash at the end, and the names still to look at."""


def _found(met: Met) -> Found:
    path, status, folder = met
    identity = None if status is None else Identity.of(status)
    return tuple.__new__(Found, (path, identity, folder))


def _another() -> OSError:
    return OSError(errno.EXDEV, "another file system")


class Walker:
    """``skip`` is the name of folders that are no library's business, ``inner`` the places at which
    other libraries begin: nothing is said of either. ``within``: of everything only this is
    looked at.

    ``problems`` holds the first of the paths that could not be read, with the reason; ``unseen``
    the places at which nothing could be looked at, also where a folder was that may be listed only.
    """

    # Not a dataclass: that module would make the worker's start a tenth longer.
    def __init__(
        self,
        root_fd: int,
        dev: int,
        skip: bytes,
        inner: Collection[bytes] = frozenset(),
        within: Range = (b"", None),
    ) -> None:
        self.root_fd, self.dev, self.skip, self.inner = root_fd, dev, skip, inner
        self._within = within
        self._left_out: dict[bytes, set[bytes]] = {b"": {skip}}
        for place in inner:
            folder, slash, name = place.rpartition(b"/")
            self._left_out.setdefault(folder + slash, set()).add(name)
        self._mounted = mounted_in(root_fd)
        self.unreadable = self.skipped = 0
        self.problems: list[tuple[bytes, str]] = []
        self.unseen: dict[bytes, str] = {}

    def everything(self) -> Iterator[Found]:
        """The whole library. Raises OSError where the root itself cannot be listed."""
        return map(_found, self.met())

    def met(self) -> Iterator[Met]:
        """Everything, for whoever makes something else of it: that takes a tenth less."""
        yield from self._folder(self._open(self.root_fd, b"."), b"")

    def add(
        self,
        unreadable: int,
        skipped: int,
        problems: list[tuple[bytes, str]],
        unseen: dict[bytes, str],
    ) -> None:
        """What was met elsewhere counts here."""
        for path in list(unseen)[: MOST_UNSEEN - len(self.unseen)]:
            self.unseen[path] = unseen[path]
        self.unreadable += unreadable
        self.skipped += skipped
        self.problems = [*self.problems, *problems][:MOST_PROBLEMS]

    def at(self, path: bytes) -> Iterator[Found]:
        """The file or the folder at one relative path; nothing where there is none."""
        return map(_found, self._at(path))

    def _at(self, path: bytes) -> Iterator[Met]:
        *parents, name = path.split(b"/")
        if self.skip in {*parents, name} or lies_in(path, self.inner):
            return
        fd = os.dup(self.root_fd)
        try:
            if lies_in(path, self._mounted):
                raise _another()
            for parent in parents:
                below = self._open(fd, parent)
                os.close(fd)
                fd = below
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                yield from self._folder(self._open(fd, name), path + b"/")
            elif stat.S_ISREG(status.st_mode):
                yield path, status, False
            else:
                self.skipped += 1
        except OSError as error:
            yield from self._unseen(path, error, folder=True)
        finally:
            os.close(fd)

    def _open(self, fd: int, name: bytes, depth: int = 0) -> int:
        if depth == _MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, f"deeper than {_MAX_DEPTH} folders")
        below = os.open(name, _OPEN_FOLDER, dir_fd=fd)
        if os.fstat(below).st_dev != self.dev:
            os.close(below)
            raise _another()
        return below

    def _folder(self, top: int, prefix: bytes) -> Iterator[Met]:
        stack: list[Level] = [self._list(top, prefix)]
        mounted, look, is_file = self._mounted, os.stat, stat.S_ISREG
        try:
            while stack:
                fd, prefix, names = stack[-1]
                for name in names:
                    try:
                        if mounted and (prefix + name).rstrip(b"/") in mounted:
                            raise _another()
                        if name[-1] != _SLASH:
                            status = look(name, dir_fd=fd, follow_symlinks=False)
                        elif name[:-1] == self.skip:
                            continue
                        else:
                            below = self._open(fd, name[:-1], depth=len(stack))
                            stack.append(self._list(below, prefix + name))
                            break
                    except OSError as error:
                        path = prefix + name.rstrip(b"/")
                        yield from self._unseen(path, error, folder=name[-1] == _SLASH)
                        continue
                    if is_file(status.st_mode):
                        yield prefix + name, status, False
                    else:
                        self.skipped += 1
                else:
                    os.close(stack.pop()[0])
        finally:
            for fd, _prefix, _names in stack:
                os.close(fd)

    def _list(self, fd: int, prefix: bytes) -> Level:
        """Sorted with a slash after each folder: that is the order of the full paths."""
        try:
            with os.scandir(fd) as entries:
                names = [
                    entry.name.encode(*_NAMES)
                    + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
                    for entry in entries
                ]
        except OSError:
            os.close(fd)
            raise
        if left_out := self._left_out.get(prefix):
            names = [name for name in names if name.rstrip(b"/") not in left_out]
        if not prefix:
            low, high = self._within
            names = [name for name in names if low <= name and (high is None or name < high)]
        names.sort()
        return fd, prefix, iter(names)

    def _unseen(self, path: bytes, error: OSError, *, folder: bool) -> Iterator[Met]:
        """What is gone is nothing; what lies on another file system is left alone."""
        if error.errno in GONE:
            return
        if error.errno == errno.EXDEV:
            self.skipped += 1
        else:
            self.unreadable += 1
            why = error.strerror or str(error)
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append((path, why))
            # A file is refused for the sake of its folder: then all of that is out of reach.
            above = path.rpartition(b"/")[0]
            place = above if error.errno == errno.EACCES and above and not folder else path
            if len(self.unseen) < MOST_UNSEEN:
                self.unseen.setdefault(place, why)
        yield path, None, folder
