"""The worker's side of a search for duplicates: in folders, or among what is not hashed yet.

Standard library and blake3 only.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Sequence
from contextlib import suppress

from engine.media import mounts
from engine.media.ahead import Walked, ahead
from engine.media.duplicates.describing import Describer, Libraries, Member, Name, Place, facts_of
from engine.media.duplicates.extents import Layout, never_share, shared_spans, weigh
from engine.media.duplicates.reader import Reader
from engine.media.duplicates.sieve import Same, Sieve
from engine.media.link import Batch, Link
from engine.media.root import RootLostError, open_root
from engine.media.walk import Identity, Walker
from engine.worker.files import open_below
from engine.worker.frames import Frame, to_bytes

_CANDIDATES = """
SELECT id, library, path, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3 FROM file
WHERE library IN ({asked}) AND damage = '' AND size IN (
    SELECT size FROM file WHERE library IN ({asked}) AND blake3 IS NULL AND +size > 0)
ORDER BY library, id
"""


class Find:
    """``command``: roots (folders), skip (names of none of our business there),
    threads, limit, and what a ``Describe`` has.

    Tells ``stage`` when everything was met, a ``group`` for each of those that free most, and the
    numbers of all. Raises RootLostError.
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._link, self._limit = link, command["limit"]
        self._places: list[Place] = []
        for text in command["roots"]:
            self._places.append(_place(to_bytes(text)))
        self._skip = to_bytes(command["skip"])
        self._libraries = Libraries(command["catalogue"], command["libraries"], touch=False)
        self._describer = Describer(command["keep"], command["most"], touch=True)
        self._sieve = Sieve(link, command["threads"], reader=self._reader(command["threads"]))
        self._unreadable = self._skipped = 0
        self._mounts = mounts.table()
        self._silent: dict[int, bool] = {}

    def _reader(self, threads: int) -> Reader | None:
        with suppress(OSError):  # No process to be had: then this one reads.
            if threads > 1:
                return Reader([place.fd or 0 for place in self._places])
        return None

    def run(self) -> Frame:
        """Returns the closing frame."""
        self._walk()
        alike = self._sieve.alike()
        size = sum(len(same) * self._sieve.identity(same[0]).size for same in alike)
        self._link.send({"k": "stage", "files": len(self._sieve), "bytes": size})
        groups = copies = frees = 0
        best: list[tuple[int, bytes, Same]] = []
        for blake3, same in self._sieve.sift(alike):
            freed = self._frees(same)
            if freed is None:
                continue  # Reflinks of one another.
            groups, copies, frees = groups + 1, copies + len(same), frees + freed
            entry = (freed, blake3, same)
            if len(best) < self._limit:
                heapq.heappush(best, entry)
            else:
                heapq.heappushpop(best, entry)
        for _freed, blake3, same in sorted(best, key=lambda one: (-one[0], one[1])):
            self._tell(blake3, same)
        return self._closed(groups, copies, frees)

    def _closed(self, groups: int, copies: int, frees: int) -> Frame:
        self._libraries.close()
        for place in self._places:
            os.close(place.fd or 0)
        changed, unreadable = self._sieve.left
        return {
            "k": "done",
            "groups": groups,
            "copies": copies,
            "frees": frees,
            "files": len(self._sieve) + self._sieve.empty,
            "read_bytes": self._sieve.read_bytes,
            "changed": changed,
            "unreadable": unreadable + self._unreadable,
            "skipped": self._skipped,
            "empty": self._sieve.empty,
        }

    def _walk(self) -> None:
        for place in self._places:
            fd = place.fd or 0
            self._sieve.root(fd)
            walker = Walker(fd, os.fstat(fd).st_dev, self._skip)
            for _range, met in ahead(walker, [(b"", None)]):
                if isinstance(met, Walked):
                    self._sieve.add_all(met.paths, met.numbers)
                    self._link.advance(len(met))
            self._unreadable += walker.unreadable
            self._skipped += walker.skipped

    # --- what comes free ------------------------------------------------------------------------

    def _frees(self, same: Same) -> int | None:
        """Bytes that come free, at most; None where the copies are reflinks of one another."""
        sieve = self._sieve
        first = sieve.identity(same[0])
        if all(self._is_simple(sieve.identity(number), number) for number in same):
            return first.size * (len(same) - 1)
        layouts = [self._layout(number) for number in same]
        whole = [self._is_whole(number) for number in same]
        keep = whole.index(False) if False in whole else self._dearest(layouts)
        spare = [goes and at != keep for at, goes in enumerate(whole)]
        devices = [sieve.identity(number).dev for number in same]
        freed, apart = 0, False
        for dev in {*devices}:
            here = [at for at, one in enumerate(devices) if one == dev]
            weights = weigh([layouts[at] for at in here], [spare[at] for at in here])
            freed += sum(weight.frees for weight in weights)
            apart = apart or any(weight.shares != "all" for weight in weights)
        return freed if freed or apart or len({*devices}) > 1 else None

    @staticmethod
    def _dearest(layouts: Sequence[Layout]) -> int:
        """The one that frees least: what is kept is not known yet, and the sum is a bound."""
        return min(range(len(layouts)), key=lambda at: layouts[at].taken)

    def _is_simple(self, identity: Identity, number: int) -> bool:
        return (
            identity.nlink == 1 and number not in self._sieve.sparse and self._is_silent(identity)
        )

    def _is_silent(self, identity: Identity) -> bool:
        """Whether nothing on this file system shares its bytes."""
        if identity.dev not in self._silent:
            self._silent[identity.dev] = never_share(identity.dev, self._mounts)
        return self._silent[identity.dev]

    def _is_whole(self, number: int) -> bool:
        names = {self._name(one).whole for one in (number, *self._sieve.names.get(number, ()))}
        return len(names) >= self._sieve.identity(number).nlink

    def _layout(self, number: int) -> Layout:
        identity = self._sieve.identity(number)
        taken = self._sieve.sparse.get(number, identity.size)
        if self._is_silent(identity):
            return Layout(taken, [])
        name = self._name(number)
        try:
            fd = open_below(name.fd or 0, name.below)
        except OSError:
            return Layout(taken, None)
        try:
            return Layout(taken, shared_spans(fd))
        finally:
            os.close(fd)

    # --- what is told ---------------------------------------------------------------------------

    def _name(self, number: int) -> Name:
        place, path = self._places[self._sieve.place(number)], self._sieve.path(number)
        whole = place.root + b"/" + path
        return Name(None, "", whole, whole, place.fd, path)

    def _tell(self, blake3: bytes, same: Same) -> None:
        frame = self._describer.group(blake3, [self._member(number) for number in same])
        self._link.advance(0)
        if frame is not None:
            self._link.send(frame)

    def _member(self, number: int) -> Member:
        """With what is known of it where it is a library's."""
        identity = self._sieve.identity(number)
        names: list[Name] = []
        rows = []
        for one in (number, *self._sieve.names.get(number, ())):
            name = self._name(one)
            row = self._libraries.facts(name.whole, identity)
            if row is not None:
                rows.append(row)
                name = self._libraries.name(row)._replace(fd=name.fd, below=name.below)
            names.append(name)
        return self._describer.member(names, identity, facts_of(rows) if rows else {})


def _place(folder: bytes) -> Place:
    """Raises RootLostError, which names the folder."""
    root = os.path.realpath(folder)
    try:
        return Place("", root.rstrip(b"/"), open_root(root)[0])
    except RootLostError as error:
        shown = folder.decode("utf-8", "backslashreplace")
        raise RootLostError(error.code, f"{shown} cannot be looked into: {error}") from error


class Sift:
    """``command``: catalogue, libraries (id, name, root), threads, hashes.

    Hashes those of the files without a hash that may be duplicates; tells ``hashed`` rows: library,
    identity, BLAKE3 and the further hashes.
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._link = link
        self._libraries = Libraries(command["catalogue"], command["libraries"], touch=True)
        self._hashed = Batch(link, "hashed")
        self._known: dict[int, bytes] = {}
        self._library: list[int] = []
        self._sieve = Sieve(
            link, command["threads"], known=self._known.get, told=self._told, more=command["hashes"]
        )

    def run(self) -> Frame:
        """Returns the closing frame."""
        self._load()
        alike = [same for same in self._sieve.alike() if self._is_open(same)]
        size = sum(len(same) * self._sieve.identity(same[0]).size for same in alike)
        self._link.send({"k": "stage", "files": len(self._sieve), "bytes": size})
        for _group in self._sieve.sift(alike):
            pass
        self._hashed.flush()
        self._libraries.close()
        changed, unreadable = self._sieve.left
        return {
            "k": "done",
            "files": len(self._sieve),
            "read_bytes": self._sieve.read_bytes,
            "changed": changed,
            "unreadable": unreadable,
        }

    def _load(self) -> None:
        places = {id_: place for id_, place in self._libraries.places.items() if place.fd}
        sql = _CANDIDATES.format(asked=",".join("?" * len(places)))
        last = None
        for row in self._libraries.db.execute(sql, (*places, *places)):
            if row["library"] != last:
                last = row["library"]
                self._sieve.root(places[last].fd or 0)
                self._library.append(last)
            if row["blake3"] is not None:
                self._known[len(self._sieve)] = row["blake3"]
            self._sieve.add(row["path"], row[3:9])

    def _is_open(self, same: Same) -> bool:
        return any(number not in self._known for number in same)

    def _told(self, number: int, hashes: list[str]) -> None:
        names = (number, *self._sieve.names.get(number, ()))
        for library in {self._library[self._sieve.place(name)] for name in names}:
            self._hashed.add([library, *self._sieve.identity(number)[:5], *hashes], 0)
