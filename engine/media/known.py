"""What the catalogue knows of a library, row by row in the order of paths. Standard library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

_PAGE = 2000
_DEV = "CASE dev WHEN :old THEN :new ELSE dev END"
_PAGED = (
    f"SELECT id, path, {_DEV}, ino, size, mtime_ns, ctime_ns, nlink FROM file"  # noqa: S608
    " WHERE library = :library AND path >= :start {below} ORDER BY path LIMIT :page"
)

Range = tuple[bytes, bytes | None]
"""Paths from the first on, up to but without the second; None: to the end."""

Row = tuple[int, bytes, int, int, int, int, int, int]
"""A file as the catalogue has it: id, path, and its identity. As SQLite gives it: there may be a
million, nearly all of which are as they were."""


class Known:
    """The catalogue's rows in ranges of paths, in order, read in pages.

    ``old`` and ``new``: the file system's number before and now, where it was mounted anew.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        library: int,
        ranges: Iterable[Range],
        old: int,
        new: int,
    ) -> None:
        self._db = db
        self._asked = {"library": library, "old": old, "new": new, "page": _PAGE}
        self._pages = self._read(ranges)
        self._page: list[Row] = []
        self._at = 0
        self.next()

    def _read(self, ranges: Iterable[Range]) -> Iterator[list[Row]]:
        for low, high in ranges:
            start = low
            while page := self._some(start, high):
                yield page
                start = page[-1][1] + b"\0"

    def _some(self, start: bytes, high: bytes | None) -> list[Any]:
        sql = _PAGED.format(below="" if high is None else "AND path < :high")
        return self._db.execute(sql, {**self._asked, "start": start, "high": high}).fetchall()

    def next(self) -> None:
        """``row`` is the next one, None after the last."""
        self._at += 1
        if self._at >= len(self._page):
            self._page, self._at = next(self._pages, []), 0
        self.row: Row | None = self._page[self._at] if self._page else None

    def coming(self, count: int) -> list[Row]:
        """So many from ``row`` on, fewer where there are no more."""
        while len(self._page) - self._at < count and (more := next(self._pages, None)):
            self._page, self._at = self._page[self._at :] + more, 0
        return self._page[self._at : self._at + count]

    def skip(self, count: int) -> None:
        """These are done with; they were ``coming``."""
        self._at += count - 1
        self.next()
