"""Watching trees with Linux' inotify. Standard library only.

Not through watchfiles: on Linux that follows symbolic links out of the tree (to a dead mount, or
to ``/``), stops for good at the first name that is not UTF-8, and tells neither when the kernel
dropped events nor when the limit was reached for a folder that is new. Here a new folder is watched
before its content is listed, so that no folder below it is missed; the look that its hint causes
finds the files that were there before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import threading
from typing import Final

from engine.media.hints import LimitError, Told
from engine.media.mounts import Mounts, changes, mounts_of, table
from engine.media.nesting import lies_in

IN_MODIFY: Final = 0x2
IN_ATTRIB: Final = 0x4
IN_CLOSE_WRITE: Final = 0x8
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x1000000
IN_DONT_FOLLOW: Final = 0x2000000
IN_ISDIR: Final = 0x40000000

_MASK = (
    IN_MODIFY
    | IN_ATTRIB
    | IN_CLOSE_WRITE
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
    | IN_ONLYDIR
    | IN_DONT_FOLLOW
)
_EVENT = struct.Struct("iIII")


class Inotify:
    """``skip`` is the name of folders that are not watched."""

    def __init__(self, skip: bytes, told: Told) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise LimitError("fs.inotify.max_user_instances is reached")
        self._skip, self._told = skip, told
        self._lock = threading.Lock()
        self._roots: dict[int, tuple[bytes, int]] = {}
        self._inner: dict[int, frozenset[bytes]] = {}
        self._mounted: dict[int, Mounts | None] = {}
        self._seen: dict[int, Mounts | None] = {}
        self._changes = changes()
        self._places: dict[int, tuple[int, bytes]] = {}
        self._watches: dict[tuple[int, bytes], int] = {}
        self._closed: set[tuple[int, bytes]] = set()
        threading.Thread(target=self._listen, name="inotify", daemon=True).start()

    def add(self, library: int, root: bytes, inner: frozenset[bytes] = frozenset()) -> None:
        """Watches a root and all folders below it but ``inner``, where other libraries begin: a
        folder has one watch. Raises LimitError or OSError: then none is."""
        with self._lock:
            self._remove(library)
            self._add(library, root, inner)

    def _add(self, library: int, root: bytes, inner: frozenset[bytes]) -> None:
        self._roots[library], self._inner[library] = (root, -1), inner
        self._mounted.clear()
        self._seen[library] = self._mounts(library)
        try:
            self._add_tree(library, b"")
        except (LimitError, OSError):
            self._remove(library)
            raise

    def _add_again(self, library: int) -> None:
        """Its root is another folder by now, or gone."""
        (root, _device), inner = self._roots[library], self._inner[library]
        self._remove(library)
        try:
            self._add(library, root, inner)
        except (LimitError, OSError) as error:
            self._told.failed(library, getattr(error, "strerror", None) or str(error))

    def renest(self, library: int, inner: frozenset[bytes]) -> bool:
        """Other libraries begin in this one than before. False where it is not watched."""
        with self._lock:
            if library not in self._roots:
                return False
            before, self._inner[library] = self._inner[library], inner
            self._mounted.clear()
            for top in inner - before:
                self._drop_tree(library, top)
            return all(self._extend(library, top) for top in before - inner)

    def remove(self, library: int) -> None:
        with self._lock:
            self._remove(library)

    def _remove(self, library: int) -> None:
        self._roots.pop(library, None)
        self._inner.pop(library, None)
        self._seen.pop(library, None)
        self._closed = {place for place in self._closed if place[0] != library}
        for owner, path in [key for key in self._watches if key[0] == library]:
            self._drop(owner, path)

    def _drop(self, library: int, path: bytes) -> None:
        watch = self._watches.pop((library, path))
        self._places.pop(watch, None)
        self._libc.inotify_rm_watch(self._fd, watch)

    def _drop_tree(self, library: int, top: bytes) -> None:
        below = top + b"/"
        for owner, path in list(self._watches):
            if owner == library and (path == top or path.startswith(below)):
                self._drop(owner, path)

    def _add_tree(self, library: int, top: bytes) -> None:
        root, device = self._roots[library]
        mounts = self._mounts(library)
        apart = self._inner[library] | (mounts.places if mounts else frozenset())
        queue = [top]
        while queue:
            path = queue.pop()
            if apart and lies_in(path, apart):
                continue
            whole = os.path.join(root, path) if path else root
            try:
                there = os.stat(whole, follow_symlinks=False).st_dev
                if not path:
                    device = there
                    self._roots[library] = root, device
                elif there != device:
                    continue
                self._watch(library, path, whole)
                with os.scandir(whole) as entries:
                    names = [
                        entry.name
                        for entry in entries
                        if entry.name != self._skip and entry.is_dir(follow_symlinks=False)
                    ]
            except OSError as error:  # Gone again, or not to be read: the next look says so.
                if error.errno == errno.EACCES:
                    self._closed.add((library, path))
                if path:
                    continue
                raise
            queue.extend(path + b"/" + name for name in names) if path else queue.extend(names)

    def _mounts(self, library: int) -> Mounts | None:
        """What is mounted in it, and what it lies on itself; None where its root is away. Folders
        that come together ask once."""
        if library not in self._mounted:
            try:
                fd = os.open(self._roots[library][0], os.O_PATH | os.O_CLOEXEC)
            except OSError:
                return None
            self._mounted[library] = mounts_of(fd, table())
            os.close(fd)
        return self._mounted[library]

    def _watch(self, library: int, path: bytes, whole: bytes) -> None:
        watch = self._libc.inotify_add_watch(self._fd, whole, _MASK)
        if watch < 0:
            number = ctypes.get_errno()
            if number == errno.ENOSPC:
                raise LimitError("fs.inotify.max_user_watches is reached")
            raise OSError(number, os.strerror(number))
        before = self._places.get(watch)
        if before is not None and self._watches.get(before) == watch:
            del self._watches[before]
        if self._watches.get((library, path), watch) != watch:
            self._drop(library, path)  # Another folder was there.
        self._places[watch] = (library, path)
        self._watches[library, path] = watch

    # --- listening ------------------------------------------------------------------------------

    def _listen(self) -> None:
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        if self._changes >= 0:
            ready.register(self._changes, select.POLLPRI)
        while True:
            told = {fd for fd, _what in ready.poll()}
            with self._lock:
                if self._changes in told:
                    self._look_at_mounts()
                if self._fd in told:
                    self._take()

    def _look_at_mounts(self) -> None:
        """Something came to lie over folders, or went and let them be seen again: nothing within
        tells of that."""
        self._mounted.clear()
        for library in list(self._roots):
            before, after = self._seen[library], self._mounts(library)
            self._seen[library] = after
            if before is None or after is None or before.number != after.number:
                if before != after:
                    self._told.lost(library)
                    self._add_again(library)
            else:
                self._uncover(library, before.places ^ after.places, after.places)

    def _uncover(self, library: int, moved: frozenset[bytes], covered: frozenset[bytes]) -> None:
        """Watches what is seen again at the places that ``moved``, and no more what is covered."""
        for place in moved:
            if lies_in(place, self._inner[library]):
                continue
            if place in covered:
                self._drop_tree(library, place)
            elif not self._extend(library, place):
                return
            self._told.hint(library, place)

    def _look_at_roots(self) -> None:
        """Where a folder above one went, and another is there, nothing within tells of that."""
        for library, (root, _device) in list(self._roots.items()):
            if self._libc.inotify_add_watch(self._fd, root, _MASK) not in self._places:
                self._told.lost(library)
                self._add_again(library)

    def drain(self) -> None:
        """Everything that happened until now is told when this returns."""
        with self._lock:
            self._look_at_mounts()
            while self._take():
                pass
            self._look_at_roots()

    def _take(self) -> bool:
        try:
            data = os.read(self._fd, 256 * 1024)
        except BlockingIOError:
            return False
        self._mounted.clear()
        at = 0
        while at < len(data):
            watch, mask, _cookie, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            self._event(watch, mask, data[at : at + length].rstrip(b"\0"))
            at += length
        return True

    def _event(self, watch: int, mask: int, name: bytes) -> None:
        if mask & IN_Q_OVERFLOW:
            for library in list(self._roots):
                self._extend(library, b"")
                self._told.lost(library)
            return
        place = self._places.get(watch)
        if place is None:
            return
        library, folder = place
        if library not in self._roots:
            return
        if mask & IN_IGNORED:
            del self._places[watch]
            self._watches.pop(place, None)
            return
        if mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT):
            if not folder:  # Of any other folder its parent tells.
                self._told.lost(library)
                self._add_again(library)  # A look may find nothing wrong with what is there now.
            return
        path = folder + b"/" + name if folder and name else folder or name
        if not path or name == self._skip or lies_in(path, self._inner[library]):
            return
        if mask & IN_ISDIR and mask & (IN_MOVED_FROM | IN_DELETE):
            self._drop_tree(library, path)
            self._tell_below(library, path)
        elif mask & IN_ISDIR and mask & (IN_CREATE | IN_MOVED_TO):
            self._extend(library, path)
        elif mask & IN_ISDIR and not self._opened_or_closed(library, path):
            return  # Only the folder's own attributes.
        self._told.hint(library, path)

    def _opened_or_closed(self, library: int, path: bytes) -> bool:
        """Whether a folder can be read no more, or again, since its attributes changed."""
        place, whole = (library, path), self._roots[library][0] + b"/" + path
        closed = not os.access(whole, os.R_OK | os.X_OK)
        if closed == (place in self._closed):
            return False
        if closed:
            self._closed.add(place)
        else:
            self._closed.discard(place)
            self._extend(library, path)
        return True

    def _tell_below(self, library: int, path: bytes) -> None:
        """A folder went, and the roots of other libraries with it."""
        whole = self._roots[library][0] + b"/" + path
        for other, (root, _device) in list(self._roots.items()):
            if root.startswith(whole + b"/"):
                self._told.lost(other)
                self._add_again(other)

    def _extend(self, library: int, top: bytes) -> bool:
        """False where the limit is reached, or the root is gone: then none of the library is
        watched any more."""
        try:
            self._add_tree(library, top)
        except (LimitError, OSError) as error:
            self._remove(library)
            self._told.failed(library, getattr(error, "strerror", None) or str(error))
            return False
        return True
