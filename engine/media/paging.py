"""Reading the catalogue in pages: by keyset, so that the last page costs what the first does."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.contract.assets import Asset, AssetPage, ListAssets
from engine.contract.base import PathRef
from engine.contract.errors import Invalid
from engine.contract.ports import CatalogueFile
from engine.media.catalogue import Numbers, fold_text
from engine.store import Database
from engine.worker.frames import unsigned

_BATCH = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = "id, path, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, seen_at"
# Paths from a to z, the largest first, the newest first.
_ORDERS = {
    "path": ("path > ?", "path"),
    "size": ("(size, id) < (?, ?)", "size DESC, id DESC"),
    "modified": ("(mtime_ns, id) < (?, ?)", "mtime_ns DESC, id DESC"),
}


def when(nanoseconds: int) -> datetime:
    """A file's time: what 64 bits hold lies between 1677 and 2262."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _cursor(sort: str, row: Any) -> str:
    if sort == "path":
        key: list[Any] = [base64.b64encode(row["path"]).decode("ascii")]
    else:
        key = [row["size" if sort == "size" else "mtime_ns"], row["id"]]
    return base64.urlsafe_b64encode(json.dumps([sort, *key]).encode()).decode("ascii")


def _position(sort: str, cursor: str) -> list[Any]:
    try:
        of, *key = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        if sort == "path":
            (path,) = key
            values: list[Any] = [base64.b64decode(path, validate=True)]
        else:
            number, id_ = key
            values = [int(number), int(id_)]
    except (ValueError, TypeError) as error:
        raise Invalid("'after' is not the 'next' of a page.", "Start at the first page.") from error
    if of != sort:
        raise Invalid(f"'after' belongs to a list by {of!s:.20}.", "Start at the first page.")
    return values


class Pages:
    """The totals of a filter are counted once for as long as the library stays as it is."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._totals: OrderedDict[tuple[int, str, datetime | None], tuple[int, int]] = OrderedDict()

    async def page(self, library: int, numbers: Numbers, request: ListAssets) -> AssetPage:
        """One page. Raises Invalid where ``after`` is not a page's ``next``."""
        beyond, order = _ORDERS[request.sort]
        where, values = "library = ?", list[Any]([library])
        needle = fold_text(request.filter)
        if needle:
            where, values = f"{where} AND instr(folded, ?)", [*values, needle]
        if request.after is not None:
            where = f"{where} AND {beyond}"
            values = [*values, *_position(request.sort, request.after)]
        rows = await self._db.read(
            f"SELECT {_COLUMNS} FROM file WHERE {where} ORDER BY {order} LIMIT ?",  # noqa: S608
            (*values, request.limit + 1),
        )
        total, size = await self._total(library, numbers, needle)
        more = len(rows) > request.limit
        rows = rows[: request.limit]
        assets: list[Asset] = []
        for row in rows:
            assets.append(_asset(row))
            if len(assets) % 200 == 0:  # The event loop is never held for long.
                await asyncio.sleep(0)
        return AssetPage(
            library=request.library,
            assets=tuple(assets),
            total=total,
            bytes=size,
            next=_cursor(request.sort, rows[-1]) if more else None,
        )

    async def _total(self, library: int, numbers: Numbers, needle: str) -> tuple[int, int]:
        if not needle:
            return numbers.files, numbers.bytes
        key = (library, needle, numbers.changed_at)
        if key not in self._totals:
            rows = await self._db.read(
                "SELECT coalesce(sum(names), 0), coalesce(sum(size), 0) FROM ("
                " SELECT count(*) AS names, max(size) AS size FROM file"
                " WHERE library = ? AND instr(folded, ?) GROUP BY dev, ino)",
                (library, needle),
            )
            self._totals[key] = (rows[0][0], rows[0][1])
            while len(self._totals) > 16:
                self._totals.popitem(last=False)
        return self._totals[key]

    async def file(self, library: int, path: bytes) -> CatalogueFile | None:
        """The file at this path, relative to the root; None where none is known."""
        rows = await self._db.read(
            f"SELECT {_COLUMNS} FROM file WHERE library = ? AND path = ?",  # noqa: S608
            (library, path),
        )
        return _file(rows[0]) if rows else None

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


def _asset(row: Any) -> Asset:
    return Asset(
        id=row["id"],
        path=PathRef.of(row["path"]),
        size=row["size"],
        modified_at=when(row["mtime_ns"]),
        links=row["nlink"],
        blake3=row["blake3"] and row["blake3"].hex(),
        seen_at=when(row["seen_at"]),
    )


def _file(row: Any) -> CatalogueFile:
    return CatalogueFile(
        id=row["id"],
        path=row["path"],
        dev=unsigned(row["dev"]),
        ino=unsigned(row["ino"]),
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        ctime_ns=row["ctime_ns"],
        nlink=row["nlink"],
        blake3=row["blake3"] and row["blake3"].hex(),
    )
