"""What a list can be narrowed by, and the folders that it lies in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.errors import Invalid, NotFound
from engine.contract.listing import AskFacets, AskTree, FolderPage
from engine.media.listing import tree as tree_module
from tests.unit.media.house import House
from tests.unit.media.listing.shelf import YEAR, Film, page, put, shelved
from tests.unit.media.listing.test_lists import fits, many


async def facets(house: House, **asked: Any) -> dict[str, dict[str, int]]:
    request = AskFacets(**{"library": "films", **asked})
    found = await house.door.call(media.FACETS, request)
    assert all(facet.counted for facet in found.facets)
    return {f.name: {v.value: v.files for v in f.values} for f in found.facets}


async def tree(house: House, folder: bytes = b"", **asked: Any) -> FolderPage:
    request = AskTree(**{"library": "films", "under": PathRef.of(folder), **asked})
    return await house.door.call(media.TREE, request)


async def test_every_facet_counts_what_the_list_would_hold(house: House, films: Path) -> None:
    known = many()
    await shelved(house, films, known)
    found = await facets(house)
    assert found["library"] == {"films": 60}
    for name, values in found.items():
        if name in {"library", "type"}:
            continue
        for value, files in values.items():
            asked: Any = int(value) if name == "larger" else (value,)
            asked = (int(value),) if name == "year" else asked
            assert files == sum(1 for film in known if fits(film, {name: asked})), (name, value)
    assert found["type"]["image/x"] == found["kind"]["image"]
    assert "" not in found["camera"]


async def test_a_facet_is_not_narrowed_by_itself(house: House, films: Path) -> None:
    known = many()
    await shelved(house, films, known)
    every = await facets(house)
    found = await facets(house, kind=("image",))
    assert found["kind"] == every["kind"]
    assert sum(found["state"].values()) == every["kind"]["image"]
    assert (await facets(house, state=("damaged",)))["state"] == every["state"]
    assert (await facets(house, filter="nothing has this"))["kind"] == {}


async def test_counts_follow_the_catalogue(house: House, films: Path) -> None:
    await shelved(house, films, [Film(b"a", kind="image")])
    assert (await facets(house))["kind"] == {"image": 1}
    await put(house, [Film(b"b", kind="video", mtime_ns=10 * YEAR, ino=9)])
    found = await facets(house)
    assert found["kind"] == {"image": 1, "video": 1}
    assert set(found["year"]) == {"1980", "2020"}


async def test_what_takes_too_long_is_not_counted_and_says_so(house: House, films: Path) -> None:
    await shelved(house, films, [Film(b"a", kind="image")])
    house.room._lists._facets._within_s = 0.0
    found = await house.door.call(media.FACETS, AskFacets(library="films"))
    assert found.facets
    assert not any(facet.counted or facet.values for facet in found.facets)


async def test_the_tree_holds_every_file_once(house: House, films: Path) -> None:
    paths = [b"a/1", b"a/b/2", b"a/b/c/3", b"a b/4", b"a.5", b"caf\xe9/6", b"z/\xff/7", b"8"]
    await shelved(house, films, [Film(path, size=10) for path in paths])

    async def walk(folder: bytes) -> list[bytes]:
        here = await tree(house, folder)
        found = []
        for below in here.folders:
            inside = await walk(below.path.data)
            assert below.files == len(inside)
            assert below.bytes == 10 * len(inside)
            found += inside
        start = folder + b"/" if folder else b""
        direct = [p for p in paths if p.startswith(start) and b"/" not in p[len(start) :]]
        assert (here.files, here.bytes) == (len(direct), 10 * len(direct))
        return found + direct

    assert sorted(await walk(b"")) == sorted(paths)


async def test_folders_come_in_pages_and_orders(house: House, films: Path) -> None:
    await shelved(
        house, films, [Film(f"{n:02}/{m}".encode(), size=n) for n in range(30) for m in range(n)]
    )
    pages = [await tree(house, at=at, limit=10) for at in (0, 10, 20)]
    shown = [folder.path.display for page in pages for folder in page.folders]
    assert shown == [f"{n:02}" for n in range(1, 30)]
    assert {page.total for page in pages} == {29}
    assert (await tree(house, sort="size", limit=1)).folders[0].path.display == "29"
    assert (await tree(house, sort="files", limit=1)).folders[0].files == 29


async def test_a_tree_follows_the_catalogue(house: House, films: Path) -> None:
    await shelved(house, films, [Film(b"a/1")])
    assert [folder.files for folder in (await tree(house)).folders] == [1]
    await put(house, [Film(b"a/2", ino=5)])
    assert [folder.files for folder in (await tree(house)).folders] == [2]


async def test_a_folder_that_is_none(house: House, films: Path) -> None:
    await shelved(house, films, [Film(b"a/1")])
    assert (await tree(house, b"nowhere")).total == 0
    with pytest.raises(Invalid):
        await tree(house, b"../up")
    with pytest.raises(NotFound):
        await tree(house, library="none")


async def test_folders_are_there_before_their_numbers(house: House, films: Path) -> None:
    paths = [
        *(b"a/1", b"a/b/2", b"a/b/c/3", b"a b/4", b"a.5", b"a", b"a/\xff/6", b"caf\xe9/6"),
        *(b"a0/7", b"z/\xff/7", b"8", b"9", b"\xff\xff/0", b"\xff/1"),
    ]
    await shelved(house, films, [Film(path, size=n) for n, path in enumerate(paths)])
    for folder in (b"", b"a", b"a/b", b"a/b/c", b"z", b"\xff", b"nowhere"):
        quick = await tree(house, folder, quick=True)
        whole = await tree(house, folder)
        assert [one.path for one in quick.folders] == [one.path for one in whole.folders]
        assert (quick.total, quick.files, quick.bytes) == (whole.total, whole.files, whole.bytes)
        assert (quick.counted, whole.counted) == (False, True)
        assert {(one.files, one.bytes) for one in quick.folders} <= {(None, None)}
        assert all(one.files is not None for one in whole.folders)
        assert await tree(house, folder, quick=True) == whole  # It is known by now.
    await put(house, [Film(b"new/1", ino=5)])
    assert [one.path.display for one in (await tree(house, quick=True)).folders].count("new") == 1


async def test_very_many_folders_are_counted_instead(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "_STEPS", 5)
    await shelved(house, films, [Film(f"{n}/1".encode()) for n in range(5)])
    assert not (await tree(house, quick=True)).counted
    await put(house, [Film(b"6", ino=9)])
    assert (await tree(house, quick=True)).counted
    assert (await tree(house, quick=True, sort="size")).counted


async def test_folders_do_not_wait_while_something_is_counted(house: House, films: Path) -> None:
    await shelved(house, films, [Film(b"a/1")])
    await tree(house)
    asides = house.room._lists
    async with asides._counting._lock, asyncio.timeout(5):
        assert (await tree(house, quick=True)).total == 1


async def test_a_hardlinked_file_weighs_once_in_each_folder_and_once_in_all(
    house: House, films: Path
) -> None:
    await shelved(
        house, films,
        [
            Film(b"a/1", size=10, ino=7), Film(b"a/b/2", size=10, ino=7), Film(b"a/c", size=1),
            Film(b"d/1", size=10, ino=7), Film(b"d/2", size=5, ino=8), Film(b"3", size=5, ino=8),
            Film(b"4", size=5, ino=8),
        ],
    )  # fmt: skip
    root = await tree(house)
    assert [(f.path.display, f.files, f.bytes) for f in root.folders] == [
        ("a", 3, 11),
        ("d", 2, 15),
    ]
    assert (root.files, root.bytes) == (2, 5)
    assert root.below_bytes == (await house.library()).bytes == 16
    assert root.shared == 11 + 15 + 5 - 16
    for folder in root.folders:  # A folder's line is what a list of all that is below it weighs.
        inside = await tree(house, folder.path.data)
        assert inside.below_bytes == folder.bytes
        assert inside.below_bytes == (await page(house, under=folder.path)).bytes
    assert (await tree(house, b"a")).shared == 10
    quick = await tree(house, b"d", quick=True)
    assert (quick.files, quick.bytes) == (2, 15)
    await put(house, [Film(b"e", size=1)])
    quick = await tree(house, quick=True)
    assert (quick.bytes, quick.below_bytes, quick.shared, quick.counted) == (6, None, 0, False)
