"""What was deleted is nowhere in the file, in its log or in its free space."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.contract.errors import StoreFailed
from engine.home import Home
from engine.store import Database, Transaction, schema
from tests.fakes.stores import opened

SECRET = "The secret key lies under stone seven"


def held(path: Path) -> list[str]:
    """The files of this database whose bytes hold it."""
    files = path.parent.glob(f"{path.name}*")
    return [each.name for each in files if SECRET.encode() in each.read_bytes()]


def moved_about(path: Path, seed: int) -> None:
    """Rows grow and shrink around the secret one, so that SQLite moves it from page to page; then
    it is deleted."""
    dice = random.Random(seed)
    schema.prepare(path, "state")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA synchronous = OFF")
        db.execute(
            "CREATE TABLE example (id INTEGER PRIMARY KEY, at TEXT, text TEXT NOT NULL) STRICT"
        )
        for n in range(300):
            text = SECRET if n == 150 else "x" * dice.randint(5, 900)
            db.execute("INSERT INTO example (at, text) VALUES ('2026', ?)", (text,))
        for _ in range(300):
            if (n := dice.randint(140, 160)) != 151:
                text = "y" * dice.randint(0, 1500)
                db.execute("UPDATE example SET text = ? WHERE id = ?", (text, n))
        db.execute("DELETE FROM example WHERE id = 151")


@pytest.mark.parametrize("seed", [1, 2, 51])
async def test_nothing_is_left_of_what_was_moved_about_and_deleted(home: Home, seed: int) -> None:
    """SQLite 3.40 leaves the row of seed 51 behind, ``secure_delete`` or not."""
    home.prepare()
    moved_about(home.state_file, seed)
    async with opened(home.state_file) as database:
        assert await database.scrub()
        assert held(home.state_file) == []
        assert (await database.read("SELECT count(*) AS n FROM example"))[0]["n"] == 299


async def test_what_was_overwritten_is_not_left_in_the_log(home: Home) -> None:
    async with opened(home.state_file) as database:
        for value in (SECRET, "nothing"):
            await put(database, "name", value)
        assert held(home.state_file) == ["arcanum.db-wal"]
        assert await database.scrub()
        assert held(home.state_file) == []


async def put(database: Database, name: str, value: str) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    await database.write(work)


async def test_writes_around_it_are_committed_in_order(home: Home) -> None:
    async with opened(home.state_file) as database:
        found = await asyncio.gather(
            *(
                database.scrub() if n % 7 == 3 else put(database, str(n % 3), str(n))
                for n in range(40)
            )
        )
        assert found.count(True) == 6
        rows = await database.read("SELECT name, value FROM setting ORDER BY name")
        assert [tuple(row) for row in rows] == [("0", "39"), ("1", "37"), ("2", "35")]
        assert database.depth == 0


async def test_somebody_who_reads_for_long_is_told_of_and_reads_on(home: Home) -> None:
    async with opened(home.state_file) as database:
        await put(database, "name", SECRET)
        with closing(sqlite3.connect(home.state_file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert len(reader.execute("SELECT * FROM setting").fetchall()) == 1
            await put(database, "name", "nothing")
            assert not await database.scrub()
            assert reader.execute("SELECT value FROM setting").fetchone() == (SECRET,)
        assert await database.scrub()
        assert held(home.state_file) == []


async def test_a_closed_database_is_not_scrubbed(home: Home) -> None:
    async with opened(home.state_file) as database:
        pass
    with pytest.raises(StoreFailed, match="is closed"):
        await database.scrub()
