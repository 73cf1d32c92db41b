"""The folders directly below one, with what lies below each: made aside, kept while it holds."""

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

Level = list[tuple[bytes, int, int]]


@dataclass(frozen=True, slots=True)
class _Known:
    """``folders``: name, files, bytes, by name. The other numbers are of the folder itself."""

    version: int
    folders: Level
    files: int
    bytes: int


class Trees:
    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._kept: OrderedDict[tuple[int, bytes], _Known] = OrderedDict()

    async def page(self, library: int, asked: AskTree) -> FolderPage:
        """Raises Invalid, StoreFailed."""
        under = folder_of(asked.under.raw) if asked.under else b""
        known = await self._level(library, under)
        folders = known.folders
        if asked.sort == "files":
            folders = await asyncio.to_thread(sorted, folders, key=lambda f: (-f[1], f[0]))
        elif asked.sort == "size":
            folders = await asyncio.to_thread(sorted, folders, key=lambda f: (-f[2], f[0]))
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
        )

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
