"""The disk as a prune may touch it: by open folders, following no link, overwriting nothing.

Everything here blocks and is called in a thread. A path is walked component by component from the
library's root, which is held open: a folder that was swapped for a link is an error, never a way
out of the library.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from engine.contract.base import visible
from engine.contract.errors import Failed
from engine.contract.ports import TRASH_FOLDER
from engine.contract.shown import shown_path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _FOLDER | os.O_NOFOLLOW
INDEX = b"index.jsonl"
"""Beside the files of a trashed plan: which number was which path, for a person without us."""


class Obstacle(Exception):
    """One file cannot be touched; the text says why, without its name. Others may be."""


class Unreachable(Failed):
    """The library's folder, or its trash, is not there or not writable. Nothing was touched."""


def signed(number: int) -> int:
    """A 64-bit inode or device number as SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a file the one that was planned. Sizes in bytes, times in nanoseconds."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    nlink: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(
            signed(status.st_dev),
            signed(status.st_ino),
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_nlink,
        )

    def problem(self, status: os.stat_result, ctime_ns: int | None = None) -> str | None:
        """How ``status`` differs, in words; None where it is the same file, unchanged.

        ``ctime_ns``: what to expect instead of the planned one, after an act of our own.
        """
        found = Identity.of(status)
        if not stat.S_ISREG(status.st_mode):
            return "is no regular file any more"
        if (found.dev, found.ino) != (self.dev, self.ino):
            return "is another file now"
        if (found.size, found.mtime_ns) != (self.size, self.mtime_ns):
            return "was modified"
        if found.nlink != self.nlink:
            return f"has {found.nlink} names now, not {self.nlink}"
        if found.ctime_ns != (self.ctime_ns if ctime_ns is None else ctime_ns):
            return "was changed, though its modification time looks the same"
        return None


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a plan. ``n`` is its number in the plan, ``path`` relative to the root."""

    n: int
    path: bytes
    identity: Identity
    frees: int = 0
    blake3: str | None = None

    @property
    def key(self) -> str:
        return str(self.n)

    @property
    def name(self) -> bytes:
        """Its name in the trash: any name in a library fits, whatever its length."""
        return b"%d" % self.n

    @property
    def display(self) -> str:
        return shown_path(os.fsdecode(self.path))

    @property
    def inode(self) -> tuple[int, int]:
        return self.identity.dev, self.identity.ino


def explain(error: OSError) -> str:
    """Why one file could not be touched, in words that follow its name."""
    return {
        errno.ENOENT: "is not there any more",
        errno.ENOTDIR: "lies behind a link or a file where a folder was",
        errno.ELOOP: "lies behind a link where a folder was",
        errno.EACCES: "may not be touched: permission denied",
        errno.EPERM: "may not be moved: the file system does not permit it",
        errno.EXDEV: "is on another file system than its library",
        errno.EEXIST: "something else has that name now",
    }.get(error.errno or 0, f"cannot be touched: {error.strerror or error}")


def _parts(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    if any(part in {b"", b".", b".."} for part in parts) or TRASH_FOLDER in parts:
        raise Obstacle("is no path inside its library")
    return parts


class Root:
    """A library's root, held open. Close it, or use it as a context."""

    def __init__(self, path: bytes) -> None:
        try:
            self.fd = os.open(path, _FOLDER)
        except OSError as error:
            raise Unreachable(
                f"{visible(os.fsdecode(path))}: {error.strerror or error}. Nothing was touched.",
                "Is the disk mounted? Make the folder readable, then try again.",
            ) from error
        status = os.fstat(self.fd)
        self.path = path
        self.dev, self.ino = signed(status.st_dev), signed(status.st_ino)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self.fd)

    @contextmanager
    def parent(self, path: bytes, *, make: bool = False) -> Iterator[tuple[int, bytes]]:
        """The open folder of ``path`` and its last component. ``make`` creates missing folders.

        Raises Obstacle or OSError.
        """
        *folders, name = _parts(path)
        fd = os.dup(self.fd)
        try:
            for folder in folders:
                try:
                    below = os.open(folder, _BELOW, dir_fd=fd)
                except FileNotFoundError:
                    if not make:
                        raise
                    os.mkdir(folder, dir_fd=fd)
                    sync_folder(fd)
                    below = os.open(folder, _BELOW, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd, name
        finally:
            os.close(fd)

    def look(self, path: bytes) -> os.stat_result:
        """What is at ``path``, not following a link. Raises Obstacle or OSError."""
        with self.parent(path) as (fd, name):
            return os.stat(name, dir_fd=fd, follow_symlinks=False)


class Bin:
    """The trash folder of one plan, held open. Its files are named by their numbers."""

    def __init__(self, root: Root, folder: str) -> None:
        try:
            trash = os.open(TRASH_FOLDER, _BELOW, dir_fd=root.fd)
            try:
                self.fd = os.open(os.fsencode(folder), _BELOW, dir_fd=trash)
            finally:
                os.close(trash)
        except OSError as error:
            where = os.fsdecode(b"/".join((root.path, TRASH_FOLDER, os.fsencode(folder))))
            raise Unreachable(
                f"The trash {visible(where)} cannot be opened: {error.strerror or error}.",
                "Is the disk mounted? Then try again.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self.fd)

    def look(self, item: Item) -> os.stat_result | None:
        """The trashed file, or None where there is none."""
        try:
            return os.stat(item.name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


def make_bin(root: Root, plan_id: str, index: bytes) -> str:
    """Creates the empty trash folder of a plan, with its index; returns the folder's name.

    An older trash may hold that name (a database that was started anew): then it gets a suffix.
    Raises Unreachable.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(TRASH_FOLDER, 0o700, dir_fd=root.fd)
        trash = os.open(TRASH_FOLDER, _BELOW, dir_fd=root.fd)
        try:
            if signed(os.fstat(trash).st_dev) != root.dev:
                raise OSError(errno.EXDEV, "the trash is on another file system")
            folder = _fresh(trash, plan_id)
            fd = os.open(
                b"/".join((os.fsencode(folder), INDEX)),
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
                dir_fd=trash,
            )
            with os.fdopen(fd, "wb") as file:
                file.write(index)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(trash)
        finally:
            os.close(trash)
        sync_folder(root.fd)
    except OSError as error:
        raise Unreachable(
            f"No trash can be made in {visible(os.fsdecode(root.path))}:"
            f" {error.strerror or error}. Nothing was moved.",
            "Make the library's folder writable, then approve a new plan.",
        ) from error
    return folder


def _fresh(trash: int, plan_id: str) -> str:
    for suffix in range(1, 1000):
        folder = plan_id if suffix == 1 else f"{plan_id}-{suffix}"
        try:
            os.mkdir(folder, 0o700, dir_fd=trash)
        except FileExistsError:
            continue
        return folder
    raise OSError(errno.EEXIST, "a thousand older trash folders have the plan's name")


def drop_bin(root: Root, folder: str) -> None:
    """Removes a plan's trash folder, and the whole trash, where no file is left in them."""
    with suppress(FileNotFoundError):
        trash = os.open(TRASH_FOLDER, _BELOW, dir_fd=root.fd)
        try:
            _drop(trash, os.fsencode(folder))
            with suppress(OSError):  # Other plans wait in it.
                os.rmdir(TRASH_FOLDER, dir_fd=root.fd)
        finally:
            os.close(trash)
        sync_folder(root.fd)


def _drop(trash: int, folder: bytes) -> None:
    fd = os.open(folder, _BELOW, dir_fd=trash)
    try:
        if os.listdir(fd) == [os.fsdecode(INDEX)]:
            os.unlink(INDEX, dir_fd=fd)
    finally:
        os.close(fd)
    with suppress(OSError):  # Something is left: it stays, and so does its folder.
        os.rmdir(folder, dir_fd=trash)


def sync_folder(fd: int) -> None:
    """Makes the folder's names durable, where its file system knows how."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise


def unwritable(path: bytes) -> str:
    """Why nothing can be moved inside the folder; empty where it can."""
    try:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "it is on a read-only file system"
        return "" if os.access(path, os.W_OK | os.X_OK) else "permission denied"
    except OSError as error:
        return error.strerror or str(error)


def file_system(path: bytes) -> str:
    """The type of the file system that holds ``path``: ext4, btrfs; empty where unknown."""
    import psutil  # 30 ms, and only when a plan is shown

    real = os.fsdecode(os.path.realpath(path))
    holders = [
        mount
        for mount in psutil.disk_partitions(all=True)
        if os.path.commonpath([real, mount.mountpoint]) == mount.mountpoint
    ]
    return max(holders, key=lambda mount: len(mount.mountpoint)).fstype if holders else ""
