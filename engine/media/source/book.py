"""What is known of where files came from, in the catalogue.

Taken at first sight and kept: a later look that finds nothing erases nothing, one that finds the
same adds nothing, one that finds more adds it. Rows belong to a file's row, and so move with it;
they hold its hash, and so wait for its bytes when it goes (triggers of the migration see to that).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from engine.contract.base import visible
from engine.contract.sources import KINDS
from engine.media.source import redacting
from engine.media.source.ease import eased
from engine.store import Database, Transaction

MOST_ROWS = 16
"""Pieces of evidence of one file that are kept: the first ones."""
KEPT = 250_000
"""Rows that may wait for bytes that are gone; the oldest go first."""

_MOST_EVIDENCE = 24
_MOST_VALUE = 300
_STEP = 2000

_PUT = f"""
INSERT INTO source (file, blake3, at, kind, origin, referrer, confidence, evidence, host)
SELECT file.id, file.blake3, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM file WHERE file.id = ?1
    AND NOT EXISTS (SELECT 1 FROM source AS known WHERE known.file = file.id
        AND known.kind = ?3 AND known.origin = ?4 AND known.referrer = ?5)
    AND (SELECT count(*) FROM source AS known WHERE known.file = file.id) < {MOST_ROWS}
"""  # noqa: S608
# What is as it was stays untouched, and when it was taken stays when that was.
_BETTER = """
UPDATE source SET confidence = ?5, evidence = ?6
WHERE file = ?1 AND kind = ?2 AND origin = ?3 AND referrer = ?4 AND confidence < ?5
"""

_OF_BETTER = itemgetter(0, 2, 3, 4, 5, 6)

Found = Mapping[int, Sequence[Mapping[str, Any]]]
"""Rows of evidence by the id of their file."""


class Book:
    """Every method is one transaction, or one for each step. Raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, found: Found) -> None:
        """Takes in what was found of these files. What is none of them any more is left out."""
        rows = await prepared(found)
        if rows:
            await self._db.write(lambda tx: store(tx, rows))

    async def forget_old(self, keep: int = KEPT) -> None:
        """Keeps what waits for bytes that are gone within its bound."""
        edge = await self._db.read(
            "SELECT id FROM source WHERE file IS NULL AND blake3 IS NOT NULL"
            " ORDER BY id DESC LIMIT 1 OFFSET ?",
            (keep,),
        )
        if not edge:
            return

        async def some(tx: Transaction) -> int:
            return await tx.execute(
                "DELETE FROM source WHERE id IN ("
                " SELECT id FROM source WHERE file IS NULL AND id <= ? LIMIT ?)",
                (edge[0]["id"], _STEP),
            )

        while await self._db.write(some):
            pass


async def prepared(found: Found) -> list[tuple[Any, ...]]:
    """Rows for ``store``. What is not of the right form is left out, whoever said it."""
    at = time.time_ns()
    told = ((file, row) for file, rows in found.items() for row in islice(rows, MOST_ROWS))
    return [
        (file, at, *columns)
        async for file, row in eased(told)
        if (columns := _columns(row)) is not None
    ]


async def store(tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> None:
    """Stores what ``prepared`` made, as a part of a larger transaction."""
    await tx.executemany(_BETTER, map(_OF_BETTER, rows))  # Taken apart in SQLite's thread.
    await tx.executemany(_PUT, rows)


def _columns(row: Any) -> tuple[Any, ...] | None:
    """kind, origin, referrer, confidence, evidence, host. None where it is no evidence."""
    if not isinstance(row, Mapping) or row.get("kind") not in KINDS:
        return None
    confidence = row.get("confidence")
    if not isinstance(confidence, (int, float)) or not math.isfinite(confidence):
        return None
    origin, referrer = _address(row.get("origin")), _address(row.get("referrer"))
    if row["kind"] == "url" and not (redacting.place(origin) or redacting.place(referrer)):
        return None
    evidence = _evidence(row.get("evidence"))
    said = row.get("host")
    host = redacting.host(f"tracker://{said}") if isinstance(said, str) else redacting.host(origin)
    likely = min(1.0, max(0.0, float(confidence)))
    return row["kind"], origin, referrer, likely, evidence, visible(host)


def _address(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    whole = value if len(value) <= redacting.MOST else value[: redacting.MOST].rpartition("/")[0]
    shown = visible(redacting.url(whole))
    return shown if len(shown) <= redacting.MOST else f"{shown[: redacting.MOST - 1]}…"


def _evidence(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "{}"
    pairs = [(_text(key), _text(told)) for key, told in islice(value.items(), _MOST_EVIDENCE)]
    return json.dumps({key: told for key, told in pairs if key and told}, ensure_ascii=False)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    # Whoever looked has bounded it: a longer one is not looked at whole, and may end in half a key.
    whole = value if len(value) <= redacting.MOST else value[: redacting.MOST].rpartition(" ")[0]
    shown = visible(redacting.text(whole)[: _MOST_VALUE + 1])
    return shown if len(shown) <= _MOST_VALUE else f"{shown[: _MOST_VALUE - 1]}…"
