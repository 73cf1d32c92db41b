"""Opening: migrations are all or nothing, and what is refused is left as it is."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.contract.errors import StoreFailed
from engine.home import Home
from engine.store import schema
from tests.fakes.stores import opened

Known = list[schema.Migration]


async def filled(path: Path) -> None:
    """A database with some pages of settings."""
    async with opened(path) as database:
        rows = [(f"name{n:04}", "v" * 200) for n in range(400)]
        await database.write(lambda tx: tx.executemany("INSERT INTO setting VALUES (?, ?)", rows))


def folder(path: Path) -> dict[str, str]:
    """Every file beside the database, by the hash of its bytes."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.parent.iterdir()
        if file.is_file()
    }


async def refused(path: Path) -> StoreFailed:
    """The error that opening ends with, once it is known that nothing was touched."""
    before = folder(path)
    with pytest.raises(StoreFailed) as caught:
        async with opened(path):
            pass
    assert folder(path) == before
    return caught.value


async def problem(path: Path) -> StoreFailed | None:
    try:
        async with opened(path) as database:
            await database.read("SELECT count(*) FROM setting")
    except StoreFailed as error:
        return error
    return None


def names(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("SELECT count(*) FROM setting").fetchone()[0]
        return found


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """The migrations that the next opening knows; a test may change them."""
    found = schema.migrations("state")
    monkeypatch.setattr(schema, "migrations", lambda _kind: list(found))
    return found


# --- migrating ------------------------------------------------------------------------------------


async def test_a_new_migration_is_applied_once_after_a_backup(home: Home, known: Known) -> None:
    await filled(home.state_file)
    assert not (home.data / "backups").exists()  # A new database has nothing to back up.
    known.append(
        schema.Migration(900, "more", "CREATE TABLE more (x) STRICT;".replace("x", "x INT"))
    )
    async with opened(home.state_file):
        pass
    async with opened(home.state_file):
        pass
    assert "more" in tables(home.state_file)
    (backup,) = (home.data / "backups").iterdir()
    assert backup.suffix == ".db"
    assert names(backup) == 400
    assert "more" not in tables(backup)


async def test_a_failed_migration_leaves_the_old_schema_and_a_backup(
    home: Home, known: Known
) -> None:
    await filled(home.state_file)
    old = tables(home.state_file)
    good = schema.Migration(900, "good", "CREATE TABLE good (x INT) STRICT;")
    bad = schema.Migration(901, "bad", "CREATE TABLE bad (x INT) STRICT;\nDELETE FROM nowhere;")
    known += [good, bad]
    with pytest.raises(StoreFailed, match=r"migration 901 \(bad\) failed: no such table: nowhere"):
        async with opened(home.state_file):
            pass
    assert tables(home.state_file) == old  # Not even the migration before the one that failed.
    assert names(home.state_file) == 400
    (backup,) = (home.data / "backups").iterdir()
    assert names(backup) == 400
    known.remove(good)
    known.remove(bad)
    async with opened(home.state_file) as database:  # The Arcanum from before still opens it.
        assert await database.read("SELECT 1")


async def test_a_migration_that_breaks_a_reference_is_rolled_back(home: Home, known: Known) -> None:
    await filled(home.state_file)
    old = tables(home.state_file)
    orphan = (
        "CREATE TABLE child (p INT REFERENCES approval (id)) STRICT;\nINSERT INTO child VALUES (7);"
    )
    known.append(schema.Migration(900, "orphan", orphan))
    with pytest.raises(StoreFailed, match="refers to one that is not there"):
        async with opened(home.state_file):
            pass
    assert tables(home.state_file) == old


async def test_an_edited_migration_is_refused(home: Home, known: Known) -> None:
    await filled(home.state_file)
    first = known[0]
    known[0] = schema.Migration(first.version, first.name, first.sql + "\n-- one more word\n")
    error = await refused(home.state_file)
    assert f"migration {first.version} ({first.name})" in error.message


# --- refusing -------------------------------------------------------------------------------------


async def test_a_newer_schema_is_refused_and_named(home: Home) -> None:
    await filled(home.state_file)
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO migration VALUES (999, 'later', 'x', 'now')")
    error = await refused(home.state_file)
    assert "newer Arcanum (schema 999, later)" in error.message
    assert "Update Arcanum" in error.hint


async def test_a_newer_schema_is_refused_where_the_last_process_was_killed_too(
    home: Home, tmp_path: Path
) -> None:
    """Its last changes are in the write-ahead log: that stays, and so does the file."""
    await filled(home.state_file)
    copy = tmp_path / "arcanum.db"
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO migration VALUES (999, 'later', 'x', 'now')")
        for end in ("", "-wal"):
            shutil.copy(f"{home.state_file}{end}", f"{copy}{end}")
    before = folder(copy)
    assert before["arcanum.db-wal"]
    with pytest.raises(StoreFailed, match="newer Arcanum"):
        async with opened(copy):
            pass
    after = folder(copy)
    assert {name: after[name] for name in before} == before


def garbage_in_the_header(data: bytearray) -> None:
    data[:16] = b"not a database!!"


def garbage_in_a_page(data: bytearray) -> None:
    data[2 * 4096 : 3 * 4096] = random.Random(7).randbytes(4096)


def cut_in_the_middle(data: bytearray) -> None:
    del data[len(data) // 2 :]


def cut_to_a_few_bytes(data: bytearray) -> None:
    del data[10:]


def all_zeros(data: bytearray) -> None:
    data[:] = bytes(len(data))


def a_text_file(data: bytearray) -> None:
    data[:] = b"Dear diary,\n" * 1000


@pytest.mark.parametrize(
    "damage",
    [
        garbage_in_the_header,
        garbage_in_a_page,
        cut_in_the_middle,
        cut_to_a_few_bytes,
        all_zeros,
        a_text_file,
    ],
)
async def test_a_damaged_database_is_refused_and_untouched(
    home: Home, damage: Callable[[bytearray], None]
) -> None:
    await filled(home.state_file)
    data = bytearray(home.state_file.read_bytes())
    damage(data)
    home.state_file.write_bytes(data)
    error = await refused(home.state_file)
    assert "is damaged" in error.message
    assert "backups" in error.hint


async def test_no_flipped_byte_of_the_header_makes_anything_but_one_clear_error(
    home: Home,
) -> None:
    await filled(home.state_file)
    whole = home.state_file.read_bytes()
    for at in range(100):
        data = bytearray(whole)
        data[at] ^= 0xFF
        home.state_file.write_bytes(data)
        error = await problem(home.state_file)
        if error is not None:
            assert str(home.state_file) in error.message, at
            assert error.hint, at
            assert home.state_file.read_bytes() == bytes(data), f"byte {at}: refused, but changed"
        for end in ("-wal", "-shm", "-journal"):
            Path(f"{home.state_file}{end}").unlink(missing_ok=True)


async def test_somebody_elses_database_is_refused(home: Home) -> None:
    home.data.mkdir(parents=True)
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE recipe (name)")
    error = await refused(home.state_file)
    assert "not Arcanum's" in error.message


async def test_control_characters_in_a_hostile_file_are_made_visible(home: Home) -> None:
    await filled(home.state_file)
    with closing(sqlite3.connect(home.state_file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO migration VALUES (999, '\x1b[31mlater', 'x', 'now')")
    error = await refused(home.state_file)
    assert "\x1b" not in error.message


async def test_an_empty_file_is_a_new_database(home: Home) -> None:
    home.data.mkdir(parents=True)
    home.state_file.touch()
    async with opened(home.state_file) as database:
        assert await database.read("SELECT * FROM setting") == []


def test_the_files_of_every_kind_are_numbered_without_a_gap() -> None:
    for kind in ("state", "catalogue"):
        versions = [migration.version for migration in schema.migrations(kind)]
        assert versions == list(range(1, len(versions) + 1))
