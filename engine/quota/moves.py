"""What a prune does to files: into the trash, back, away for good. And what a crash left of it.

Each act takes a few files at once and tells which it could not do, and why. A move never
overwrites, and is one rename: at any moment a file is in the library or in the trash.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum

from engine.quota.disk import Bin, Identity, Item, Obstacle, Root, explain, sync_folder


class Place(StrEnum):
    """Where a planned file is. Moving, returning and deleting are intents: not known as done."""

    LIBRARY = "library"
    MOVING = "moving"
    TRASH = "trash"
    RETURNING = "returning"
    RESTORED = "restored"
    DELETING = "deleting"
    GONE = "gone"


SETTLED_ABSENT = {
    Place.MOVING: Place.LIBRARY,
    Place.RETURNING: Place.RESTORED,
    Place.DELETING: Place.GONE,
}
"""The intents, and what became of a file that is not in the trash after a crash."""

Problems = dict[int, str]
"""The numbers of the files that an act left as they were, and why."""


def to_trash(
    root: Root,
    trash: Bin,
    items: Sequence[Item],
    busy: Mapping[tuple[int, int], str],
    touched: dict[tuple[int, int], int],
) -> Problems:
    """Moves into the trash what still is exactly as planned.

    ``busy``: what is left because of others, and why, in words that follow a name.
    ``touched`` remembers, per inode, the change time that our own rename gave it: another name of
    a file that was just moved is not "changed".
    """

    def act(item: Item, folders: _Folders) -> None:
        if why := busy.get(item.inode):
            raise Obstacle(why)
        with root.parent(item.path) as (fd, name):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if problem := item.identity.problem(status, touched.get(item.inode)):
                raise Obstacle(problem)
            rename_new(fd, name, trash.fd, item.name)
            moved = trash.look(item)
            if moved is None or Identity.of(moved).ino != item.identity.ino:
                # Somebody put another file in its place between the look and the rename.
                _put_back(trash, item, fd, name)
                raise Obstacle("was replaced at the last moment")
            touched[item.inode] = moved.st_ctime_ns
            folders.add(fd)

    return _each(items, trash, act)


def _put_back(trash: Bin, item: Item, fd: int, name: bytes) -> None:
    try:
        rename_new(trash.fd, item.name, fd, name)
    except OSError as error:
        raise Obstacle(
            f"was replaced at the last moment; the other file waits in the trash as {item.n}"
        ) from error


def to_library(root: Root, trash: Bin, items: Sequence[Item]) -> Problems:
    """Moves back to where it was; missing folders are made, nothing is overwritten."""

    def act(item: Item, folders: _Folders) -> None:
        still_ours(trash, item)
        with root.parent(item.path, make=True) as (fd, name):
            rename_new(trash.fd, item.name, fd, name)
            folders.add(fd)

    return _each(items, trash, act)


def delete(_root: Root, trash: Bin, items: Sequence[Item]) -> Problems:
    """Deletes for good what is in the trash and is what was put there."""

    def act(item: Item, _folders: _Folders) -> None:
        still_ours(trash, item)
        os.unlink(item.name, dir_fd=trash.fd)

    return _each(items, trash, act)


def settle(
    root: Root, trash: Bin, items: Sequence[Item], was: dict[int, Place]
) -> dict[int, Place]:
    """Where each file is after a crash in the middle of an act; ``was`` is each one's intent."""
    found = {}
    for item in items:
        present = trash.look(item)
        if present is not None and _also_in_library(root, item, present):
            # Linked into one place and not yet unlinked from the other.
            os.unlink(item.name, dir_fd=trash.fd)
            sync_folder(trash.fd)
            present = None
        found[item.n] = Place.TRASH if present else SETTLED_ABSENT[was[item.n]]
    return found


def _also_in_library(root: Root, item: Item, present: os.stat_result) -> bool:
    try:
        status = root.look(item.path)
    except (OSError, Obstacle):
        return False
    return (status.st_dev, status.st_ino) == (present.st_dev, present.st_ino)


def still_ours(trash: Bin, item: Item) -> None:
    """Raises Obstacle unless the trashed file is the one that was put there.

    Its device number is not compared: it may change when a disk is mounted anew.
    """
    status = trash.look(item)
    if status is None:
        raise Obstacle("is not in the trash any more")
    found = Identity.of(status)
    expected = (item.identity.ino, item.identity.size, item.identity.mtime_ns)
    if (found.ino, found.size, found.mtime_ns) != expected:
        raise Obstacle("was changed or replaced inside the trash")


class _Folders:
    """The folders that an act took names from or gave names to."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], int] = {}

    def add(self, fd: int) -> None:
        status = os.fstat(fd)
        key = status.st_dev, status.st_ino
        if key not in self._open:
            self._open[key] = os.dup(fd)

    def sync(self) -> None:
        for fd in self._open.values():
            sync_folder(fd)

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)


@contextmanager
def _durable(trash: Bin) -> Iterator[_Folders]:
    folders = _Folders()
    try:
        yield folders
        # The new name first: a power cut in between may show a file twice, never not at all.
        sync_folder(trash.fd)
        folders.sync()
    finally:
        folders.close()


def _each(items: Sequence[Item], trash: Bin, act: Callable[[Item, _Folders], None]) -> Problems:
    problems: Problems = {}
    with _durable(trash) as folders:
        for item in items:
            try:
                act(item, folders)
            except Obstacle as obstacle:
                problems[item.n] = str(obstacle)
            except OSError as error:
                problems[item.n] = explain(error)
    return problems


@functools.cache
def _exclusive() -> tuple[Callable[..., int], int] | None:
    """The system's rename that refuses an existing name, and its flag."""
    name, flag = ("renameatx_np", 4) if sys.platform == "darwin" else ("renameat2", 1)
    call = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return call, flag


def rename_new(source: int, name: bytes, target: int, new: bytes) -> None:
    """Renames between two open folders. Raises FileExistsError rather than overwrite, or OSError.

    Where the file system has no such rename, the file is linked, then unlinked.
    """
    if exclusive := _exclusive():
        call, flag = exclusive
        if call(source, name, target, new, flag) == 0:
            return
        code = ctypes.get_errno()
        if code not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
            raise OSError(code, os.strerror(code))
    os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    os.unlink(name, dir_fd=source)
