"""The groups that the catalogue knows of, put in order once and then read in pages.

Counting over a million files takes a second, a page must not: so what was counted lies in a table
of a connection of its own, which SQLite keeps in a file that nobody else sees, by the page's keys.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_TIMEOUT_S = 10.0
# An inode is one copy however many names it has, and frees something only with the last of them.
# What is damaged is no copy any more. One has to stay, the least where all could go. Numbers are
# negative so that every order is an ascending one, and a page begins with one step in an index.
# SQLite is told which index to use: by itself it takes one of a library's for the better choice,
# and reads the whole library for each.
GROUPS = """
CREATE TEMP TABLE same AS
WITH twice AS (
    SELECT blake3 FROM file WHERE blake3 IS NOT NULL GROUP BY blake3 HAVING count(*) > 1
), inode AS (
    SELECT blake3, min(coalesce(taken, file.size)) AS taken, min(path) AS path,
        max(damage <> '') AS bad,
        max(nlink) <= 1 OR max(nlink) <= count(DISTINCT CASE WHEN nlink > 1
            THEN CAST(library.root || x'2f' || path AS BLOB) END) AS whole
    FROM twice CROSS JOIN file INDEXED BY file_by_blake3 USING (blake3)
    JOIN library ON library.id = file.library
    LEFT JOIN sparse ON sparse.file = file.id
        AND sparse.size = file.size AND sparse.mtime_ns = file.mtime_ns
    WHERE file.size > 0 AND file.library IN ({asked})
    GROUP BY blake3, file.dev, file.ino
)
SELECT blake3, -count(*) AS copies, min(path) AS path,
    coalesce(iif(sum(NOT bad) > sum(whole AND NOT bad), 0, min(iif(bad, NULL, taken))), 0)
        - sum(iif(whole AND NOT bad, taken, 0)) AS frees
FROM inode GROUP BY blake3 HAVING count(*) > 1
"""
"""Makes the table of groups in libraries, whose ids are ``asked``; a report counts by it too."""
_INDEXES = (
    "CREATE INDEX temp.by_frees ON same (frees, blake3)",
    "CREATE INDEX temp.by_copies ON same (copies, blake3)",
    "CREATE INDEX temp.by_path ON same (path, blake3)",
)
TOTALS = "SELECT count(*), -coalesce(sum(copies), 0), -coalesce(sum(frees), 0) FROM same"
_PENDING = "SELECT coalesce(sum(pending), 0) FROM library WHERE id IN ({asked})"
_UNREAD = """
SELECT count(*) FROM file INDEXED BY file_damaged
WHERE library IN ({asked}) AND damage <> '' AND damage = 'unread' AND blake3 IS NULL
"""
_CANDIDATES = """
SELECT count(*) FROM file AS one INDEXED BY file_pending
WHERE library IN ({asked}) AND blake3 IS NULL AND damage = '' AND size > 0
    AND EXISTS (SELECT 1 FROM file AS other INDEXED BY file_by_size
        WHERE other.library IN ({asked}) AND other.size = one.size
            AND (other.dev, other.ino) <> (one.dev, one.ino))
"""
_STATE = """
SELECT (SELECT count(*) FROM sparse) || group_concat(id || ' ' || coalesce(changed_at, ''), ',')
FROM library
"""
_MOST_LEARNED = 100_000
_COLUMNS = {"frees": "frees", "count": "copies", "path": "path"}


class Key(NamedTuple):
    """A group's place in the order, its BLAKE3, and the bytes that it frees at most."""

    value: int | bytes
    blake3: bytes
    frees: int = 0


class Snapshot:
    """``uri``: the catalogue; ``libraries``: their ids. All methods block; from any thread."""

    def __init__(self, uri: str, libraries: Sequence[int]) -> None:
        self.name = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            f"{uri}?mode=ro", uri=True, timeout=_TIMEOUT_S, check_same_thread=False
        )
        asked = ",".join(map(str, libraries)) or "NULL"  # An index for none is no way to go.
        began = time.monotonic()
        try:
            self.state = state_of(self._db)
            self._db.execute("PRAGMA temp_store = FILE")
            self._db.execute(GROUPS.format(asked=asked))
            for index in _INDEXES:
                self._db.execute(index)
            self.groups, self.copies, self._frees = self._db.execute(TOTALS).fetchone()
            self.unread = self._number(_UNREAD.format(asked=asked))
            self.pending = self._number(_PENDING.format(asked=asked)) - self.unread
            self.candidates = self._number(_CANDIDATES.format(asked=asked)) if self.pending else 0
        except BaseException:
            self._db.close()
            raise
        self._less: dict[bytes, int] = {}
        self.made_at = time.time_ns()
        self.ended = time.monotonic()
        self.took = self.ended - began

    def _number(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def page(self, sort: str, after: Key | None, limit: int) -> list[Key]:
        """The next groups in this order. Raises sqlite3.Error."""
        column = _COLUMNS[sort]
        where, values = "", list[Any]()
        if after is not None:
            where, values = f"WHERE ({column}, blake3) > (?, ?)", [*after[:2]]
        sql = f"SELECT {column}, blake3, -frees FROM same {where} ORDER BY {column}, blake3 LIMIT ?"  # noqa: S608
        with self._lock:
            return [Key(*row) for row in self._db.execute(sql, (*values, limit))]

    @property
    def frees(self) -> int:
        """Bytes that come free, at most: by the catalogue, and less where the disk said so."""
        return int(self._frees) - sum(self._less.values())

    def learn(self, keys: Sequence[Key], frees: Mapping[bytes, int]) -> None:
        """What groups free, as the disk says; one that is not told of frees nothing."""
        for key in keys[: max(0, _MOST_LEARNED - len(self._less))]:
            less = key.frees - frees.get(key.blake3, 0)
            self._less.pop(key.blake3, None)
            if less > 0:
                self._less[key.blake3] = less

    def page_at(self, sort: str, at: int, limit: int) -> list[Key]:
        """The groups from this one on, counted from the nearer end. Raises sqlite3.Error."""
        column, limit = _COLUMNS[sort], min(limit, self.groups - at)
        if limit <= 0:
            return []
        behind = self.groups - at - limit
        back = behind < at
        order = f"{column} DESC, blake3 DESC" if back else f"{column}, blake3"
        sql = f"SELECT {column}, blake3, -frees FROM same ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
        with self._lock:
            keys = [Key(*row) for row in self._db.execute(sql, (limit, behind if back else at))]
        return keys[::-1] if back else keys

    def is_stale(self) -> bool:
        """Whether the catalogue has changed since."""
        with self._lock:
            return state_of(self._db) != self.state

    def close(self) -> None:
        with self._lock:
            self._db.close()


def state_of(db: sqlite3.Connection) -> str:
    return str(db.execute(_STATE).fetchone()[0])
