"""Memories as they are carried elsewhere: rows to ``Record``, and words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from engine.contract.base import visible
from engine.contract.errors import ArcanumError
from engine.contract.memories import Record
from engine.worker import failures

RECORD = (
    "SELECT memory.*, namespace.name AS namespace,"
    " (SELECT newer.uid FROM memory AS newer WHERE newer.id = memory.replaced_by"
    " AND newer.namespace_id = memory.namespace_id) AS newer"
    " FROM memory JOIN namespace ON namespace.id = memory.namespace_id"
)
"""What a record is made of; conditions follow."""

_TOLD = 20


def record(row: Any, text: str | None = None) -> Record:
    """``text``: what the archive holds, where the row itself is empty. Raises ValidationError."""
    return Record(
        uid=row["uid"].hex(),
        namespace=row["namespace"],
        kind=row["kind"],
        text=row["text"] if text is None else text,
        at=row["at"],
        added_at=row["added_at"],
        speaker=row["speaker"],
        source=row["source"],
        ref=row["ref"],
        pinned=bool(row["pinned"]),
        importance=row["importance"],
        uses=row["uses"],
        used_at=row["used_at"],
        kept=bool(row["kept"]),
        state=row["state"],
        replaced_by="" if row["newer"] is None else row["newer"].hex(),
    )


def made(rows: Sequence[Any], texts: Mapping[int, str]) -> list[Record]:
    """Those of ``rows`` that make a record. CPU-bound: call it in a thread."""
    found = []
    for row in rows:
        try:
            found.append(record(row, texts.get(row["id"])))
        except ValidationError:  # Its text is lost, say. Whoever asked misses it by its uid.
            continue
    return found


def lines(rows: Sequence[Any]) -> dict[int, bytes]:
    """Lines of an archive by the memory's number, of those that make a record. In a thread."""
    found = {}
    for row in rows:
        try:
            found[row["id"]] = record(row).model_dump_json().encode()
        except ValidationError:
            continue
    return found


def why(error: Exception) -> str:
    """What was in the way, in words; nothing of what is remembered."""
    return visible(error.message if isinstance(error, ArcanumError) else failures.told(error))


def one_line(text: str, most: int = 80) -> str:
    """The beginning of ``text``, safe to show, on one line."""
    flat = visible(" ".join(text.split()))
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def memories(count: int) -> str:
    return "1 memory" if count == 1 else f"{count:,} memories"


def some(problems: Sequence[str]) -> tuple[str, ...]:
    """At most twenty of them, and how many more there are."""
    if len(problems) <= _TOLD:
        return tuple(problems)
    return (*problems[:_TOLD], f"and {len(problems) - _TOLD:,} more")
