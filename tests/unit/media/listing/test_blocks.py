"""Blocks say what the rows say, whether they are made, were made, or are no longer true."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.contract.base import PathRef
from engine.contract.errors import StoreFailed
from engine.media.listing import blocks, columns, packing, pages, walking, ways
from engine.media.listing.aside import Reading
from engine.media.listing.packing import BITS, Block, looks_of, pack
from tests.fakes.waiting import until
from tests.unit.media.house import House, write
from tests.unit.media.listing.shelf import Film, begin_block, names, page, put, shelved

BLOCK = 1 << BITS


@pytest.fixture(autouse=True)
def only_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small library would be looked through by the order's index."""
    monkeypatch.setattr(pages, "_PEEK", 0)
    monkeypatch.setattr(ways, "FEW", -1)
    monkeypatch.setattr(packing, "WORTH", 0)
    monkeypatch.setattr(packing, "_DENSE", 1)


async def made(house: House) -> set[int]:
    """The blocks that there are, once all are made that can be."""
    await page(house)
    making = house.room._lists._blocks._making
    assert making is not None
    await asyncio.gather(making)
    return await there(house)


async def there(house: House) -> set[int]:
    return {row["block"] for row in await house.ground.catalogue.read(blocks.MADE)}


async def change(house: House, sql: str, *values: Any) -> None:
    async def work(tx: Any) -> None:
        await tx.execute(sql, values)

    await house.ground.catalogue.write(work)


async def true_blocks(house: House) -> None:
    """What is in the blocks is what would be packed now."""
    rows = await house.ground.catalogue.read(
        "SELECT * FROM file_block JOIN block_name USING (block) WHERE id IS NOT NULL"
    )

    def fresh(reading: Reading) -> dict[int, Block]:
        looks = looks_of(reading)
        return {row["block"]: pack(reading, row["block"], looks) for row in rows}

    packed = await house.room._lists._looking.run(fresh)
    for row in rows:
        assert {name: row[name] for name in packed[row["block"]]} == packed[row["block"]]


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


async def test_blocks_are_made_once_a_library_was_looked_at(house: House, films: Path) -> None:
    """Nobody has to list files first."""
    for number in range(BLOCK + 5):
        write(films / str(number % 9) / str(number))
    await house.add(films)
    await house.scan()
    await until(lambda: there_is(house), 10)


async def there_is(house: House) -> bool:
    return bool(await there(house))


async def test_files_far_from_one_another_are_in_no_blocks(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are given once: where most files went, blocks would hold little each."""
    monkeypatch.setattr(packing, "_DENSE", 3)
    await shelved(house, films, numbered(1, 3))
    for number in range(5):
        await begin_block(house)
        await put(house, numbered(10 + 2 * number, 12 + 2 * number))
    assert await made(house) == set()
    assert await names(house, filter="film 00001") == ["000/film 00001.mkv"]
    monkeypatch.setattr(packing, "_DENSE", 2)
    assert await made(house) == {0, 1, 2, 3, 4}


async def test_looks_are_bounded_and_forgotten_with_the_last_block(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cameras are what files say. Where there are too many, rows are asked."""
    monkeypatch.setattr(packing, "_MOST_LOOKS", 5)
    known = numbered(1, BLOCK + 5)
    for number, film in enumerate(known[:9]):
        film.kind, film.camera = "image", f"Camera {number}"
    await shelved(house, films, known)
    assert await made(house) == {0}
    assert len(await house.ground.catalogue.read("SELECT id FROM look")) == 5
    for number in (0, 8):
        assert await names(house, camera=(f"Camera {number}",)) == [known[number].path.decode()]
    assert len(await names(house, kind=("image",), filter="FILM")) == 9
    await change(house, "DELETE FROM file WHERE id <= ?", BLOCK)
    assert await made(house) == set()
    assert await house.ground.catalogue.read("SELECT id FROM look") == []


async def test_long_paths_are_looked_at_in_small_pieces(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_MOST_BYTES", 1)
    await shelved(house, films, numbered(1, 3 * BLOCK))
    assert await made(house) == {0, 1, 2}
    assert len(await names(house, filter="film 0150")) == 10


async def test_small_libraries_need_none(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "WORTH", 3)
    await shelved(house, films, numbered(1, BLOCK + 1))
    assert await made(house) == set()
    assert await names(house, filter="film 00500") == ["005/film 00500.mkv"]


async def test_lists_are_of_what_the_blocks_say(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither rows nor indexes are walked."""
    monkeypatch.delattr(walking, "walk")
    await shelved(house, films, numbered(1, 3 * BLOCK))
    assert await made(house) == {0, 1, 2}
    asked: dict[str, Any] = {"filter": "film 0150", "state": ("sound",), "quick": True}
    assert len(await names(house, **asked)) == 10
    await change(house, "UPDATE file_block SET state = zeroblob(length(state))")
    assert await names(house, **asked) == []


async def test_what_is_no_block_yet_is_walked_through(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_MOST_MISSING", 0)
    await shelved(house, films, numbered(1, BLOCK))
    assert await names(house, filter="film 00500") == ["005/film 00500.mkv"]


CHANGES: dict[str, str] = {
    "renamed": "UPDATE file SET path = x'7a', folded = 'z' WHERE id = ?",
    "in other letters": "UPDATE file SET folded = 'film' WHERE id = ?",
    "gone": "DELETE FROM file WHERE id = ?",
    "larger": "UPDATE file SET size = size + 1 WHERE id = ?",
    "later": "UPDATE file SET mtime_ns = mtime_ns + 1 WHERE id = ?",
    "known since": "UPDATE file SET first_seen_at = 7 WHERE id = ?",
    "not hashed": "UPDATE file SET blake3 = NULL WHERE id = ?",
    "rotten": "UPDATE file SET damage = 'rotten' WHERE id = ?",
    "in another library": "UPDATE file SET library = 99 WHERE id = ?",
    "looked into": "INSERT INTO trait (file, size, mtime_ns, kind, type, taken_at, camera)"
    " SELECT id, size, mtime_ns, 'image', 'image/x', 5, 'C' FROM file WHERE id = ?",
    "of a source": "INSERT INTO source (file, at, kind, confidence) VALUES (?, 1, 'url', 1)",
    "of another source": "UPDATE source SET kind = 'torrent' WHERE file = ?",
    "of no source": "DELETE FROM source WHERE file = ?",
}  # fmt: skip
ALIKE: dict[str, str] = {
    "seen again": "UPDATE file SET seen_at = 9, size = size, path = path WHERE id = ?",
    "hashed anew": "UPDATE file SET blake3 = x'03' WHERE id = ?",
    "of the same source": "UPDATE source SET kind = kind, origin = 'x' WHERE file = ?",
}


@pytest.mark.parametrize("sql", CHANGES.values(), ids=CHANGES)
async def test_a_block_goes_with_what_changes(house: House, films: Path, sql: str) -> None:
    known = numbered(1, 2 * BLOCK)
    known[8].sources = known[9].sources = [("download", "https://example.org/")]
    await shelved(house, films, known)
    assert await made(house) == {0, 1}
    await change(house, sql, 10)
    await true_blocks(house)
    assert await there(house) == {1}
    assert await made(house) == {0, 1}
    await true_blocks(house)


@pytest.mark.parametrize("sql", ALIKE.values(), ids=ALIKE)
async def test_a_block_stays_where_nothing_of_it_changes(
    house: House, films: Path, sql: str
) -> None:
    known = numbered(1, BLOCK + 1)
    known[9].sources = [("download", "https://example.org/")]
    await shelved(house, films, known)
    assert await made(house) == {0}
    await change(house, sql, 10)
    assert await there(house) == {0}
    await true_blocks(house)


async def test_a_source_that_gets_another_file_is_no_longer_the_first_ones(
    house: House, films: Path
) -> None:
    known = numbered(1, 2 * BLOCK)
    known[9].sources = [("download", "https://example.org/")]
    await shelved(house, films, known)
    assert await made(house) == {0, 1}
    await change(house, "UPDATE source SET file = ? WHERE file = 10", BLOCK + 5)
    assert await there(house) == set()
    assert await names(house, source=("download",)) == [f"010/film {BLOCK + 5:05}.mkv"]


async def test_what_changes_while_a_block_is_packed_takes_it_along(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelved(house, films, numbered(1, 2 * BLOCK))
    kept = house.room._lists._blocks
    run = kept._aside.run

    async def meanwhile(work: Callable[[Any], Any]) -> Any:
        packed = await run(work)
        await change(house, "UPDATE file SET size = size + 1 WHERE id = 10")
        return packed

    with monkeypatch.context() as patch:
        patch.setattr(kept._aside, "run", meanwhile)
        await kept.make()
    assert await there(house) == {1}
    await kept.make()
    assert await there(house) == {0, 1}
    await true_blocks(house)


async def test_blocks_agree_with_the_files_whatever_happened(house: House, films: Path) -> None:
    chance = random.Random(8)
    await shelved(house, films, numbered(1, 3 * BLOCK))
    for turn in range(12):
        for sql in chance.sample([*CHANGES.values(), *ALIKE.values()], 4):
            wanted = chance.randrange(1, 3 * BLOCK)
            if "path =" not in sql and "trait" not in sql:
                await change(house, sql, wanted)
        await change(
            house, "UPDATE file SET path = CAST(?1 AS BLOB), folded = ?1 WHERE id = ?2",
            f"turn {turn}", chance.randrange(1, 3 * BLOCK),
        )  # fmt: skip
        if chance.random() < 0.4:
            await made(house)
        await true_blocks(house)
        for needle in (f"turn {turn}", f"{chance.randrange(1, 3 * BLOCK):05}", "film 030"):
            found = await page(house, filter=needle, limit=5000, library=None)
            rows = await house.ground.catalogue.read(
                "SELECT id FROM file WHERE instr(folded, ?) AND library <> 99", (needle,)
            )
            assert {asset.id for asset in found.assets} == {row["id"] for row in rows}


async def test_names_that_are_no_text(house: House, films: Path) -> None:
    odd = [b"caf\xe9", b"\x1b[31m", b"two\nlines", "ÄRGER".encode(), b"'; --", b"100%", b"\x01"]
    await shelved(house, films, [*(Film(b"x/" + name) for name in odd), *numbered(1, BLOCK)])
    await begin_block(house)
    assert await made(house) == {0, 1}
    assert await names(house, filter="ärger") == ["x/ÄRGER"]
    assert await names(house, filter="X/ärg") == ["x/ÄRGER"]
    assert await names(house, filter="100%") == ["x/100%"]
    assert await names(house, filter="two\nlines") == []
    for name in (b"caf\xe9", b"\x01"):
        assert len(await names(house, filter=PathRef.of(name).display)) == 1


async def test_those_that_change_all_the_time_take_a_tenth_of_a_processor(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelved(house, films, numbered(1, BLOCK + 1))
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    kept = house.room._lists._blocks
    clock = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "asyncio", SimpleNamespace(sleep=rest))
        patch.setattr(blocks, "time", SimpleNamespace(monotonic=clock.__next__, sleep=id))
        await kept.make()
        assert rests == []
        await change(house, "UPDATE file SET size = 0 WHERE id = 10")
        await kept.make()
        assert rests == [9]


async def test_nothing_is_made_once_the_room_has_stopped(house: House, films: Path) -> None:
    await shelved(house, films, numbered(1, BLOCK + 1))
    kept = house.room._lists._blocks
    await kept.stop()
    last = kept._making
    kept.wake()
    assert kept._making is last
    assert await there(house) == set()


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


def test_the_engine_starts_without_numpy() -> None:
    code = "import sys, engine.media.room; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
