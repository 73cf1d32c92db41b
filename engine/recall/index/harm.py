"""What an error tells of the index: that it is damaged, or that something is in its way.

What is damaged is thrown away and made again from the truth; for what is in the way nothing is
thrown away. Texts of errors may quote memories, so only those are told that never do.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine.worker import failures

_IN_THE_WAY = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""SQLite has one sentence for each of these, in which nothing of a row stands."""
_UNREADABLE = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class TruthError(Exception):
    """The engine's database could not be read; that says nothing of the index."""


class RefusedError(Exception):
    """A command that is none; says why."""


def is_damage(error: Exception) -> bool:
    """Whether it tells that the index's database is damaged: a broken page, or a text that is none.
    The ``sqlite3`` module has no code for the latter."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return type(error) is sqlite3.OperationalError
    return code in _UNREADABLE or code & 0xFF in _DAMAGED


def is_in_the_way(error: Exception) -> bool:
    """Whether something else than the index is to blame: a disk, memory, the truth, the command."""
    if isinstance(error, sqlite3.Error):
        code: int = getattr(error, "sqlite_errorcode", None) or 0
        return code & 0xFF in _IN_THE_WAY and code not in _UNREADABLE
    return isinstance(error, OSError | MemoryError | TruthError | RefusedError)


def told(error: Exception, path: Path) -> str:
    """What happened, and where: without a word of what is remembered. ``path``: the database."""
    if isinstance(error, TruthError | RefusedError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or path}: {error.strerror or type(error).__name__}"
    if isinstance(error, sqlite3.Error):
        return f"{path}: {sentence(error)}"
    return failures.told(error)


def sentence(error: sqlite3.Error) -> str:
    """What SQLite says of it, where that quotes nothing."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "a text in it is damaged"
    if code & 0xFF in _IN_THE_WAY | _DAMAGED:
        return f"{error}"
    return f"{error.sqlite_errorname}, {failures.told(error)}"
