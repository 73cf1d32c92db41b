"""One look at a library: what lies on the disk against what the catalogue knows, merged in order.

Only differences leave the worker, so that looking at a million unchanged files writes nothing. The
worker reads the catalogue beside the engine (SQLite's WAL) and never writes to it. Standard
library and blake3 only.

What was not met is told last, after another look at each: until then a move may turn up that
explains it, and a root that went away meanwhile explains it better.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from array import array
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from engine.media.ahead import Walked, ahead
from engine.media.believing import believe
from engine.media.digest import SMALL, WINDOW, ChangedError, Tasks, digest
from engine.media.known import Known, Range, Row
from engine.media.link import Batch, Link
from engine.media.links import Links
from engine.media.nesting import lies_in
from engine.media.root import Root, RootLostError, open_root, root_of
from engine.media.walk import GONE, Found, Identity, Walker
from engine.worker.frames import Frame, to_bytes, to_text

_STEP = 2000
_CHUNK = 64
_MANY = 10_000
_QUICK_S = 0.0005
_UNDER_WAY = 1024 * 1024 * 1024
_KINDS = ("added", "changed", "moved", "came", "gone", "elsewhere")
_Difference = tuple[str, bytes, Identity]


def open_catalogue(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=30)


class Look:
    """``command``: catalogue, library, root, expect, as_it_is, paths (None: everything), skip,
    inner, threads, hashes.

    ``elsewhere`` rows name files of other libraries that are links to files which differ here.
    ``expect`` is the Root of the last look. Raises RootLostError where what is there is not the
    library, unless it is to be taken ``as_it_is``.
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._link = link
        self._library: int = command["library"]
        self._root = to_bytes(command["root"])
        self._paths: list[str] | None = command["paths"]
        self._fd, self._identity, device = open_root(self._root)
        self._db = open_catalogue(command["catalogue"])
        (self._known_files,) = self._db.execute(
            "SELECT coalesce(max(files), 0) FROM library WHERE id = ?", (self._library,)
        ).fetchone()
        self._first = not self._known_files
        known = None if command["expect"] is None else Root(*command["expect"])
        self._there = root_of(self._fd, self._identity, device)
        # Of a library without files nothing can be lost.
        if not self._first and not command["as_it_is"]:
            believe(self._db, self._library, self._fd, known, self._there)
        self._old_dev = known.dev if known else self._identity.dev
        self._more: list[str] = command["hashes"]
        self._others = self._beside()
        self._inner = frozenset(to_bytes(path) for path in command["inner"])
        self._walker = Walker(self._fd, device, to_bytes(command["skip"]), self._inner)
        self._tasks = Tasks(command["threads"], 500)
        self._small: list[_Difference] = []
        self._slow = self._under_way = 0
        self._lock = threading.Lock()
        self._batches = {kind: Batch(link, kind) for kind in _KINDS}
        self._lost = array("q")
        self._moved: set[int] = set()
        self._links = Links(self._db, self._library, self._others)

    def run(self) -> Frame:
        """Tells every difference; returns the closing frame."""
        self._link.send({"k": "root", "root": self._there})
        if self._paths is None:
            self._merge_everything()
        for text in self._paths or ():
            self._merge_at(to_bytes(text))
        if self._paths is not None:
            for path in self._links.here(map(to_bytes, self._paths)):
                self._merge_at(path)
        self._links.tell_elsewhere(self._batches["elsewhere"])
        self._hash_small()
        self._tasks.finish()
        self._confirm_lost()
        for batch in self._batches.values():
            batch.flush()
        self._db.close()
        os.close(self._fd)
        return {
            "k": "done",
            "unreadable": self._walker.unreadable,
            "skipped": self._walker.skipped,
            "problems": [(to_text(path), why) for path, why in self._walker.problems],
            "unseen": [(to_text(path), why) for path, why in self._walker.unseen.items()],
        }

    # --- merging --------------------------------------------------------------------------------

    def _merge_everything(self) -> None:
        if self._known_files <= _MANY:
            self._merge([(b"", None)], self._walker.everything())
            return
        halves = self._halves()
        known = [self._known([half]) for half in halves]
        for half, met in ahead(self._walker, halves):
            if isinstance(met, Walked) and met.are(known[half].coming(len(met))):
                known[half].skip(len(met))
                self._link.meet(len(met))
                continue
            for found in met:
                self._meet(known[half], found)
        for rows in known:
            self._lose_rest(rows)

    def _halves(self) -> list[Range]:
        """All paths, cut where a name in the root begins, about in the middle of what is known."""
        (middle,) = self._db.execute(
            "SELECT path FROM file WHERE library = ? ORDER BY path LIMIT 1 OFFSET ?",
            (self._library, self._known_files // 2),
        ).fetchone() or (b"",)
        name, slash, _below = middle.partition(b"/")
        cut = name + slash
        return [(b"", cut), (cut, None)] if cut else [(b"", None)]

    def _merge_at(self, path: bytes) -> None:
        ranges: list[Range] = [(path, path + b"\0"), (path + b"/", path + b"0")]
        self._merge(ranges, self._walker.at(path))

    def _differs(self, identity: Identity) -> None:
        if identity.nlink > 1 and (self._paths is not None or not self._first):
            self._links.add(identity)

    def _merge(self, ranges: list[Range], items: Iterable[Found]) -> None:
        known = self._known(ranges)
        for found in items:
            self._meet(known, found)
        self._lose_rest(known)

    def _known(self, ranges: list[Range]) -> Known:
        return Known(self._db, self._library, ranges, self._old_dev, self._identity.dev)

    def _meet(self, known: Known, found: Found) -> None:
        path, identity, folder = found
        end = path + b"/" if folder else path
        while (row := known.row) is not None and row[1] < end:
            self._lose(known, row)
        if identity is None:
            self._leave(known, found)
            return
        self._link.meet()
        if row is None or row[1] != path:
            self._differs(identity)
            self._added(found, identity)
            return
        known.next()
        if row[2:7] != identity[:5]:
            self._differs(Identity(*row[2:]))
            self._differs(identity)
            self._tell("changed", found, identity)

    def _lose_rest(self, known: Known) -> None:
        while known.row is not None:
            self._lose(known, known.row)

    def _lose(self, known: Known, row: Row) -> None:
        known.next()
        if lies_in(row[1], self._inner):
            return  # It is another library's by now, which will take it.
        self._differs(Identity(*row[2:]))
        self._lost.append(row[0])

    @staticmethod
    def _leave(known: Known, found: Found) -> None:
        """What cannot be seen is not gone."""
        while known.row is not None and (
            known.row[1] == found.path
            or (found.folder and known.row[1].startswith(found.path + b"/"))
        ):
            known.next()

    def _added(self, found: Found, identity: Identity) -> None:
        kind, moved = "moved", None if self._first else self._moved_from(identity)
        if moved is None and self._others:
            kind, moved = "came", self._came_from(identity)
        if moved is None:
            self._tell("added", found, identity)
        else:
            self._moved.add(moved)
            row: list[object] = [moved, to_text(found.path), *identity]
            self._batches[kind].add(row, len(found.path))

    def _moved_from(self, identity: Identity) -> int | None:
        """The row of this inode whose path is there no more: a file that was renamed.

        Renaming sets ctime; the inode, the size and mtime say that it is the same content.
        """
        for id_, path in self._db.execute(
            "SELECT id, path FROM file WHERE library = ? AND dev IN (?, ?) AND ino = ?"
            " AND size = ? AND mtime_ns = ?",
            (
                self._library,
                identity.dev,
                self._old_dev,
                identity.ino,
                identity.size,
                identity.mtime_ns,
            ),
        ).fetchall():
            if id_ not in self._moved and self._is_gone(path, self._root, self._fd):
                return int(id_)
        return None

    def _beside(self) -> dict[int, bytes]:
        """The roots of the other libraries on this file system."""
        found = self._db.execute(
            "SELECT id, root FROM library WHERE id <> ? AND dev = ? AND ino IS NOT NULL",
            (self._library, self._identity.dev),
        )
        return dict(found.fetchall())

    def _came_from(self, identity: Identity) -> int | None:
        """The row of this inode in another library, whose root is there and whose path is not."""
        asked = ",".join("?" * len(self._others))
        for id_, library, path, ino in self._db.execute(
            "SELECT file.id, library, path, library.ino FROM file"  # noqa: S608 - question marks
            f" JOIN library ON library.id = file.library WHERE library IN ({asked})"
            " AND file.dev = ? AND file.ino = ? AND size = ? AND mtime_ns = ?",
            (*self._others, *identity[:4]),
        ).fetchall():
            if id_ not in self._moved and self._left(self._others[library], ino, path):
                return int(id_)
        return None

    def _left(self, root: bytes, ino: int, path: bytes) -> bool:
        """Whether a path of another library is gone. A root that is away says nothing."""
        try:
            fd, there, _device = open_root(root)
        except RootLostError:
            return False
        try:
            return there[:2] == (self._identity.dev, ino) and self._is_gone(path, root, fd)
        finally:
            os.close(fd)

    # --- telling --------------------------------------------------------------------------------

    def _tell(self, kind: str, found: Found, identity: Identity) -> None:
        """Hashes on the way what does not hold up the walk; the rest is hashed later.

        Larger files go to the threads, while there is room. Small ones are read here (threads would
        only fight for the interpreter), as long as that is quick: not from a cold, turning disk.
        What has more names than one waits: later one reading serves them all. So does what is
        large: it is mapped then, which may end the process, and a look must not end. Under strain
        all of it waits.
        """
        difference = (kind, found.path, identity)
        if not self._link.hashing:
            self._put(*difference, None)
        elif identity.size <= SMALL:
            self._small.append(difference)
            if len(self._small) >= _CHUNK:
                self._hash_small()
        elif not self._now(identity) or not self._offer(difference):
            self._put(*difference, None)

    @staticmethod
    def _now(identity: Identity) -> bool:
        return identity.nlink == 1 and identity.size < WINDOW

    def _offer(self, difference: _Difference) -> bool:
        size = difference[2].size
        if self._under_way + size > _UNDER_WAY:
            return False

        def work() -> None:
            self._hash(*difference)
            with self._lock:
                self._under_way -= size

        if not self._tasks.offer(work, wait=False):
            return False
        with self._lock:
            self._under_way += size
        return True

    def _hash_small(self) -> None:
        chunk, self._small = self._small, []
        if self._slow:
            self._slow -= 1
            for difference in chunk:
                self._put(*difference, None)
            return
        begun = time.monotonic()
        for difference in chunk:
            self._hash(*difference)
        if time.monotonic() - begun > _QUICK_S * len(chunk):
            self._slow = 20

    def _hash(self, kind: str, path: bytes, identity: Identity) -> None:
        found: list[str] | None = None
        with suppress(OSError, ChangedError):  # It stays pending: that is tried again later.
            if self._link.hashing:
                found = digest(self._fd, path, identity, self._link, self._more)
        self._put(kind, path, identity, found)

    def _put(self, kind: str, path: bytes, identity: Identity, found: list[str] | None) -> None:
        self._batches[kind].add([to_text(path), *identity, *(found or (None,))], len(path))

    # --- what was not met -----------------------------------------------------------------------

    def _confirm_lost(self) -> None:
        """Raises RootLostError where it was the root that went away."""
        lost = (id_ for id_ in self._lost if id_ not in self._moved)
        while chunk := list(islice(lost, _STEP)):
            gone = []
            for id_ in chunk:
                self._link.advance()
                row = self._db.execute("SELECT path FROM file WHERE id = ?", (id_,)).fetchone()
                if row is not None and self._is_gone(row[0], self._root, self._fd):
                    gone.append((id_, row[0]))
            fd, identity, device = open_root(self._root)
            there = root_of(fd, identity, device)
            os.close(fd)
            if there != self._there:
                raise RootLostError("missing", "another folder took its place")
            for id_, path in gone:
                self._batches["gone"].add([id_, to_text(path)], len(path))

    @staticmethod
    def _is_gone(path: bytes, root: bytes, fd: int) -> bool:
        """Whether no file is at ``path`` below ``root``, which is open as ``fd``."""
        try:
            status = os.stat(path, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            return error.errno in GONE
        whole = root + b"/" + path
        return not stat.S_ISREG(status.st_mode) or os.path.realpath(whole) != whole
