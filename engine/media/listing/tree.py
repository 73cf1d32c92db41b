"""The folders directly below one, with what lies below each: made aside, kept while it holds.

Which folders there are is told at once: the index of paths is left, behind a folder's first file,
for what comes behind the folder.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from engine.contract.base import PathRef
from engine.contract.listing import AskTree, Folder, FolderPage
from engine.media.listing.aside import Aside, Reading
from engine.media.listing.matching import between, folder_of

_KEPT_FOLDERS = 400_000
_KEPT = 64
_AT_ONCE = 500
_STEPS = 20_000
"""So many folders, and files beside them, are stepped over in a few hundredths of a second."""

Level = list[tuple[bytes, int | None, int | None]]


@dataclass(frozen=True, slots=True)
class _Known:
    """``folders``: name, files, bytes, by name; ``version`` None: these are not counted. ``below``:
    the bytes of all that is below the folder; the other numbers are of the folder itself."""

    version: int | None
    folders: Level
    files: int
    bytes: int
    below: int | None = None

    @property
    def shared(self) -> int:
        """By so much the parts are more than the whole."""
        if self.below is None:
            return 0
        return self.bytes + sum(size or 0 for _name, _files, size in self.folders) - self.below


class Trees:
    """``looking`` for what somebody waits for, ``counting`` for numbers."""

    def __init__(self, looking: Aside, counting: Aside) -> None:
        self._looking, self._aside = looking, counting
        self._kept: OrderedDict[tuple[int, bytes], _Known] = OrderedDict()

    async def page(self, library: int, asked: AskTree) -> FolderPage:
        """Raises Invalid, StoreFailed."""
        under = folder_of(asked.under.raw) if asked.under else b""
        known = await self._names(library, under) if asked.quick and asked.sort == "path" else None
        known = known or await self._level(library, under)
        folders = known.folders
        if asked.sort != "path":
            by = 1 if asked.sort == "files" else 2
            folders = await asyncio.to_thread(
                sorted, folders, key=lambda folder: (-(folder[by] or 0), folder[0])
            )
        before = under + b"/" if under else b""
        made: list[Folder] = []
        for name, files, size in folders[asked.at : asked.at + asked.limit]:
            made.append(Folder(path=PathRef.of(before + name), files=files, bytes=size))
            if len(made) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return FolderPage(
            library=asked.library,
            under=PathRef.of(under),
            folders=tuple(made),
            total=len(folders),
            files=known.files,
            bytes=known.bytes,
            below_bytes=known.below,
            shared=known.shared,
            counted=known.version is not None,
        )

    async def _names(self, library: int, under: bytes) -> _Known | None:
        """What can be told at once. None: all of it, or too little."""
        if (library, under) in self._kept and not self._aside.busy:
            kept, version = self._kept[library, under], await self._aside.version()
            if kept.version == version:
                return kept
        return await self._looking.run(lambda reading: _stepped(reading, library, under))

    async def _level(self, library: int, under: bytes) -> _Known:
        version = await self._aside.version()
        kept = self._kept.get((library, under))
        if kept is None or kept.version != version:
            kept = await self._aside.run(lambda reading: _read(reading, library, under, version))
            self._kept[library, under] = kept
        self._kept.move_to_end((library, under))
        while len(self._kept) > 1 and (
            len(self._kept) > _KEPT
            or sum(len(level.folders) for level in self._kept.values()) > _KEPT_FOLDERS
        ):
            self._kept.popitem(last=False)
        return kept


def _read(reading: Reading, library: int, under: bytes, version: int) -> _Known:
    """A whole library is read as it lies, a part of it by its range of paths."""
    span = between(under)
    way, where = "NOT INDEXED", ""
    if span is not None:
        way, where = "INDEXED BY file_by_path", " AND path >= ?2 AND path < ?3"
    start = len(span[0]) + 1 if span else 1
    values = (library, *(span or ()))
    named = (
        "SELECT CASE slash WHEN 0 THEN NULL ELSE substr(rest, 1, slash - 1) END AS name, size, dev,"  # noqa: S608
        " ino, nlink FROM (SELECT rest, instr(rest, x'2f') AS slash, size, dev, ino, nlink FROM ("
        f" SELECT substr(path, {start}) AS rest, size, dev, ino, nlink FROM file {way}"
        f" WHERE library = ?1{where}))"
    )
    rows = reading.all(
        f"SELECT name, count(*), sum(size), sum(nlink > 1) FROM ({named}) GROUP BY name"  # noqa: S608
        " ORDER BY name",
        values,
    )
    again, below = {}, sum(row[2] for row in rows)
    if any(row[3] for row in rows):
        linked = f"SELECT * FROM ({named}) WHERE nlink > 1"  # noqa: S608
        once = "sum(size) - max(size) AS more"  # A file weighs as much as the largest of its rows.
        each = f"SELECT name, {once} FROM ({linked}) GROUP BY name, dev, ino"  # noqa: S608
        again = dict(reading.all(f"SELECT name, sum(more) FROM ({each}) GROUP BY name", values))  # noqa: S608
        every = f"SELECT {once} FROM ({linked}) GROUP BY dev, ino"  # noqa: S608
        below -= reading.all(f"SELECT sum(more) FROM ({every})", values)[0][0]  # noqa: S608
    weighed = [(name, files, size - again.get(name, 0)) for name, files, size, _linked in rows]
    here = [row for row in weighed if row[0] is None]
    folders = [(bytes(name), files, size) for name, files, size in weighed if name is not None]
    files, size = here[0][1:] if here else (0, 0)
    return _Known(version, folders, files, size, below)


def _stepped(reading: Reading, library: int, under: bytes) -> _Known | None:
    """The folders without numbers; None where there are too many steps from one to the next."""
    span = between(under)
    begin, end = span or (b"", None)
    start, before = len(begin) + 1, "" if end is None else " AND path < ?5"
    first = f"SELECT id FROM file INDEXED BY file_by_path WHERE library = ?1{before}"  # noqa: S608
    # What comes behind a file, or right behind the slash of a folder.
    slash = "instr(substr(step.path, ?3), x'2f')"
    behind = (
        f"CAST(iif({slash} = 0, step.path || x'00',"
        f" substr(step.path, 1, ?3 + {slash} - 2) || x'30') AS BLOB)"
    )
    sql = (
        "WITH RECURSIVE step (path, size, dev, ino) AS ("  # noqa: S608
        " SELECT path, size, dev, ino FROM file"
        f" WHERE id = ({first} AND path >= ?4 ORDER BY path LIMIT 1)"
        " UNION ALL SELECT f.path, f.size, f.dev, f.ino FROM step CROSS JOIN file f"
        f" ON f.id = ({first} AND path >= {behind} ORDER BY path LIMIT 1)"
        " LIMIT ?2) SELECT * FROM step"
    )
    rows = reading.all(sql, (library, _STEPS + 1, start, begin, *([end] if end else [])))
    if len(rows) > _STEPS:
        return None
    folders: Level = []
    files, weights = 0, dict[tuple[int, int], int]()
    for path, size, *inode in rows:
        name, inside, _rest = path[start - 1 :].partition(b"/")
        if inside:
            folders.append((name, None, None))
        else:
            files, one = files + 1, (inode[0], inode[1])
            weights[one] = max(size, weights.get(one, 0))
    return _Known(None, sorted(folders), files, sum(weights.values()))
