"""Libraries in libraries while things go on: disks that go away, events, links, and mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.contract import media
from engine.contract.copies import AskDuplicates
from engine.contract.errors import Failed, Refused
from engine.contract.media import DriftFound
from engine.home import Home
from tests.fakes.waiting import until
from tests.unit.media.conftest import SOON
from tests.unit.media.house import House, housed, write
from tests.unit.media.test_nesting import family, remove
from tests.unit.media.test_watch import watches


async def both(house: House, films: Path, inner: Path) -> None:
    """Two libraries, and all of them known."""
    await house.add(films)
    await house.add(inner, "inner")
    for name in ("films", "inner"):
        await house.scan(name)


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a folder", "a file", "a link"])
async def test_one_within_that_is_away_changes_nothing_around_it(
    house: House, films: Path, left: str
) -> None:
    """What its disk leaves behind is no library's, and what was on it is not gone."""
    inner, _deep = family(films)
    await both(house, films, inner)
    before = await house.known("inner")
    away = inner.rename(films.parent / "away")
    match left:
        case "an empty folder":
            inner.mkdir()
        case "a folder":
            write(inner / "file 0", b"not the library's")
        case "a file":
            write(inner, b"not the library's")
        case "a link":
            inner.symlink_to(away)
    result = await house.scan()
    assert (result.added, result.removed, result.moved, result.changed) == (0, 0, 0, 0)
    await house.room.refresh("films", [b"in", b"in/ner"])
    assert await house.agrees(films, "films", inner)
    if left != "a folder":  # Which is another one, and no empty one: it is the library by now.
        with pytest.raises(Failed, match=r"is not there|cannot be read"):
            await house.scan("inner")
        known = await house.known("inner")
        assert all(asset.unreachable for asset in known.values())  # type: ignore[attr-defined]
        reached = {"unreachable": "", "seen_at": None}
        assert {path: asset.model_copy(update=reached) for path, asset in known.items()} == {
            path: asset.model_copy(update=reached) for path, asset in before.items()
        }
    if left != "nothing":
        shutil.rmtree(inner) if left.endswith("folder") else inner.unlink()
    away.rename(inner)
    assert (await house.scan("inner")).files == 13
    assert await house.agrees(inner, "inner")


async def test_the_disk_goes_before_the_new_library_was_looked_at(
    house: House, films: Path
) -> None:
    inner, _deep = family(films)
    await house.add(films)
    await house.scan()
    await house.add(inner, "inner")
    inner.rename(films.parent / "away")
    inner.mkdir()
    with pytest.raises(Failed, match="an empty folder is in its place"):
        await house.scan("inner")
    assert (await house.scan()).removed == 0
    assert ((await house.library("inner")).files, (await house.library()).files) == (13, 9)


@contextmanager
def mounted(*command: str | Path) -> Iterator[None]:
    subprocess.run(["mount", *command], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", command[-1]], check=True)


@pytest.mark.system("mount")
async def test_a_disk_within_comes_and_goes(house: House, films: Path) -> None:
    inner, _deep = family(films)
    await house.add(films)
    await house.scan()
    hidden = await house.known()
    with mounted("-t", "tmpfs", "none", inner):
        write(inner / "on the disk", b"bytes")
        await house.add(inner, "inner")
        assert (await house.scan("inner")).files == 1
        assert (await house.scan()).removed == 0
    write(inner / "behind it")
    with pytest.raises(Failed, match="another file system"):
        await house.scan("inner")
    result = await house.scan()
    assert (result.added, result.removed) == (0, 0)
    assert set(await house.known("inner")) == {b"on the disk"}
    await remove(house, "inner")  # The folder below is of the films again, and was all the time.
    result = await house.scan()
    assert (result.added, result.hashed, result.removed) == (1, 1, 0)
    assert {path: asset.id for path, asset in hidden.items()} == {
        path: asset.id
        for path, asset in (await house.known()).items()
        if path != b"in/ner/behind it"
    }
    assert await house.agrees(films)


@pytest.mark.system("mount")
async def test_the_same_folder_at_another_place(house: House, films: Path) -> None:
    """Hard facts: it is one folder, and its files are one file each."""
    write(films / "sub" / "film", b"x" * 1000)
    twin, part = films.parent / "twin", films.parent / "part"
    twin.mkdir()
    part.mkdir()
    await house.add(films)
    await house.scan()
    with mounted("--bind", films, twin), mounted("--bind", films / "sub", part):
        with pytest.raises(Refused, match="a library already: films, under another path"):
            await house.add(twin)
        await house.add(part)
        await house.scan("part")
        page = await house.door.call(media.DUPLICATES, AskDuplicates())
        assert (page.totals.groups, page.totals.frees) == (0, 0)
        assert await house.agrees(films)
        assert await house.agrees(part, "part")
    assert (await house.scan()).removed == 0


async def live(house: House, films: Path, inner: Path) -> None:
    await house.add(films)
    await house.until_live()
    await house.add(inner, "inner")
    await house.until_live("inner")


async def test_events_are_told_to_the_innermost(lively: House, films: Path) -> None:
    inner, deep = family(films)
    await live(lively, films, inner)

    async def same() -> bool:
        return await lively.agrees(films, "films", inner) and await lively.agrees(inner, "inner")

    await until(same, 10)
    folders = 1 + sum(len(below) for _folder, below, _files in os.walk(films))
    assert watches() == folders
    write(inner / "new", b"new")
    write(films / "new too", b"new")
    write(deep / "y" / "new", b"new")
    await until(same, 10)
    ids = {path: asset.id for path, asset in (await lively.known()).items()}
    (films / "inn").rename(deep / "from outside")
    await until(same, 10)
    (deep / "x").rename(films / "from inside")
    await until(same, 10)
    write(films / "from inside" / "more")
    write(deep / "from outside" / "more")
    await until(same, 10)
    assert watches() == folders + 1
    assert await lively.events(DriftFound) == []
    assert ids[b"new too"] == (await lively.known())[b"new too"].id


async def test_what_happens_after_a_removal_is_told_to_the_one_around(
    lively: House, films: Path
) -> None:
    inner, deep = family(films)
    await live(lively, films, inner)
    await remove(lively, "inner")
    write(deep / "x" / "new", b"new")
    await until(lambda: lively.agrees(films), 10)
    write(inner / "newer", b"newer")
    await until(lambda: lively.agrees(films), 10)
    assert await lively.events(DriftFound) == []


async def test_a_root_that_goes_with_a_folder_around_it_is_missed_at_once(
    lively: House, films: Path
) -> None:
    inner, _deep = family(films)
    await live(lively, films, inner)
    (films / "in").rename(films / "out")

    async def missed() -> bool:
        return (await lively.library("inner")).state == "missing"

    await until(missed, 10)
    assert (await lively.library("inner")).files == 13
    (films / "out").rename(films / "in")
    await lively.until_live("inner")

    async def same() -> bool:
        return await lively.agrees(films, "films", inner) and await lively.agrees(inner, "inner")

    await until(same, 10)


async def test_libraries_are_nested_still_when_the_engine_starts_again(
    home: Home, films: Path
) -> None:
    inner, _deep = family(films)
    async with housed(home, SOON) as house:
        await live(house, films, inner)
    write(inner / "new", b"new")
    async with housed(home, SOON) as house:
        await house.until_live()
        await until(lambda: house.agrees(inner, "inner"), 10)
        assert await house.agrees(films, "films", inner)
        write(inner / "newer", b"newer")
        await until(lambda: house.agrees(inner, "inner"), 10)
        assert await house.agrees(films, "films", inner)
