"""What happened to a file, or in a library, read in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.contract.base import PathRef
from engine.contract.integrity import AskHistory, FileNow, Happening, History
from engine.media.integrity.record import damage_of
from engine.media.paging import when
from engine.store import Database

_COLUMNS = "id, at, library, file, what, path, size, blake3, note"

_THERE = "SELECT id FROM file WHERE library = ? AND path = ?"
_LAST_THERE = """
SELECT file AS id FROM history WHERE library = ? AND path = ? ORDER BY history.id DESC LIMIT 1
"""


class Histories:
    """Reads of the tables history, file and digest. Raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(
        self, names: dict[int, str], library: int, path: bytes | None, request: AskHistory
    ) -> History | None:
        """None where no such file is known, nor was."""
        file = request.id
        if path is not None:
            file = await self._file_at(library, path)
            if file is None:
                return None
        where, value = ("library", library) if file is None else ("file", file)
        rows = await self._db.read(
            f"SELECT {_COLUMNS} FROM history WHERE {where} = ? AND id < ?"  # noqa: S608
            " ORDER BY id DESC LIMIT ?",
            (value, request.before or 2**62, request.limit + 1),
        )
        more = len(rows) > request.limit
        happenings = tuple(_happening(row, names) for row in rows[: request.limit])
        state = None if file is None else await self._now(names, file)
        if file is not None and state is None and not happenings and request.before is None:
            return None
        return History(
            library=request.library,
            file=state,
            happenings=happenings,
            next=happenings[-1].id if more else None,
        )

    async def _file_at(self, library: int, path: bytes) -> int | None:
        """The file that is there, else the one that was there last."""
        for sql in (_THERE, _LAST_THERE):
            if rows := await self._db.read(sql, (library, path)):
                return int(rows[0]["id"])
        return None

    async def _now(self, names: dict[int, str], file: int) -> FileNow | None:
        rows = await self._db.read("SELECT * FROM file WHERE id = ?", (file,))
        if not rows or rows[0]["library"] not in names:
            return None
        row = rows[0]
        hashes: Sequence[Any] = await self._db.read(
            "SELECT kind, value FROM digest WHERE file = ? ORDER BY kind", (file,)
        )
        return FileNow(
            id=file,
            library=names[row["library"]],
            path=PathRef.of(row["path"]),
            size=row["size"],
            blake3=row["blake3"] and row["blake3"].hex(),
            hashes={found["kind"]: found["value"].hex() for found in hashes},
            first_seen_at=when(row["first_seen_at"]),
            checked_at=None if row["checked_at"] is None else when(row["checked_at"]),
            damage=damage_of(row["damage"]),
        )


def _happening(row: Any, names: dict[int, str]) -> Happening:
    return Happening(
        id=row["id"],
        at=when(row["at"]),
        what=row["what"],
        library=names.get(row["library"], "a library that is no more"),
        path=PathRef.of(row["path"]),
        file=row["file"],
        size=row["size"],
        blake3=row["blake3"] and row["blake3"].hex(),
        note=row["note"],
    )
