"""A long look at a database: of one moment, beside the writer, and ended when nobody waits."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator

import pytest

from engine.contract.errors import StoreFailed
from engine.home import Home
from engine.store import Database
from tests.fakes.stores import opened

_FOR_EVER = """
WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted)
SELECT count(*) FROM counted
"""


@pytest.fixture
async def state(home: Home) -> AsyncIterator[Database]:
    async with opened(home.state_file) as database:
        yield database


async def put(state: Database, name: str) -> None:
    await state.write(lambda tx: tx.execute("INSERT INTO setting VALUES (?, '1')", (name,)))


def names(db: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in db.execute("SELECT name FROM setting ORDER BY name")]


async def test_all_that_is_asked_is_of_one_moment(state: Database) -> None:
    await put(state, "a")
    looked, written = threading.Event(), threading.Event()

    def twice(db: sqlite3.Connection) -> list[list[str]]:
        first = names(db)
        looked.set()
        assert written.wait(10)
        return [first, names(db)]

    study = asyncio.create_task(state.study(twice))
    await asyncio.to_thread(looked.wait, 10)
    await put(state, "b")  # Nobody waits for who looks.
    written.set()
    assert await study == [["a"], ["a"]]
    assert await state.study(names) == ["a", "b"]


async def test_it_may_make_tables_of_its_own_and_changes_nothing(state: Database) -> None:
    def makes(db: sqlite3.Connection) -> int:
        db.execute("CREATE TEMP TABLE mine AS SELECT 7 AS n")
        return int(db.execute("SELECT n FROM mine").fetchone()["n"])

    assert await state.study(makes) == 7
    with pytest.raises(StoreFailed, match="cannot be written"):
        await state.study(lambda db: db.execute("DELETE FROM setting"))


async def test_who_leaves_ends_it(state: Database) -> None:
    begun = threading.Event()

    def endless(db: sqlite3.Connection) -> None:
        begun.set()
        db.execute(_FOR_EVER).fetchone()

    study = asyncio.create_task(state.study(endless))
    await asyncio.to_thread(begun.wait, 10)
    study.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await study


async def test_closing_ends_it_and_says_so(state: Database) -> None:
    begun = threading.Event()

    def endless(db: sqlite3.Connection) -> None:
        begun.set()
        db.execute(_FOR_EVER).fetchone()

    study = asyncio.create_task(state.study(endless))
    await asyncio.to_thread(begun.wait, 10)
    async with asyncio.timeout(10):
        await state.close()
        with pytest.raises(StoreFailed, match="is closed"):
            await study
    with pytest.raises(StoreFailed, match="is closed"):
        await state.study(names)
