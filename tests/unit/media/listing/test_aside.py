"""The connection apart: who leaves stops the work, and closing does not wait for it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from engine.contract.errors import StoreFailed
from engine.media.listing.aside import Aside, Reading, StoppedError
from tests.fakes.waiting import until

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "catalogue.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE x (i)")
    connection.close()
    return file


def endless(reading: Reading) -> None:
    reading.all(ENDLESS)


async def test_who_leaves_stops_the_work(path: Path) -> None:
    aside = Aside(path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await aside.run(endless)
    async with asyncio.timeout(5):
        assert await aside.run(lambda reading: reading.all("SELECT 7")) == [(7,)]
    await aside.close()


async def test_closing_ends_what_is_at_work(path: Path) -> None:
    aside = Aside(path)
    await aside.version()
    task = asyncio.create_task(aside.run(endless))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await aside.close()
    with pytest.raises(StoreFailed, match="is closed"):
        await task
    with pytest.raises(StoreFailed, match="is closed"):
        await aside.version()


async def test_the_version_moves_with_every_change(path: Path) -> None:
    aside = Aside(path)
    before = await aside.version()
    assert await aside.version() == before
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO x VALUES (1)")
    connection.commit()
    assert await aside.version() != before
    connection.close()
    await aside.close()


async def test_what_is_asked_together_is_of_one_moment(path: Path) -> None:
    aside, other = Aside(path), sqlite3.connect(path, check_same_thread=False)

    def twice(reading: Reading) -> list[int]:
        before = reading.all("SELECT count(*) FROM x")[0][0]
        other.execute("INSERT INTO x VALUES (1)")
        other.commit()
        return [before, reading.all("SELECT count(*) FROM x")[0][0]]

    assert await aside.run(twice) == [0, 0]
    assert await aside.run(lambda reading: reading.all("SELECT count(*) FROM x")) == [(1,)]
    other.close()
    await aside.close()


async def test_a_list_of_ids_comes_whole_and_in_order(path: Path) -> None:
    aside = Aside(path)
    many = "WITH RECURSIVE n(id) AS (SELECT -3 UNION ALL SELECT id + 1 FROM n LIMIT 50000)"
    ids = await aside.run(lambda reading: reading.ids(f"{many} SELECT id FROM n ORDER BY id DESC"))
    assert list(ids) == [*range(49_996, -4, -1)]
    none = await aside.run(lambda reading: reading.ids("SELECT i AS id FROM x"))
    assert not none
    await aside.close()


async def test_nothing_is_written_there(path: Path) -> None:
    aside = Aside(path)
    with pytest.raises(StoreFailed):
        await aside.run(lambda reading: reading.all("INSERT INTO x VALUES (1)"))
    await aside.close()


async def test_who_leaves_stops_short_statements_too(path: Path) -> None:
    """SQLite looks at it after so many steps of the same statement."""
    aside = Aside(path)
    begun, ended = threading.Event(), list[str]()

    def work(reading: Reading) -> None:
        try:
            for number in range(100_000):
                reading.all(f"SELECT {number}")
                begun.set()
            ended.append("at its end")
        except StoppedError:
            ended.append("stopped")
            raise

    task = asyncio.create_task(aside.run(work))
    await until(begun.is_set, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ended == ["stopped"]
    await aside.close()
