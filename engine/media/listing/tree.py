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
    """``folders``: name, files, bytes, by name; ``version`` None: these are not counted. The other
    numbers are of the folder itself."""

    version: int | None
    folders: Level
    files: int
    bytes: int


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
    sql = (
        "SELECT CASE slash WHEN 0 THEN NULL ELSE substr(rest, 1, slash - 1) END AS name,"  # noqa: S608
        " count(*), sum(size) FROM (SELECT rest, instr(rest, x'2f') AS slash, size FROM ("
        f" SELECT substr(path, {start}) AS rest, size FROM file {way}"
        f" WHERE library = ?1{where})) GROUP BY name ORDER BY name"
    )
    rows = reading.all(sql, (library, *(span or ())))
    here = [row for row in rows if row[0] is None]
    folders = [(bytes(name), files, size) for name, files, size in rows if name is not None]
    files, size = here[0][1:] if here else (0, 0)
    return _Known(version, folders, files, size)


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
        "WITH RECURSIVE step (path, size) AS ("  # noqa: S608
        f" SELECT path, size FROM file WHERE id = ({first} AND path >= ?4 ORDER BY path LIMIT 1)"
        " UNION ALL SELECT f.path, f.size FROM step CROSS JOIN file f"
        f" ON f.id = ({first} AND path >= {behind} ORDER BY path LIMIT 1)"
        " LIMIT ?2) SELECT path, size FROM step"
    )
    rows = reading.all(sql, (library, _STEPS + 1, start, begin, *([end] if end else [])))
    if len(rows) > _STEPS:
        return None
    folders: Level = []
    files = weight = 0
    for path, size in rows:
        name, inside, _rest = path[start - 1 :].partition(b"/")
        if inside:
            folders.append((name, None, None))
        else:
            files, weight = files + 1, weight + size
    return _Known(None, sorted(folders), files, weight)
