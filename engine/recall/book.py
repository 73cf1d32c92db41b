"""Memories in the database: rows to models, and what is changed there by a person's hand.

Every change counts the clock (triggers of the schema), which the index follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Any

from engine.contract import recall
from engine.contract.base import now
from engine.contract.errors import Invalid, NotFound, Refused
from engine.contract.memories import Memory, Note, Replaced
from engine.contract.recall import MemoryChanged
from engine.recall.worth import importance
from engine.store import Database, Transaction

NEWER = (
    "(SELECT newer.id FROM memory AS newer WHERE newer.id = memory.replaced_by"
    " AND newer.namespace_id = memory.namespace_id) AS newer"
)
"""What stands for a memory; never one of another namespace, whatever an old import has linked."""

MEMORY = (
    f"SELECT memory.*, namespace.name AS namespace, {NEWER} FROM memory"  # noqa: S608 - ours
    " JOIN namespace ON namespace.id = memory.namespace_id"
)
"""Whole memories; conditions follow."""

NOT_DELETED = (
    "memory.namespace_id NOT IN (SELECT namespace.id FROM namespace"
    " JOIN session ON session.id = namespace.session_id WHERE session.deleted_at IS NOT NULL)"
)
"""The condition that hides deleted conversations from whoever looks into every namespace."""

_AHEAD = timedelta(days=1)
_REPLACED = 20
"""So many of those that a memory has replaced are told."""


def stamp(at: datetime) -> str:
    """A time as the database keeps it, so that text order is time order: UTC, RFC 3339."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def memory(
    row: Any, replaces: Iterable[Replaced] = (), text: str | None = None, unread: str = ""
) -> Memory:
    """``text``: what the archive holds, where the row itself is empty. ``unread``: why it holds
    nothing."""
    return Memory(**fields(row, replaces, text, unread))


def fields(
    row: Any, replaces: Iterable[Replaced] = (), text: str | None = None, unread: str = ""
) -> dict[str, Any]:
    """What a memory is made of, by the names of its model."""
    said = row["text"] if text is None else text
    return {
        "id": row["id"],
        "namespace": row["namespace"],
        "kind": row["kind"],
        "text": said,
        "at": row["at"],
        "added_at": row["added_at"],
        "speaker": row["speaker"],
        "source": row["source"],
        "ref": row["ref"],
        "turn_id": row["turn_id"],
        "pinned": bool(row["pinned"]),
        "importance": _importance(row, said),
        "uses": row["uses"],
        "used_at": row["used_at"],
        "state": row["state"],
        "replaced_by": row["newer"],
        "replaces": tuple(replaces),
        "unread": unread,
    }


def _importance(row: Any, text: str) -> float:
    return importance(text) if row["importance"] is None else float(row["importance"])


async def fetch(source: Database | Transaction, sql: str, *values: Any) -> list[Any]:
    """The rows of one SELECT, inside a transaction or beside it."""
    read = source.read if isinstance(source, Database) else source.fetch
    return await read(sql, values)


def numbers(ids: Iterable[int]) -> str:
    """For ``IN (SELECT value FROM json_each(?))``: any number of them in one value."""
    return json.dumps(list(ids))


async def rows_of(source: Database | Transaction, ids: Iterable[int]) -> dict[int, Any]:
    """Whole rows by number; what is not there is not in it."""
    sql = f"{MEMORY} WHERE memory.id IN (SELECT value FROM json_each(?))"  # noqa: S608 - ours
    return {row["id"]: row for row in await fetch(source, sql, numbers(ids))}


async def row_of(source: Database | Transaction, number: int) -> Any:
    """Raises NotFound, which tells what was forgotten from what never was, and where its
    conversation was deleted."""
    if found := await fetch(source, f"{MEMORY} WHERE memory.id = ?", number):
        await namespace_of(source, found[0]["namespace"])
        return found[0]
    gone = await fetch(source, "SELECT at FROM forgotten WHERE memory_id = ?", number)
    if gone:
        raise NotFound(f"Memory {number} was forgotten ({gone[0]['at'][:10]}).", "It is gone.")
    raise NotFound(f"There is no memory {number}.", "arcanum memory list shows what there is.")


async def replaced(source: Database | Transaction, ids: Iterable[int]) -> dict[int, list[Replaced]]:
    """What each of these memories has taken the place of, newest first; in its own namespace."""
    found: dict[int, list[Replaced]] = {}
    for row in await fetch(
        source,
        "SELECT memory.id, memory.replaced_by, memory.text, memory.at, memory.state FROM memory"
        " JOIN memory AS newer ON newer.id = memory.replaced_by"
        " AND newer.namespace_id = memory.namespace_id"
        " WHERE memory.replaced_by IN (SELECT value FROM json_each(?)) ORDER BY memory.id DESC",
        numbers(ids),
    ):
        told = found.setdefault(row["replaced_by"], [])
        if len(told) < _REPLACED:
            told.append(
                Replaced(
                    id=row["id"],
                    text=row["text"],
                    at=row["at"],
                    how="merged" if row["state"] == "merged" else "replaced",
                )
            )
    return found


# --- namespaces ---------------------------------------------------------------------------------


async def namespace_of(source: Database | Transaction, name: str) -> int | None:
    """The namespace's number. Raises NotFound where its conversation was deleted."""
    found = await fetch(
        source,
        "SELECT namespace.id, session.deleted_at FROM namespace"
        " LEFT JOIN session ON session.id = namespace.session_id WHERE namespace.name = ?",
        name,
    )
    if not found:
        return None
    if found[0]["deleted_at"] is not None:
        raise NotFound(
            f"The conversation {name!r} was deleted: nothing of it is recalled.",
            f"arcanum memory restore {quote(name)} brings it back.",
        )
    return int(found[0]["id"])


async def known(source: Database | Transaction, name: str) -> int:
    """The same; raises NotFound where there is none yet, too."""
    number = await namespace_of(source, name)
    if number is None:
        raise NotFound(
            f"Nothing is remembered under {name!r}.", "arcanum memory namespaces lists the names."
        )
    return number


async def make_namespace(tx: Transaction, name: str) -> int:
    """The namespace's number, made where there is none."""
    number = await namespace_of(tx, name)
    if number is not None:
        return number
    return await tx.insert(
        "INSERT INTO namespace (name, created_at) VALUES (?, ?)", (name, stamp(now()))
    )


# --- adding -------------------------------------------------------------------------------------

_ADD = (
    "INSERT INTO memory (namespace_id, kind, at, added_at, speaker, source, ref, pinned,"
    " importance, text) VALUES (?, 'note', ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (namespace_id, source, ref) WHERE ref != '' DO NOTHING"
)


async def add(tx: Transaction, namespace: str, notes: Sequence[Note]) -> tuple[list[int], int]:
    """Their numbers in order, and how many of them are new. Raises Invalid for one that is said
    later than tomorrow."""
    _refuse_future(notes)
    home = await make_namespace(tx, namespace)
    present = stamp(now())
    before = (await tx.fetch("SELECT coalesce(max(id), 0) AS id FROM memory"))[0]["id"]
    await tx.executemany(
        _ADD,
        [
            (
                home,
                stamp(note.at) if note.at else present,
                present,
                note.speaker,
                note.source or "note",
                note.ref,
                note.pinned,
                note.importance,
                note.text,
            )
            for note in notes
        ],
    )
    fresh = iter(
        await tx.fetch("SELECT id, source, ref FROM memory WHERE id > ? ORDER BY id", (before,))
    )
    new = list(fresh)
    ids = await _numbered(tx, home, notes, new)
    return ids, len(new)


def _refuse_future(notes: Sequence[Note]) -> None:
    """Clocks and zones differ by less than a day."""
    latest = now() + _AHEAD
    if late := next((note.at for note in notes if note.at and note.at > latest), None):
        raise Invalid(
            f"{late:%Y-%m-%d %H:%M} is yet to come: nothing was added.",
            "Give the time when it was said or noted; of when it tells stands in the text.",
        )


async def _numbered(
    tx: Transaction, home: int, notes: Sequence[Note], new: Sequence[Any]
) -> list[int]:
    """Which number each note has: new ones came in order, known ones are found by their ref."""
    if len(new) == len(notes):
        return [row["id"] for row in new]
    by_ref = {(row["source"], row["ref"]): row["id"] for row in new if row["ref"]}
    plain = iter([row["id"] for row in new if not row["ref"]])
    ids = []
    for note in notes:
        key = (note.source or "note", note.ref)
        if note.ref and key not in by_ref:
            there = await tx.fetch(
                "SELECT id FROM memory WHERE namespace_id = ? AND source = ? AND ref = ?",
                (home, *key),
            )
            by_ref[key] = there[0]["id"]
        ids.append(by_ref[key] if note.ref else next(plain))
    return ids


# --- changing -----------------------------------------------------------------------------------


def _restored(number: int) -> str:
    """The command that brings a memory back."""
    return f"arcanum memory restore --memory {number}"


async def pin(tx: Transaction, number: int, on: bool, machine: str) -> Any:
    row = await row_of(tx, number)
    if row["state"] in {"merged", "replaced"}:
        newer = row["newer"]
        raise Refused(
            f"Memory {number} is {row['state']}"
            + (f": memory {newer} stands for it." if newer else "."),
            (f"Pin {newer}, or bring" if newer else "Bring")
            + f" this one back: {_restored(number)}",
        )
    if bool(row["pinned"]) != on:
        await tx.execute("UPDATE memory SET pinned = ? WHERE id = ?", (on, number))
        await told(tx, "pinned" if on else "unpinned", [number], machine, row["namespace"])
    return await row_of(tx, number)


async def edit(tx: Transaction, request: recall.Edit, machine: str) -> Any:
    """A new text makes a new row of the old one, which the memory then replaces."""
    row = await row_of(tx, request.id)
    if row["state"] != "live":
        raise Refused(
            f"Memory {request.id} is {row['state']}.",
            f"Bring it back first: {_restored(request.id)}",
        )
    if row["kind"] == "document" and request.text is not None:
        raise Refused(
            f"Memory {request.id} is a passage of {row['source']}.",
            "Edit that file: it is followed.",
        )
    if request.importance is not None:
        await tx.execute(
            "UPDATE memory SET importance = ? WHERE id = ?", (request.importance, request.id)
        )
    if request.text is not None and request.text != row["text"]:
        await tx.insert(
            "INSERT INTO memory (namespace_id, kind, state, replaced_by, at, added_at, speaker,"
            " source, text) VALUES (?, 'note', 'replaced', ?, ?, ?, ?, ?, ?)",
            (
                row["namespace_id"],
                request.id,
                row["at"],
                stamp(now()),
                row["speaker"],
                row["source"],
                row["text"],
            ),
        )
        await tx.execute("UPDATE memory SET text = ? WHERE id = ?", (request.text, request.id))
    await told(tx, "edited", [request.id], machine, row["namespace"])
    return await row_of(tx, request.id)


async def show_again(tx: Transaction, ids: Sequence[int], machine: str) -> None:
    """What was merged or replaced stands for itself again, and stays so."""
    await tx.execute(
        "UPDATE memory SET state = 'live', replaced_by = NULL, kept = 1, used_at = ?"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (stamp(now()), numbers(ids)),
    )
    await told(tx, "restored", ids, machine)


async def told(
    tx: Transaction,
    change: Any,
    ids: Sequence[int],
    machine: str,
    namespace: str = "",
    *,
    count: int | None = None,
) -> None:
    """Tells what changed, as a durable event of the same transaction."""
    await tx.emit(
        MemoryChanged(
            change=change,
            namespace=namespace,
            ids=tuple(ids[:100]),
            count=len(ids) if count is None else count,
            machine=machine,
        )
    )
