"""A name is found wherever it is, whether its block is made, was made, or is no longer true."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from engine.contract.base import PathRef
from engine.contract.errors import StoreFailed
from engine.media.listing import names as blocks
from engine.media.listing import pages
from tests.unit.media.house import House
from tests.unit.media.listing.shelf import Film, names, page, put, shelved

BLOCK = 1 << blocks._BITS


@pytest.fixture(autouse=True)
def no_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small library would be looked through by the order's index, and no name looked for."""
    monkeypatch.setattr(pages, "_PEEK", 0)


async def made(house: House) -> set[int]:
    """The blocks that there are, once all are made that can be."""
    await page(house)
    making = house.room._lists._names._making
    assert making is not None
    await asyncio.gather(making)
    rows = await house.ground.catalogue.read("SELECT block FROM name_block")
    return {row["block"] for row in rows}


async def change(house: House, sql: str, *values: Any) -> None:
    async def work(tx: Any) -> None:
        await tx.execute(sql, values)

    await house.ground.catalogue.write(work)


def numbered(begin: int, end: int) -> list[Film]:
    return [Film(f"{n // 100:03}/film {n:05}.mkv".encode(), size=n) for n in range(begin, end)]


async def test_blocks_that_are_whole_are_made_when_somebody_lists(
    house: House, films: Path
) -> None:
    await shelved(house, films, numbered(1, BLOCK - 1))
    assert await made(house) == set()
    await put(house, numbered(BLOCK - 1, BLOCK + 5))
    assert await made(house) == {0}
    for number in (1, BLOCK - 1, BLOCK, BLOCK + 4):
        assert await names(house, filter=f"FILM {number:05}") == [
            f"{number // 100:03}/film {number:05}.mkv"
        ]
    assert await names(house, filter="film 00000") == []


async def test_a_name_is_looked_for_in_its_block_alone(house: House, films: Path) -> None:
    """Blocks say where: a name that is only in a block that lies is not in the list, and what a
    block does not hold is not found in the rows."""
    await shelved(house, films, numbered(1, 3 * BLOCK))
    assert await made(house) == {0, 1, 2}
    aside = house.room._lists._looking

    async def holding(needle: str, most: int = 100) -> list[int] | None:
        return await aside.run(lambda reading: blocks.holding(reading, needle, most))

    assert await holding("film 01500") == [1500]
    assert await holding("film 0150") == [*range(1500, 1510)]
    assert await holding("film", most=100) is None
    await change(house, "UPDATE name_block SET names = x'' WHERE block = 1")
    assert await holding("film 01500") == []
    await change(house, "UPDATE name_block SET names = CAST('film x' AS BLOB) WHERE block = 1")
    assert await holding("film x") == []


async def test_what_is_renamed_removed_or_new_is_told_at_once(house: House, films: Path) -> None:
    await shelved(house, films, numbered(1, 2 * BLOCK))
    assert await made(house) == {0, 1}
    await change(
        house, "UPDATE file SET path = x'7a', folded = 'a new name' WHERE id = ?", BLOCK + 9
    )
    assert await names(house, filter="new name") == ["z"]
    assert await names(house, filter=f"film {BLOCK + 9:05}") == []
    assert await made(house) == {0, 1}
    assert await names(house, filter="new name") == ["z"]
    await change(house, "DELETE FROM file WHERE id = 9")
    left = await house.ground.catalogue.read("SELECT block FROM name_block")
    assert [row["block"] for row in left] == [1]
    assert await names(house, filter="film 00009") == []
    await put(house, [Film(b"film 00009 again", ino=3)])
    assert await names(house, filter="film 00009") == ["film 00009 again"]


async def test_blocks_agree_with_the_files_whatever_happened(house: House, films: Path) -> None:
    chance = random.Random(8)
    await shelved(house, films, numbered(1, 3 * BLOCK))
    known = {n: f"film {n:05}" for n in range(1, 3 * BLOCK)}
    for turn in range(12):
        for id_ in chance.sample(sorted(known), 5):
            if chance.random() < 0.5:
                del known[id_]
                await change(house, "DELETE FROM file WHERE id = ?", id_)
            else:
                known[id_] = f"turn {turn} of {id_:05}"
                await change(
                    house, "UPDATE file SET path = CAST(?1 AS BLOB), folded = ?1 WHERE id = ?2",
                    known[id_], id_,
                )  # fmt: skip
        if chance.random() < 0.4:
            await made(house)
        for needle in (f"turn {turn}", f"{chance.choice(sorted(known)):05}", "film 030"):
            found = await page(house, filter=needle, limit=5000)
            assert {a.id for a in found.assets} == {i for i, n in known.items() if needle in n}


async def test_names_that_are_no_text(house: House, films: Path) -> None:
    odd = [b"caf\xe9", b"\x1b[31m", b"two\nlines", "ÄRGER".encode(), b"'; --", b"100%"]
    await shelved(house, films, [*(Film(b"x/" + name) for name in odd), *numbered(1, BLOCK)])
    assert await made(house) == {0}
    assert await names(house, filter="ärger") == ["x/ÄRGER"]
    assert await names(house, filter="100%") == ["x/100%"]
    assert await names(house, filter="two\nlines") == []
    shown = PathRef.of(b"caf\xe9").display
    assert len(await names(house, filter=shown)) == 1


async def test_nothing_is_made_once_the_room_has_stopped(house: House, films: Path) -> None:
    await shelved(house, films, numbered(1, BLOCK + 1))
    kept = house.room._lists._names
    await kept.stop()
    kept.wake()
    assert kept._making is None


async def test_a_block_that_cannot_be_written_is_made_another_time(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelved(house, films, numbered(1, BLOCK + 1))

    async def full(_work: object) -> None:
        raise StoreFailed("The disk is full.", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(house.ground.catalogue, "write", full)
        assert await made(house) == set()
        assert len(await names(house, filter="film 00500")) == 1
    assert await made(house) == {0}
