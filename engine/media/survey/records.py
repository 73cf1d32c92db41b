"""What was found out, into the catalogue. Nothing that a worker says is taken as it comes.

The process that looked into a file may have been taken over by it: so every value is of the right
type and size, or left out, and text is made visible.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from engine.contract.base import visible
from engine.media.source import book, redacting, sidecars
from engine.media.source.ease import eased
from engine.media.survey.kinds import KINDS
from engine.media.survey.process import Target
from engine.store import Database, Transaction

MOST_TEXT = 200
"""Characters of a text that is kept."""
_MOST_DETAILS = 40
_MOST_OWNERS = 1000
_MOST_SIDE = 2**31 - 1
_MOST_MS = 366 * 24 * 3600 * 1000
_MOST_NS = 2**63 - 1

_COLUMNS = (
    *("kind", "type", "taken_at", "camera", "latitude", "longitude", "width", "height"),
    *("duration_ms", "container", "codecs", "details", "problem"),
)
# Only what is still the file that was looked into.
_PUT = (
    f"INSERT INTO trait (file, size, mtime_ns, {', '.join(_COLUMNS)})"  # noqa: S608
    f" SELECT id, size, mtime_ns, {', '.join('?' * len(_COLUMNS))} FROM file"
    " WHERE id = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
    " ON CONFLICT (file) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)
)
_DONE = "UPDATE file SET surveyed = 1 WHERE id = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
_SOLID = "DELETE FROM sparse WHERE file = ?"
_SPARSE = """
INSERT INTO sparse (file, size, mtime_ns, taken) SELECT id, size, mtime_ns, ?5 FROM file
WHERE id = ?1 AND size = ?2 AND mtime_ns = ?3 AND ctime_ns = ?4
"""
_BESIDE = """
UPDATE file SET surveyed = 0 WHERE surveyed = 1 AND id IN (
    SELECT id FROM file WHERE library = ?1 AND path = ?2
    UNION ALL
    SELECT id FROM file WHERE library = ?1 AND path >= ?3 AND path < ?4
        AND instr(substr(path, ?5), x'2f') = 0
    LIMIT ?6)
"""
_AGAIN = """
UPDATE file SET surveyed = 0
WHERE id IN (SELECT file FROM trait WHERE problem <> '' AND problem LIKE ?)
"""
_PENDING = """
SELECT id, path, dev, ino, size, mtime_ns, ctime_ns FROM file
WHERE library = ? AND surveyed = 0 AND id < ? ORDER BY id DESC LIMIT ?
"""


# What a trait's problem begins with where a library was missing, and that library.
_MISSING = {
    "Pillow is not installed%": "PIL",
    "pillow-heif is not installed%": "pillow_heif",
    "PyAV is not installed%": "av",
    "pypdf is not installed%": "pypdf",
}


class Records:
    """Every method is one transaction or one read. Raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._awaited: dict[tuple[int, bytes], list[int]] = {}
        self._again: set[int] = set()

    # --- records beside a file ------------------------------------------------------------------

    def begin(self, library: int, targets: Mapping[int, Target]) -> None:
        """These files are looked into from now on, and no others."""
        self._again.clear()
        self._awaited.clear()
        for id_, path, _identity in targets.values():
            for beside in sidecars.records_of(path):
                self._awaited.setdefault((library, beside), []).append(id_)

    async def placed(self, tx: Transaction, library: int, paths: Iterable[bytes]) -> None:
        """Files came to these paths. Where one is a record of others, those are looked into again:
        also the ones that just now are, since it may have come a moment too late for them."""
        asked = []
        for path in paths:
            if (owners := sidecars.owners(path)) is not None:
                asked.append((library, *owners, len(owners[1]) + 1, _MOST_OWNERS))
                self._again.update(self._awaited.get((library, path), ()))
        if asked:
            await tx.executemany(_BESIDE, asked)

    # --- what was found -------------------------------------------------------------------------

    async def pending(self, library: int, before: int, most: int) -> list[Target]:
        """Files that were not looked into, the newest first, of those with an id below."""
        rows = await self._db.read(_PENDING, (library, before, most))
        return [target_of(row) for row in rows]

    async def reopen(self) -> None:
        """What a library was missing for is to be looked into again, where it is there by now."""
        there = [problem for problem, name in _MISSING.items() if find_spec(name) is not None]

        async def work(tx: Transaction) -> None:
            for problem in there:
                await tx.execute(_AGAIN, (problem,))

        await self._db.write(work)

    async def put(self, targets: Mapping[int, Target], rows: Iterable[Any]) -> None:
        """Stores what was found of these files, and of where they came from."""
        traits, done, sparse, evidence = [], [], [], {}
        async for row in eased(rows):
            id_, trait = row["id"], row["trait"]
            identity = targets[id_][2]
            key = (id_, identity[2], identity[3], identity[4])
            traits.append((*columns(trait), *key))
            done.append(key)
            if (taken := _number(row, "taken", 0, identity[2] - 1)) is not None:
                sparse.append((*key, taken))
            if isinstance(told := row.get("evidence"), list):
                evidence[id_] = told
        sources = await book.prepared(evidence)

        async def work(tx: Transaction) -> None:
            await tx.executemany(_PUT, traits)
            await tx.executemany(_SOLID, [key[:1] for key in done])
            await tx.executemany(_SPARSE, sparse)
            await tx.executemany(_DONE, [key for key in done if key[0] not in self._again])
            await book.store(tx, sources)

        await self._db.write(work)


def target_of(row: Any) -> Target:
    """A row of ``file``."""
    names = ("dev", "ino", "size", "mtime_ns", "ctime_ns")
    return row["id"], row["path"], [row[name] for name in names]


def columns(trait: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of _COLUMNS. What is of the wrong type, or out of bounds, is left out."""
    kind = trait.get("kind")
    latitude, longitude = _degrees(trait, "latitude", 90), _degrees(trait, "longitude", 180)
    whole = latitude is not None and longitude is not None
    return (
        kind if kind in KINDS else "other",
        text(trait.get("type")) or "application/octet-stream",
        _number(trait, "taken_at", -_MOST_NS, _MOST_NS),
        text(trait.get("camera")),
        latitude if whole else None,
        longitude if whole else None,
        _number(trait, "width", 1, _MOST_SIDE),
        _number(trait, "height", 1, _MOST_SIDE),
        _number(trait, "duration_ms", 1, _MOST_MS),
        text(trait.get("container")),
        text(trait.get("codecs")),
        _details(trait.get("details")),
        text(trait.get("problem")),
    )


def text(value: Any) -> str:
    """Redacted, visible, on one line, and no longer than MOST_TEXT; "" where it is no text."""
    if not isinstance(value, str):
        return ""
    # Whoever looked has bounded it: a longer one may end in half an address.
    whole = value if len(value) <= redacting.MOST else value[: redacting.MOST].rpartition(" ")[0]
    shown = visible(redacting.text(whole.strip())[: MOST_TEXT + 1])
    return shown if len(shown) <= MOST_TEXT else f"{shown[: MOST_TEXT - 1]}…"


def _details(value: Any) -> str:
    if not isinstance(value, dict):
        return "{}"
    pairs = [(text(key), text(told)) for key, told in [*value.items()][:_MOST_DETAILS]]
    return json.dumps({key: told for key, told in pairs if key and told}, ensure_ascii=False)


def _number(trait: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = trait.get(name)
    right = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return value if right else None


def _degrees(trait: Mapping[str, Any], name: str, most: int) -> float | None:
    value = trait.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= most else None
