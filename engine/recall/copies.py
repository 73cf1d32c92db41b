"""What is forgotten is taken out of the copies of the database, too. Blocking: for threads.

A copy is made before each migration. It may be of any version: a turn is known by its number and
its time, a memory by its uid.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.base import visible
from engine.recall.erasing import PLANS, Statement, Words, emptied, plan_emptied
from engine.recall.index.harm import sentence


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to go. ``turns``: number and time; ``answers``: the same of those whose answers alone
    go. ``texts``, ``said``: what was said, and what was answered, as far as it is known.

    ``corrected``: (uid, what it said before, what it says): of a memory that stays, what it said
    before is to go. ``gone``: so is what a copy has no more, from its plans and its free space.
    """

    uids: Sequence[str]
    turns: Sequence[tuple[int, str]]
    answers: Sequence[tuple[int, str]] = ()
    texts: Sequence[str] = ()
    said: Sequence[str] = ()
    corrected: Sequence[tuple[str, str, str]] = ()
    gone: bool = False


@dataclass(slots=True)
class _Held:
    """What a copy has of it, by its own numbers, and what that says."""

    memories: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class Unclean(Exception):
    """A copy that could not be cleaned; says why."""


def copies(folder: Path) -> list[Path]:
    """The copies there are. What a copy left that was never finished is removed."""
    if not folder.is_dir():
        return []
    for draft in folder.glob("*.part*"):
        draft.unlink(missing_ok=True)
    return sorted(folder.glob("*.db"))


def clean(path: Path, erasure: Erasure) -> bool:
    """True where something was in it, and is no more. Raises Unclean."""
    try:
        with closing(_opened(path)) as copy:
            return _clean(copy, erasure)
    except (sqlite3.Error, OSError) as error:
        raise Unclean(_told(error)) from error


def passages(path: Path, uids: Container[bytes]) -> list[sqlite3.Row]:
    """Of the passages with these uids that a copy has: uid, at, source, text. Raises Unclean."""
    try:
        with closing(_opened(path)) as copy:
            if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'memory'").fetchall():
                return []
            rows = copy.execute("SELECT uid, at, source, text FROM memory WHERE kind = 'document'")
            return [row for row in rows if row["uid"] in uids]
    except (sqlite3.Error, OSError) as error:
        raise Unclean(_told(error)) from error


def _told(error: sqlite3.Error | OSError) -> str:
    """Without what stands in the copy."""
    if isinstance(error, sqlite3.Error):
        return visible(sentence(error))
    return visible(error.strerror or type(error).__name__)


def _opened(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    copy = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)
    copy.row_factory = sqlite3.Row
    return copy


def _clean(copy: sqlite3.Connection, erasure: Erasure) -> bool:
    tables = {row["name"] for row in copy.execute("SELECT name FROM sqlite_master")}
    held = _found(copy, erasure, tables)
    corrected = erasure.corrected if "memory" in tables else ()
    there = erasure.gone and "forgotten" in tables
    gone = copy.execute("SELECT memory_id FROM forgotten") if there else ()
    ids = {*held.memories, *(row["memory_id"] for row in gone)}
    words = Words([*held.texts, *erasure.texts], [*held.said, *erasure.said])
    # One may hold words of what this copy has no more.
    plans = _plans(copy, ids, held, words) if "payload" in tables else []
    mine = held.memories or held.turns or held.answers
    if not (mine or corrected or plans or erasure.gone):
        return False
    # One file and nothing beside it; what it held before goes with the journal.
    if copy.execute("PRAGMA journal_mode = DELETE").fetchone()[0] != "delete":
        raise Unclean("it is in use")
    copy.execute("PRAGMA secure_delete = ON")
    copy.execute("PRAGMA synchronous = FULL")
    copy.execute("BEGIN IMMEDIATE")
    for statement in (
        *emptied(held.memories, held.turns, held.answers, tables),
        *plans,
    ):
        copy.execute(*statement)
    for uid, before, says in corrected:
        copy.execute(
            "UPDATE memory SET text = ? WHERE uid = ? AND text = ?",
            (says, bytes.fromhex(uid), before),
        )
    copy.execute("COMMIT")
    copy.execute("VACUUM")
    if _found(copy, erasure, tables).memories:
        raise Unclean("something is in it still")
    _check(copy)
    return True


def _check(copy: sqlite3.Connection) -> None:
    problem = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise Unclean(visible(problem))


def _found(copy: sqlite3.Connection, erasure: Erasure, tables: set[str]) -> _Held:
    """The memories and turns that this copy has of it, and what they say."""
    memories: list[Any] = []
    turns: list[Any] = []
    answers: list[Any] = []
    if "memory" in tables:
        for uid in erasure.uids:
            sql = "SELECT id, text FROM memory WHERE uid = ?"
            memories += copy.execute(sql, (bytes.fromhex(uid),))
    if "turn" in tables:
        for number, at in erasure.turns:
            sql = "SELECT id, question FROM turn WHERE id = ? AND asked_at = ?"
            turns += copy.execute(sql, (number, at))
        for number, at in erasure.answers:
            sql = "SELECT id, answer FROM turn WHERE id = ? AND asked_at = ?"
            answers += copy.execute(sql, (number, at))
    return _Held(
        [row["id"] for row in memories],
        [row["id"] for row in turns],
        [row["id"] for row in answers],
        [*(row["text"] for row in memories), *(row["question"] for row in turns)],
        [row["answer"] for row in answers],
    )


def _plans(
    copy: sqlite3.Connection, memories: set[int], held: _Held, words: Words
) -> list[Statement]:
    """What empties the plans of a copy."""
    found: list[Statement] = []
    last = 0
    while rows := copy.execute(PLANS, (last,)).fetchall():
        last = rows[-1]["id"]
        for row in rows:
            found += plan_emptied(row, memories, held.turns, held.answers, words)
    return found


def in_files(paths: Sequence[Path], texts: Sequence[str]) -> list[Path]:
    """Those of the files whose bytes hold one of the texts."""
    wanted = [text.encode("utf-8", "surrogatepass") for text in texts]
    found = []
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if any(each in data for each in wanted):
            found.append(path)
    return found
