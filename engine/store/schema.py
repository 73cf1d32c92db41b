"""Opening a database safely: what is newer, edited or damaged is refused and left untouched.

Migrations are ``migrations/<kind>/NNNN_name.sql``. All that are pending run in one transaction with
their rows in the ledger, which hold each file's SHA-256: an edited migration is noticed. Before
that an existing file is backed up; before the commit it is checked.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from engine.contract.base import visible
from engine.contract.errors import StoreFailed

_MAGIC = b"SQLite format 3\0"
# A whole check reads every page: below this size it costs less than 0.2 s and is always made.
_CHECK_BELOW = 32 * 1024 * 1024
_LEDGER = """
CREATE TABLE IF NOT EXISTS migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, as its file has it."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(kind: str) -> list[Migration]:
    """The migrations of one kind of database, in order."""
    found = []
    for entry in (files("engine.store") / "migrations" / kind).iterdir():
        number, _, name = entry.name.removesuffix(".sql").partition("_")
        if entry.name.endswith(".sql"):
            found.append(Migration(int(number), name, entry.read_text("utf-8")))
    return sorted(found, key=lambda m: m.version)


def damaged(path: Path, problem: str) -> StoreFailed:
    """The error for a file that is not what was written."""
    return StoreFailed(
        f"{path} is damaged ({visible(problem)}). It was left as it is.",
        f"Copy it somewhere safe, then put back a copy from {path.parent / 'backups'}"
        " or move it away to start anew.",
    )


def prepare(path: Path, kind: str) -> None:
    """Creates or verifies and migrates the file. Blocking. Raises StoreFailed or OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = migrations(kind)
    existing = path.exists() and path.stat().st_size > 0
    if existing:
        _verify(path, known)
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        # What a migration moves elsewhere is not left behind where it was.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(_LEDGER)
        applied = {row[0] for row in connection.execute("SELECT version FROM migration")}
        pending = [m for m in known if m.version not in applied]
        if existing and pending:
            _backup(connection, path, max(applied, default=0))
        if pending:
            _migrate(connection, pending, path)


def _connect(path: Path, options: str = "mode=rwc") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)


def _untouching(path: Path) -> str:
    """How to open the file so that nothing changes, not even beside it.

    Only after a crash is there a log to read, too; only SQLite can undo what was half made.
    """
    if Path(f"{path}-journal").exists():
        return "mode=rw"
    return "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"


def _verify(path: Path, known: list[Migration]) -> None:
    """Refuses what is not ours to touch; a refused file stays as it is."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise damaged(path, "it is not a SQLite database")
    try:
        with closing(_connect(path, _untouching(path))) as connection:
            _verify_ledger(connection, path, {m.version: m for m in known})
            if path.stat().st_size < _CHECK_BELOW:
                _check(connection, path)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        }:
            raise damaged(path, str(error)) from error
        raise


def _verify_ledger(connection: sqlite3.Connection, path: Path, known: dict[int, Migration]) -> None:
    tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration'")
    if tables.fetchone() is None:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreFailed(
                f"{path} is a database, but not Arcanum's. It was left as it is.",
                "Move it away, or use another folder with ARCANUM_HOME.",
            )
        return
    for version, name, checksum in connection.execute(
        "SELECT version, name, checksum FROM migration ORDER BY version"
    ):
        if version not in known:
            raise StoreFailed(
                f"{path} was written by a newer Arcanum (schema {version}, {visible(name)});"
                f" this one knows up to {max(known, default=0)}. It was left as it is.",
                "Update Arcanum, or use another folder with ARCANUM_HOME.",
            )
        if known[version].checksum != checksum:
            raise StoreFailed(
                f"{path}: migration {version} ({name}) is not the one that was applied."
                " It was left as it is.",
                "Reinstall Arcanum: one of its own files was edited.",
            )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise damaged(path, problem)
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise damaged(path, "a row refers to one that is not there")


def _backup(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A whole, checked copy under its final name, or none."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = path.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{path.stem}-schema{version}-{stamp}.db"
    draft = target.with_suffix(".part")
    try:
        with closing(_connect(draft)) as copy:
            connection.backup(copy, pages=-1)
            _check(copy, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _statements(sql: str) -> Iterator[str]:
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _migrate(connection: sqlite3.Connection, pending: list[Migration], path: Path) -> None:
    """All that is pending, or nothing: an older Arcanum can still open what was refused here."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in pending:
            _apply(connection, migration, path)
        _check(connection, path)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _apply(connection: sqlite3.Connection, migration: Migration, path: Path) -> None:
    try:
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migration VALUES (?, ?, ?, ?)",
            (
                migration.version,
                migration.name,
                migration.checksum,
                datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise
        raise StoreFailed(
            f"{path}: migration {migration.version} ({migration.name}) failed: {error}."
            " Nothing was changed.",
            f"The copy made before is in {path.parent / 'backups'}. This is a defect: report it.",
        ) from error
