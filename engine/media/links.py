"""The names of hard links: one that comes or goes changes the file, and no event tells of its other
names. Standard library only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from engine.media.hints import ancestors
from engine.media.link import Batch
from engine.media.walk import Identity
from engine.worker.frames import to_text

_MOST = 2000


class Links:
    """Files with more than one name that differ from what the catalogue knows; so many at most.

    ``others``: the libraries on the same file system.
    """

    def __init__(self, db: sqlite3.Connection, library: int, others: Collection[int]) -> None:
        self._db, self._library, self._others = db, library, others
        self._met: set[tuple[int, int]] = set()

    def add(self, identity: Identity) -> None:
        if len(self._met) <= _MOST:
            self._met.add((identity.dev, identity.ino))

    def here(self, looked_at: Iterable[bytes]) -> list[bytes]:
        """Their names in this library that were not looked at with these paths."""
        met = {*looked_at}
        names = {
            path
            for _library, path in self._names([self._library])
            if path not in met and met.isdisjoint(ancestors(path))
        }
        return sorted(names)

    def tell_elsewhere(self, batch: Batch) -> None:
        """Their names in other libraries; None for all that one has, where they are too many."""
        if len(self._met) > _MOST:
            for library in self._others:
                batch.add([library, None], 0)
            return
        for library, path in self._names(self._others):
            batch.add([library, to_text(path)], len(path))

    def _names(self, libraries: Collection[int]) -> Iterator[tuple[int, bytes]]:
        if not libraries:
            return
        asked = ",".join("?" * len(libraries))
        for dev, ino in islice(self._met, _MOST):
            yield from self._db.execute(
                f"SELECT library, path FROM file WHERE library IN ({asked})"  # noqa: S608
                " AND dev = ? AND ino = ?",
                (*libraries, dev, ino),
            ).fetchall()
