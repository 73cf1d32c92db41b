"""Pages of files, and what other rooms ask of the catalogue."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from engine.contract import media
from engine.contract.assets import Asset, ListAssets
from engine.contract.errors import Invalid
from engine.contract.ports import Catalogue, CatalogueFile
from tests.unit.media.house import House, write

NAMES = ["Alien.mkv", "alien 2.mkv", "100%.mkv", "a_b.mkv", "ab.mkv", "ÄRGER.mkv", "sub/Film [x]"]


async def filled(house: House, films: Path) -> None:
    chance = random.Random(3)
    for number, name in enumerate(NAMES):
        write(films / name, bytes(chance.randrange(3)))
        os.utime(films / name, (0, number % 3))
    await house.add(films)
    await house.scan()


def key_of(sort: str, asset: Asset) -> object:
    return {
        "path": asset.path.data,
        "size": (-asset.size, -asset.id),
        "modified": (-asset.modified_at.timestamp(), -asset.id),
    }[sort]


@pytest.mark.parametrize("sort", ["path", "size", "modified"])
@pytest.mark.parametrize("limit", [1, 2, 7, 500])
async def test_pages_hold_everything_once_in_order(
    house: House, films: Path, sort: str, limit: int
) -> None:
    await filled(house, films)
    assets = await house.assets(sort=sort, limit=limit)
    assert sorted(asset.path.display for asset in assets) == sorted(NAMES)
    assert [asset.id for asset in assets] == [
        asset.id
        for asset in sorted(assets, key=lambda asset: key_of(sort, asset))  # type: ignore[arg-type, return-value]
    ]


@pytest.mark.parametrize(
    ("needle", "found"),
    [
        ("ALIEN", 2),
        ("100%", 1),
        ("%", 1),
        ("a_b", 1),
        ("ärger", 1),
        ("a\u0308rger", 1),
        ("[X]", 1),
        ("sub/", 1),
        ("nothing", 0),
        ("", 7),
    ],
)
async def test_the_filter_is_plain_text_without_case(
    house: House, films: Path, needle: str, found: int
) -> None:
    await filled(house, films)
    page = await house.door.call(media.LIST, ListAssets(library="films", filter=needle, limit=1))
    assets = await house.assets(filter=needle, limit=1)
    assert (len(assets), page.total) == (found, found)
    assert page.bytes == sum(asset.size for asset in assets)


async def test_totals_follow_the_library(house: House, films: Path) -> None:
    await filled(house, films)
    write(films / "alien 3.mkv", b"12345")
    os.link(films / "alien 3.mkv", films / "alien 3 again.mkv")
    for filter_ in ("alien", "ALIEN 3"):
        await house.door.call(media.LIST, ListAssets(library="films", filter=filter_))
    await house.scan()
    page = await house.door.call(media.LIST, ListAssets(library="films", filter="alien 3"))
    assert (page.total, page.bytes) == (2, 5)


@pytest.mark.parametrize("after", ["x", "WyJzaXplIiwgMSwgMl0=", "W10=", "bnVsbA==", "\u00e4"])
async def test_a_cursor_that_is_none(house: House, films: Path, after: str) -> None:
    await filled(house, films)
    with pytest.raises(Invalid, match="'after'"):
        await house.door.call(media.LIST, ListAssets(library="films", after=after))


async def oldest(house: House) -> list[list[CatalogueFile]]:
    catalogue: Catalogue = house.ground.use(Catalogue)  # type: ignore[type-abstract]
    return [batch async for batch in catalogue.oldest_first("films")]


async def test_oldest_first(house: House, films: Path) -> None:
    for number in range(2100):
        write(films / f"{number % 3}" / f"{number}")
        os.utime(films / f"{number % 3}" / f"{number}", ns=(0, 1000 - number % 700))
    write(films / "from before 1970")
    os.utime(films / "from before 1970", (0, -1000))
    await house.add(films)
    await house.scan()
    batches = await oldest(house)
    assert [len(batch) for batch in batches] == [1000, 1000, 101]
    files = [file for batch in batches for file in batch]
    assert files == sorted(files, key=lambda file: (file.mtime_ns, file.path))
    status = (films / "from before 1970").stat()
    first = files[0]
    assert (first.path, first.nlink, first.size) == (b"from before 1970", 1, 1)
    assert (first.dev, first.ino) == (status.st_dev, status.st_ino)
    assert (first.mtime_ns, first.ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)
    assert first.blake3 is not None


async def test_a_refresh_takes_in_what_is_there_now(house: House, films: Path) -> None:
    for name in ("gone", "changed", "stays", "folder/inside"):
        write(films / name, name.encode())
    await house.add(films)
    await house.scan()
    (films / "gone").unlink()
    (films / "folder" / "inside").rename(films / "folder" / "renamed")
    write(films / "changed", b"other")
    write(films / "new folder" / "new", b"new")
    write(films / "not asked for")
    catalogue: Catalogue = house.ground.use(Catalogue)  # type: ignore[type-abstract]
    await catalogue.refresh("films", [b"gone", b"folder/inside", b"folder/renamed", b"new folder"])
    assert set(await house.known()) == {
        *(b"changed", b"stays", b"folder/renamed", b"new folder/new"),
    }
    await catalogue.refresh("films", [b"changed", b"not asked for"])
    assert await house.agrees(films)


@pytest.mark.parametrize("path", [b"", b"/etc/passwd", b"../x", b"a/../b", b"a//b", b"./a"])
async def test_a_refresh_stays_inside(house: House, films: Path, path: bytes) -> None:
    await filled(house, films)
    with pytest.raises(Invalid, match="inside"):
        await house.room.refresh("films", [path])


async def test_times_that_no_calendar_holds(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()

    async def forge(tx: object) -> None:
        await tx.execute("UPDATE file SET mtime_ns = ?", (2**63 - 1,))  # type: ignore[attr-defined]

    await house.ground.catalogue.write(forge)
    [asset] = await house.assets()
    assert asset.modified_at.year == 2262
