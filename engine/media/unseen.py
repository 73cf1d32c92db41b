"""Places of a library that could not be looked at: what is known there may be so, or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from engine.contract.base import now, visible
from engine.store import Database, Transaction

_PUT = """
INSERT INTO unseen (library, path, why, since, seen_at)
SELECT ?1, ?2, ?3, ?4, scanned_at FROM library WHERE id = ?1
ON CONFLICT (library, path) DO UPDATE SET why = excluded.why
"""


class Place(NamedTuple):
    """A folder, with all that is below it, or a file. ``seen_at``: when it last was looked at."""

    path: bytes
    why: str
    since: datetime
    seen_at: datetime | None


class Unseen:
    """Those of one library, as the catalogue has them."""

    def __init__(self, database: Database, library: int) -> None:
        self._db, self._library = database, library
        self.places: Mapping[bytes, Place] = {}

    async def load(self) -> None:
        """Raises StoreFailed, as everything here."""
        rows = await self._db.read("SELECT * FROM unseen WHERE library = ?", (self._library,))
        self.places = {
            row["path"]: Place(
                row["path"],
                row["why"],
                datetime.fromisoformat(row["since"]),
                row["seen_at"] and datetime.fromisoformat(row["seen_at"]),
            )
            for row in rows
        }

    async def put(self, looked: Sequence[bytes] | None, found: Sequence[tuple[bytes, str]]) -> bool:
        """Takes the place of what was known at and below these paths (None: everywhere). False
        where that is the same."""
        before = {p for p in self.places if looked is None or any(_in(p, at) for at in looked)}
        if not before and not found:
            return False
        gone = before - {path for path, _why in found}
        at = now().isoformat()

        async def work(tx: Transaction) -> None:
            await tx.executemany(
                "DELETE FROM unseen WHERE library = ? AND path = ?",
                [(self._library, path) for path in gone],
            )
            values = [(self._library, path, visible(why), at) for path, why in found]
            await tx.executemany(_PUT, values)

        await self._db.write(work)
        known = dict(self.places)
        await self.load()
        return known != self.places

    def over(self, path: bytes) -> Place | None:
        """The outermost place that holds a path."""
        if not self.places:
            return None
        end = path.find(b"/")
        while end >= 0:
            if (place := self.places.get(path[:end])) is not None:
                return place
            end = path.find(b"/", end + 1)
        return self.places.get(path)


def _in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")
