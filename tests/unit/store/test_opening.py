"""A database is opened by whoever first needs it; a small reserve helps where the disk is full."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.contract.errors import StoreFailed
from engine.store import Database, Reserve, schema

COUNT = "SELECT count(*) AS n FROM migration"


async def test_whoever_reads_first_opens_it_and_all_others_wait(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", "state", durable=True)
    assert not database.path.exists()
    found = await asyncio.gather(*(database.read(COUNT) for _ in range(5)))
    assert {rows[0]["n"] for rows in found} == {len(schema.migrations("state"))}
    await database.close()
    with pytest.raises(StoreFailed, match="is closed"):
        await database.read(COUNT)


async def test_what_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", "state", durable=True)
    database.path.write_bytes(b"no database" * 100)
    for _ in range(2):
        with pytest.raises(StoreFailed, match="is damaged"):
            await database.write(lambda tx: tx.execute("DELETE FROM setting"))
    database.path.unlink()
    assert await database.read(COUNT)
    await database.close()


async def test_who_is_cancelled_while_it_opens_costs_nobody_else(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", "state", durable=True)
    first = asyncio.create_task(database.read(COUNT))
    await asyncio.sleep(0)
    first.cancel()
    assert await database.read(COUNT)
    await asyncio.gather(first, return_exceptions=True)
    await database.close()


async def test_the_reserve_is_let_go_of_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = Reserve(tmp_path / "reserve")
    reserve.keep()
    prepare = schema.prepare

    def full(path: Path, kind: str) -> None:
        if reserve.path.exists():
            error: Any = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        prepare(path, kind)

    monkeypatch.setattr(schema, "prepare", full)
    database = Database(tmp_path / "x.db", "state", durable=True, reserve=reserve)
    assert await database.read(COUNT)
    await database.close()
    assert not reserve.path.exists()
    again = Database(tmp_path / "x.db", "state", durable=True, reserve=reserve)
    assert await again.read(COUNT)  # There is room again.
    await again.close()
    assert reserve.path.stat().st_size == 256 * 1024
