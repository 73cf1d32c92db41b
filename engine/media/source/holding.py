"""What torrent clients hold, for the rooms that would move files.

A client that has paused a torrent wants to find its files again, too. One name of a file that is
held is enough: whoever takes the inode away takes it from all of its names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from engine.contract.holding import GoneFile, HeldFile, HeldFiles, Inode, Wanted
from engine.contract.sources import TorrentClient
from engine.media.source.polling import Clients
from engine.store import Database

_ASKED = 500

_CLAIMED = """EXISTS (SELECT 1 FROM claim JOIN torrent USING (client, infohash)
    WHERE claim.file = file.id AND state <> 'removed')"""
_HELD = f"""
WITH asked (dev, ino) AS (VALUES {{values}})
SELECT DISTINCT file.dev, file.ino FROM asked CROSS JOIN library
CROSS JOIN file INDEXED BY file_by_inode
    ON file.library = library.id AND file.dev = asked.dev AND file.ino = asked.ino
WHERE {_CLAIMED}
"""  # noqa: S608
# By way of the inode: a link may be newer than the last asking, and not be told of by itself.
_HELD_IN = f"""
SELECT min(own.path) AS path, own.size, count(*) OVER () AS files, sum(own.size) OVER () AS bytes
FROM (
    SELECT DISTINCT dev, ino FROM claim CROSS JOIN file ON file.id = claim.file WHERE {_CLAIMED}
) AS held
CROSS JOIN file AS own INDEXED BY file_by_inode
    ON own.library = ?1 AND own.dev = held.dev AND own.ino = held.ino
WHERE own.mtime_ns <= ?2
GROUP BY own.dev, own.ino ORDER BY own.mtime_ns, 1 LIMIT ?3
"""  # noqa: S608


class Holding:
    """Implements ``Holders``. ``library``: the id of a library by its name; raises NotFound."""

    def __init__(
        self,
        database: Database,
        library: Callable[[str], int],
        clients: Clients,
    ) -> None:
        self._db, self._library, self._clients = database, library, clients

    async def held(self, inodes: Collection[Inode]) -> set[Inode]:
        """Raises StoreFailed."""
        asked, found = list(inodes), set()
        for start in range(0, len(asked), _ASKED):
            part = asked[start : start + _ASKED]
            sql = _HELD.format(values=",".join(["(?,?)"] * len(part)))
            rows = await self._db.read(sql, [number for inode in part for number in inode])
            found |= {(row["dev"], row["ino"]) for row in rows}
        return found

    async def held_in(self, library: str, until_ns: int | None, most: int) -> HeldFiles:
        """Raises NotFound, StoreFailed."""
        newest = 2**63 - 1 if until_ns is None else until_ns
        rows = await self._db.read(_HELD_IN, (self._library(library), newest, most))
        if not rows:
            return HeldFiles()
        first = tuple(HeldFile(row["path"], row["size"]) for row in rows)
        return HeldFiles(rows[0]["files"], rows[0]["bytes"], first)

    async def wanted(self, files: Iterable[GoneFile]) -> Wanted:
        return await self._clients.wanted(files)

    def clients(self) -> tuple[TorrentClient, ...]:
        return self._clients.states
