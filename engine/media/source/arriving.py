"""Where files came from, told by the room that brought them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.contract.origins import Origin
from engine.media.source.book import Book
from engine.store import Database

_ASKED = 500


class Arriving:
    """Implements ``Origins``. ``library``: the id of one by its name; raises NotFound."""

    def __init__(self, database: Database, library: Callable[[str], int]) -> None:
        self._db, self._library = database, library
        self._book = Book(database)

    async def came(self, library: str, origins: Sequence[Origin]) -> int:
        number, noted = self._library(library), 0
        for start in range(0, len(origins), _ASKED):
            some = {origin.path: origin for origin in origins[start : start + _ASKED]}
            asked = ",".join("?" * len(some))
            rows = await self._db.read(
                f"SELECT id, path FROM file WHERE library = ? AND path IN ({asked})",  # noqa: S608
                (number, *some),
            )
            await self._book.put({row["id"]: [_row(some[row["path"]])] for row in rows})
            noted += len(rows)
        return noted


def _row(origin: Origin) -> dict[str, object]:
    return {
        "kind": origin.kind,
        "origin": origin.where,
        "referrer": "",
        "confidence": origin.confidence,
        "evidence": dict(origin.evidence),
    }
