"""The machine's clock was a year ahead for a while, and is right again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.home import Home
from engine.store import Transaction
from tests.unit.media.conftest import NEVER
from tests.unit.media.house import House, housed, write
from tests.unit.media.integrity.asking import column, damaged, put_checked, rot, told, verify

DAY = 86_400
YEAR_NS = 365 * DAY * 10**9


async def ahead(house: House, table: str, moment: str) -> None:
    """As if it had been written while the clock was ahead."""

    async def work(tx: Transaction) -> None:
        await tx.execute(f"UPDATE {table} SET {moment} = {moment} + {YEAR_NS}")

    await house.ground.catalogue.write(work)


async def test_what_is_gone_is_gone_once(house: House, films: Path) -> None:
    write(films / "stays")
    write(films / "goes", b"bytes")
    await house.add(films)
    await house.scan()
    await ahead(house, "file", "seen_at")
    (films / "goes").unlink()
    assert [(await house.scan()).removed for _turn in range(2)] == [1, 0]
    assert await house.agrees(films)
    assert await told(house, b"goes") == [("gone", b"goes")]


async def test_what_another_look_saw_since_stays(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    files, asset = house.room._files, (await house.known())[b"film"]
    begun = await column(house, "seen_at", b"film")
    await files.remove(1, [asset.id], before=begun)
    assert set(await house.known()) == {b"film"}
    await files.remove(1, [asset.id], before=begun + 1)
    assert set(await house.known()) == set()


async def test_what_is_said_to_be_checked_later_was_never_checked(home: Home, films: Path) -> None:
    """It is due, and it comes first."""
    for name in ("ahead", "new", "old"):
        write(films / name, name.encode() * 1000)
    async with housed(home, replace(NEVER, scrub=(3600, 3600))) as house:
        await house.add(films)
        await house.scan()
        await put_checked(house, b"ahead", -365 * DAY)
        await put_checked(house, b"old", 10 * DAY)
        seen = {name: await column(house, "seen_at", name) for name in (b"ahead", b"new", b"old")}
        await house.room._integrity._scrub._round(house.room._indexers["films"])
        checked = {name: await column(house, "checked_at", name) - seen[name] for name in seen}
    assert 0 < checked[b"ahead"] < YEAR_NS // 2
    assert checked[b"new"] == 0
    assert checked[b"old"] < 0


async def test_a_damaged_file_is_mended_all_the_same(house: House, films: Path) -> None:
    write(films / "film", b"good bytes")
    await house.add(films)
    await house.scan()
    await rot(house, films / "film")
    assert (await verify(house)).rotten == 1
    await ahead(house, "history", "at")
    write(films / "film", b"good bytes")
    await house.scan()
    assert await damaged(house) == []
    assert await told(house, b"film") == [("rotten", b"film"), ("mended", b"film")]
