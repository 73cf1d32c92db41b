"""Rows to models, and finding a conversation by its name."""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from engine.contract.base import visible
from engine.contract.errors import ArcanumError, NotFound, Refused
from engine.contract.memories import Recalled
from engine.contract.memory import SessionSummary, Turn
from engine.store import Database, Transaction

MAX_TITLE = 80
"""Characters of a title."""

TURN = (
    "SELECT turn.*, session.name AS session,"
    " (SELECT group_concat(other.id) FROM turn AS other WHERE other.session_id = turn.session_id"
    " AND other.parent_id IS turn.parent_id) AS siblings,"
    " (SELECT json_group_array(name) FROM"
    " (SELECT name FROM attachment WHERE turn_id = turn.id ORDER BY n)) AS attached"
    " FROM turn JOIN session ON session.id = turn.session_id"
)
"""Whole turns; conditions follow."""

SUMMARY = (
    "SELECT session.*,"
    " (SELECT count(*) FROM turn WHERE session_id = session.id) AS turns,"
    " (SELECT asked_at FROM turn WHERE session_id = session.id ORDER BY id DESC LIMIT 1)"
    " AS last_at,"
    " (SELECT substr(question, 1, 640) FROM turn WHERE session_id = session.id"
    " ORDER BY id LIMIT 1) AS beginning"
    " FROM session"
)


_RECALLED = TypeAdapter(tuple[Recalled, ...])


def one_line(text: str, most: int = MAX_TITLE) -> str:
    """The beginning of ``text``, safe to show, on one line."""
    flat = visible(" ".join(text.split()))
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def turn(row: Any) -> Turn:
    siblings = sorted(map(int, row["siblings"].split(",")))
    return Turn(
        id=row["id"],
        session=row["session"],
        question=row["question"],
        answer=row["answer"],
        status=row["status"],
        note=row["note"],
        model=row["model"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
        answered_at=_time(row["answered_at"]),
        parent_id=row["parent_id"],
        siblings=tuple(siblings) if len(siblings) > 1 else (),
        attached=tuple(json.loads(row["attached"])),
        recalled=None if row["recalled"] is None else _RECALLED.validate_json(row["recalled"]),
    )


def recalled(turn: Turn) -> str | None:
    """As the database keeps it."""
    return None if turn.recalled is None else _RECALLED.dump_json(turn.recalled).decode()


def summary(row: Any) -> SessionSummary:
    title = row["title"]
    return SessionSummary(
        name=row["name"],
        turns=row["turns"],
        last_at=datetime.fromisoformat(row["last_at"]),
        title=one_line(row["beginning"]) if title is None else title,
        deleted_at=_time(row["deleted_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def fetch(source: Database | Transaction, sql: str, *values: Any) -> list[Any]:
    """The rows of one SELECT, inside a transaction or beside it."""
    read = source.read if isinstance(source, Database) else source.fetch
    return await read(sql, values)


async def find(source: Database | Transaction, name: str) -> int:
    """The identity of a conversation that is there. Raises NotFound."""
    rows = await fetch(source, "SELECT id, deleted_at FROM session WHERE name = ?", name)
    if not rows:
        raise missing(name)
    if rows[0]["deleted_at"] is not None:
        raise NotFound(f"The conversation {name!r} was deleted.", how_to_restore(name))
    return int(rows[0]["id"])


async def summary_of(source: Database | Transaction, session_id: int) -> SessionSummary:
    return summary((await fetch(source, f"{SUMMARY} WHERE session.id = ?", session_id))[0])


def missing(name: str) -> ArcanumError:
    return NotFound(
        f"There is no conversation {name!r}.",
        "arcanum memory sessions lists them; arcanum chat starts one.",
    )


def deleted(name: str) -> ArcanumError:
    """The error where somebody goes on with a conversation that was deleted."""
    return Refused(
        f"The conversation {name!r} was deleted: nothing can be asked in it.",
        f"{how_to_restore(name)} Or use another name.",
    )


def how_to_restore(name: str) -> str:
    return f"arcanum memory restore {shlex.quote(name)} brings it back."
