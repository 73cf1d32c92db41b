"""Reading the catalogue file by file, and all of it in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.contract.assets import Asset
from engine.contract.base import PathRef
from engine.contract.ports import CatalogueFile
from engine.store import Database
from engine.worker.numbers import unsigned

_BATCH = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = "id, path, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, damage, seen_at"


def when(nanoseconds: int) -> datetime:
    """A file's time: what 64 bits hold lies between 1677 and 2262."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


class Pages:
    """What other rooms ask of the catalogue."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def file(self, library: int, path: bytes) -> CatalogueFile | None:
        """The file at this path, relative to the root; None where none is known."""
        rows = await self._db.read(
            f"SELECT {_COLUMNS} FROM file WHERE library = ? AND path = ?",  # noqa: S608
            (library, path),
        )
        if not rows:
            return None
        digests = await self._digests(library, path, path)
        return _file(rows[0], digests.get(rows[0]["id"]))

    async def oldest_first(self, library: int) -> AsyncIterator[list[CatalogueFile]]:
        """All files in batches, by modification time, then path."""
        after: tuple[int, bytes] = (-(2**63), b"")
        while True:
            rows = await self._db.read(
                f"SELECT {_COLUMNS} FROM file WHERE library = ? AND (mtime_ns, path) > (?, ?)"  # noqa: S608
                " ORDER BY mtime_ns, path LIMIT ?",
                (library, *after, _BATCH),
            )
            if rows:
                yield [_file(row) for row in rows]
            if len(rows) < _BATCH:
                return
            after = (rows[-1]["mtime_ns"], rows[-1]["path"])

    async def by_path(self, library: int, folder: bytes) -> AsyncIterator[list[CatalogueFile]]:
        """The files below ``folder`` with their digests, in batches, by path."""
        after = folder + b"/" if folder else b""
        end = folder + b"0" if folder else None  # What comes right after the slash.
        bound, ends = ("", ()) if end is None else (" AND path < ?", (end,))
        while True:
            rows = await self._db.read(
                f"SELECT {_COLUMNS} FROM file WHERE library = ? AND path > ?{bound}"  # noqa: S608
                " ORDER BY path LIMIT ?",
                (library, after, *ends, _BATCH),
            )
            if rows:
                digests = await self._digests(library, rows[0]["path"], rows[-1]["path"])
                yield [_file(row, digests.get(row["id"])) for row in rows]
            if len(rows) < _BATCH:
                return
            after = rows[-1]["path"]

    async def _digests(self, library: int, first: bytes, last: bytes) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for row in await self._db.read(
            "SELECT digest.* FROM file JOIN digest ON digest.file = file.id"
            " WHERE library = ? AND path BETWEEN ? AND ?",
            (library, first, last),
        ):
            found.setdefault(row["file"], {})[row["kind"]] = row["value"].hex()
        return found


def asset_of(row: Any) -> Asset:
    return Asset(
        id=row["id"],
        path=PathRef.of(row["path"]),
        size=row["size"],
        modified_at=when(row["mtime_ns"]),
        links=row["nlink"],
        blake3=row["blake3"] and row["blake3"].hex(),
        seen_at=when(row["seen_at"]),
    )


def _file(row: Any, digests: dict[str, str] | None = None) -> CatalogueFile:
    return CatalogueFile(
        id=row["id"],
        path=row["path"],
        dev=unsigned(row["dev"]),
        ino=unsigned(row["ino"]),
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        ctime_ns=row["ctime_ns"],
        nlink=row["nlink"],
        blake3=None if row["damage"] == "unread" else row["blake3"] and row["blake3"].hex(),
        digests=digests or {},
    )
