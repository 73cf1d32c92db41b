"""Where a fetched file lies until it is whole: in the library's trash, which no scan looks into.

It is on the same file system, so that a file gets its name at once, whole, or not at all; and that
name is never another file's. All of it blocks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from engine.contract.errors import Refused
from engine.contract.ports import TRASH_FOLDER
from engine.remotes.local import Changed, Place, opened
from engine.remotes.plans import Item

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Landing:
    """The folder of one approval. Raises Refused where the library's root is away, or not to be
    written."""

    def __init__(self, place: Place, number: int) -> None:
        self._name = b"fetch-%d" % number
        with opened(place.path, place.root) as root:
            try:
                self._trash = _made(root, TRASH_FOLDER, 0o700)
            except OSError as error:
                raise _unwritable(place, error) from error
            self._root = os.dup(root)
        try:
            self.fd = _made(self._trash, self._name, 0o700)
        except OSError as error:
            os.close(self._trash)
            os.close(self._root)
            raise _unwritable(place, error) from error
        ours = f"/proc/{os.getpid()}/fd/{self.fd}"
        if os.path.isdir(ours):
            self.fs = f":local,copy_links:{ours}"
        else:
            self.fs = os.fsdecode(os.path.join(place.path, TRASH_FOLDER, self._name))

    def close(self) -> None:
        """Removes what did not come whole, and the folder."""
        with suppress(OSError):
            for name in os.listdir(self.fd):
                os.unlink(name, dir_fd=self.fd)
        os.close(self.fd)
        with suppress(OSError):
            os.rmdir(self._name, dir_fd=self._trash)
        os.close(self._trash)
        with suppress(OSError):  # Others wait in it.
            os.rmdir(TRASH_FOLDER, dir_fd=self._root)
        os.close(self._root)

    def settle(self, items: Sequence[Item]) -> list[Item]:
        """Those of the files in flight that have their name: each has it whole, or has it not."""
        return [item for item in items if self._is_named(item)]

    def _is_named(self, item: Item) -> bool:
        try:
            os.stat(item.path, dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return False
        return True

    def put(self, item: Item, size: int) -> None:
        """Gives the fetched file its name, on the disk before it returns. ``size``: what it must
        have; -1: not known. Raises Changed."""
        staged = str(item.n)
        try:
            fd = os.open(staged, _FILE, dir_fd=self.fd)
        except OSError as error:
            raise Changed(f"did not come: {error.strerror}") from error
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or size not in {-1, found.st_size}:
                raise Changed(f"came as {found.st_size:,} bytes, and not as it is there")
            os.fchmod(fd, stat.S_IMODE(os.fstat(self._root).st_mode) & 0o666)
            os.fsync(fd)
            with self._parent(item.path) as (parent, name):
                self._name_it(staged, parent, name)
                os.fsync(parent)
        except FileExistsError:
            raise Changed("is here by now") from None
        except OSError as error:
            raise Changed(f"cannot be put here: {error.strerror}") from error
        finally:
            os.close(fd)

    def _name_it(self, staged: str, parent: int, name: bytes) -> None:
        """Raises FileExistsError rather than overwrite."""
        try:
            os.link(staged, name, src_dir_fd=self.fd, dst_dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # No hard links there: the name is taken first, then filled.
            os.close(os.open(name, _NEW, 0o600, dir_fd=parent))
            try:
                os.rename(staged, name, src_dir_fd=self.fd, dst_dir_fd=parent)
            except OSError:
                os.unlink(name, dir_fd=parent)
                raise
        else:
            os.unlink(staged, dir_fd=self.fd)

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """The folder that the path lies in, made where there is none, and followed by no link."""
        *parents, name = path.split(b"/")
        mode = stat.S_IMODE(os.fstat(self._root).st_mode) & 0o777
        at = os.dup(self._root)
        try:
            for parent in parents:
                below = _made(at, parent, mode)
                os.close(at)
                at = below
            yield at, name
        finally:
            os.close(at)


def _made(folder: int, name: bytes, mode: int) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=folder)
    return os.open(name, _FOLDER, dir_fd=folder)


def _unwritable(place: Place, error: OSError) -> Refused:
    return Refused(
        f"Nothing can be put into {place.name}: {error.strerror}. Nothing was fetched.",
        "Make the library's folder writable, then make a new plan.",
    )
