"""Reading catalogued files again, in the worker: are they still what they were?

Same identity and other bytes is rot; another identity is an edit, which a look takes in. Before a
file is called rotten it is read once more, from the disk: a bit that flips in memory or on a cable
is not the disk's. Nothing is written. Standard library and blake3 only.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from engine.media.digest import SMALL, ChangedError, Tasks, digest
from engine.media.link import Batch, Link
from engine.media.look import open_catalogue
from engine.media.root import RootLostError, open_root
from engine.media.walk import GONE, Identity
from engine.worker.frames import Frame, to_bytes, to_text

KINDS = ("intact", "rotten", "unread", "refused", "again", "fresh")
_CHUNK = 64
_IN_A_ROW = 50
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
_ROW = "path, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, damage"


class Item(NamedTuple):
    """A catalogued file, and the BLAKE3 (hex) that it had."""

    path: bytes
    identity: Identity
    blake3: str
    damage: str


class GivenUpError(Exception):
    """Nothing more is read; ``code`` says why."""

    code = ""


class DiskFailsError(GivenUpError):
    """One file after the other cannot be read: that is the disk, and not the files."""

    code = "failing"


class Judge:
    """Reads files in threads and tells rows of each of KINDS. ``command``: root, expect, threads,
    hashes (made besides), settle_s (what changed within that is never called rotten, but fresh).
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self.link = link
        self.root = to_bytes(command["root"])
        self.fd, self._identity, self.device = open_root(self.root)
        expect = command["expect"]
        if expect is not None and tuple(expect) != self._identity[:2]:
            raise RootLostError("other", "it is not the folder that was scanned")
        self.more: list[str] = command["hashes"]
        self._settle_ns = int(command["settle_s"] * 1e9)
        self._tasks = Tasks(command["threads"], 16)
        self._batches = {kind: Batch(link, kind) for kind in KINDS}
        self._lock = threading.Lock()
        self._failing: list[tuple[list[object], int]] = []
        self._files = self._bytes = 0

    def read(self, items: Iterable[Item]) -> None:
        """Reads all of them. Raises RootLostError, DiskFailsError."""
        small: list[Item] = []
        for item in items:
            large = item.identity.size > SMALL
            if small and (large or len(small) == _CHUNK):
                self._offer(small)
                small = []
            if large:
                self._offer([item])
            else:
                small.append(item)
        self._offer(small)

    def finish(self) -> Frame:
        """Waits for all that was begun; returns the closing frame's numbers."""
        self._tasks.finish()
        self._still_there()
        self._tell_failing()
        for batch in self._batches.values():
            batch.flush()
        os.close(self.fd)
        return {"files": self._files, "bytes": self._bytes}

    def _still_there(self) -> None:
        fd, identity, _device = open_root(self.root)
        os.close(fd)
        if identity[:2] != self._identity[:2]:
            raise RootLostError("missing", "another folder took its place")

    def _offer(self, items: list[Item]) -> None:
        if len(self._failing) >= _IN_A_ROW:
            raise DiskFailsError(f"{_IN_A_ROW} files in a row cannot be read")
        self._tasks.offer(lambda: self._read(items), wait=True)

    def _read(self, items: list[Item]) -> None:
        for item in items:
            self.link.where = to_text(item.path)
            self.judge(item)
            self.link.advance(1)

    def judge(self, item: Item) -> list[str] | None:
        """Reads one file and tells what is to be said of it; its hashes where it could be read."""
        try:
            found = self._digest(item)
            if found[0] != item.blake3:
                found = self._digest(item)
        except ChangedError:
            self._tell("again", item, [])
            return None
        except OSError as error:
            self._failed(item, error)
            return None
        self.count(item.identity.size)
        if found[0] == item.blake3:
            self._tell("intact", item, found)
        elif 0 <= time.time_ns() - item.identity.ctime_ns < self._settle_ns:
            # Through a mapping bytes are written before times are set.
            why = f"other bytes, and changed less than {self._settle_ns // 10**9} s ago"
            self._tell("fresh", item, [why])
        else:
            self._tell("rotten", item, [item.blake3, found[0], item.damage])
        return found

    def _digest(self, item: Item) -> list[str]:
        return digest(self.fd, item.path, item.identity, self.link, self.more, fresh=True)

    def count(self, size: int) -> None:
        """One more was read well."""
        with self._lock:
            self._files += 1
            self._bytes += size
        self._tell_failing()

    def _failed(self, item: Item, error: OSError) -> None:
        why = error.strerror or str(error)
        if error.errno in GONE:
            self._tell("again", item, [])
        elif error.errno in _REFUSED:
            self._tell("refused", item, [why])
        else:
            row = [to_text(item.path), *item.identity[:5], item.blake3, why, item.damage]
            with self._lock:
                self._failing.append((row, len(item.path)))

    def _tell_failing(self) -> None:
        """One was read since, or all is at its end: so it was the files that could not be read."""
        with self._lock:
            failing, self._failing = self._failing, []
        for row, weight in failing:
            self._batches["unread"].add(row, weight)

    def _tell(self, kind: str, item: Item, rest: Sequence[object]) -> None:
        self._batches[kind].add([to_text(item.path), *item.identity[:5], *rest], len(item.path))


class Reread:
    """``command``: what Judge takes, and catalogue, library, paths (None: everything), before (ns:
    only what was not checked since; None: all), share (bytes: as much of the rest, the oldest
    first), damaged (those too that are known as such), lacking (hashes: only what lacks one).
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._judge = Judge(command, link)
        self._link, self._command = link, command
        self._library: int = command["library"]
        self._db = open_catalogue(command["catalogue"])

    def run(self) -> Frame:
        """Reads what is chosen, the longest unchecked first; returns the closing frame."""
        chosen, size, spare = self._choose()
        self._link.send({"k": "plan", "files": len(chosen), "bytes": size, "spare": spare})
        self._judge.read(self._items(chosen))
        done = self._judge.finish()
        self._db.close()
        return {"k": "done", **done}

    def _choose(self) -> tuple[array[int], int, int]:
        """Ids of files, each inode once, their bytes, and the bytes of those not due yet."""
        before, share = self._command["before"], self._command["share"]
        chosen = array("q")
        seen: set[tuple[int, int]] = set()
        total = spare = 0
        for id_, size, dev, ino, nlink, checked in self._candidates():
            self._link.advance()
            if nlink > 1:
                if (dev, ino) in seen:
                    continue
                seen.add((dev, ino))
            if before is not None and (checked or -1) >= before:
                if spare + size > share:
                    break
                spare += size
            chosen.append(id_)
            total += size
        return chosen, total, spare

    def _candidates(self) -> Iterator[Any]:
        # A hash that was kept of what was touched holds for no identity.
        where, values = ["library = ?", "blake3 IS NOT NULL", "damage <> 'unread'"], list[Any]()
        values.append(self._library)
        if self._command["paths"] is not None:
            places = []
            for path in map(to_bytes, self._command["paths"]):
                places.append("path = ? OR (path > ? AND path < ?)")
                values += [path, path + b"/", path + b"0"]
            where.append(f"({' OR '.join(places)})")
        if not self._command["damaged"]:
            where.append("damage = ''")
        if lacking := self._command["lacking"]:
            asked = ",".join("?" * len(lacking))
            where.append(
                f"(SELECT count(*) FROM digest WHERE file = file.id AND kind IN ({asked})) < ?"  # noqa: S608
            )
            values += [*lacking, len(lacking)]
        yield from self._db.execute(
            "SELECT id, size, dev, ino, nlink, iif(checked_at > ?, NULL, checked_at) AS checked"  # noqa: S608
            f" FROM file WHERE {' AND '.join(where)} ORDER BY checked",
            [time.time_ns(), *values],  # Checked at a time that is to come: not checked.
        )

    def _items(self, chosen: array[int]) -> Iterator[Item]:
        for id_ in chosen:
            row = self._db.execute(
                f"SELECT {_ROW} FROM file WHERE id = ? AND library = ? AND blake3 IS NOT NULL"  # noqa: S608
                " AND damage <> 'unread'",
                (id_, self._library),
            ).fetchone()
            if row is not None:
                yield item_of(row)


def item_of(row: Any) -> Item:
    path, *numbers, blake3, damage = row
    return Item(path, Identity(*numbers), blake3.hex(), damage)
