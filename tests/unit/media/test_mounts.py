"""What is mounted inside of a library is not the library's, also a part of its own file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.media import DriftFound
from engine.media.mounts import mounted_in, places, table
from tests.fakes.waiting import until
from tests.unit.media.duplicates.asking import find
from tests.unit.media.house import House, write
from tests.unit.media.test_nested_disks import mounted
from tests.unit.media.test_watch import watches

_ESCAPED = b" \t\n\\#"


def line(point: bytes, mount: int, parent: int) -> bytes:
    """As the kernel writes it."""
    escaped = b"".join(b"\\%03o" % byte if byte in _ESCAPED else bytes([byte]) for byte in point)
    return b"%d %d 254:0 /a %s rw shared:1 - ext4 /dev/vda rw" % (mount, parent, escaped)


@given(name=st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name))
def test_any_name_is_read_as_it_is(name: bytes) -> None:
    assert places(line(b"/films/" + name, 40, 27), b"27", b"/films") == {name}


def test_only_what_is_mounted_below_the_folder_and_on_its_own_disk() -> None:
    mounts = b"\n".join(
        (
            *(line(b"/", 27, 1), line(b"/films", 28, 27), line(b"/films/old", 29, 27)),
            *(line(b"/films/in/ner", 30, 28), line(b"/films/in/ner/most", 31, 30)),
            *(line(b"/films2/x", 32, 28), b"", b"odd", b"33 28 0:1 /", line(b"/other", 34, 27)),
        )
    )
    assert places(mounts, b"28", b"/films") == {b"in/ner"}  # `old` is behind what came over it.
    assert places(mounts, b"27", b"/") == {b"films", b"films/old", b"other"}
    assert places(b"", b"28", b"/films") == set()


def test_a_table_without_end_is_cut_after_a_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = tmp_path / "mountinfo"
    endless.write_bytes((line(b"/films/inner", 40, 27) + b"\n") * 100)
    monkeypatch.setattr("engine.media.mounts._TABLE", str(endless))
    monkeypatch.setattr("engine.media.mounts._MOST", 1000)
    assert len(table()) < 1000
    assert places(table(), b"27", b"/films") == {b"inner"}
    endless.unlink()
    assert table() == b""


@pytest.mark.system("mount")
async def test_a_folder_that_is_bound_into_the_library_is_left_alone(
    house: House, films: Path
) -> None:
    write(films / "series" / "one" / "film", b"bytes of a film")
    again = films / "a new\nname" / "again"
    write(again / "behind it", b"what lies below")
    write(films / "a new\nname" / "beside", b"beside")
    await house.add(films)
    await house.scan()
    before = await house.known()
    with mounted("--bind", films / "series", again):
        result = await house.scan()
        assert (result.added, result.removed, result.skipped) == (0, 0, 1)
        write(again / "one" / "new", b"seen once")
        await house.room.refresh("films", [b"a new\nname", b"a new\nname/again/one/new"])
        assert set(await house.known()) == {*before}
        assert (await house.scan()).added == 1
        assert {**await house.known(), **before}.keys() == {*before, b"series/one/new"}
        assert (await find(house, films)).totals.groups == 0
    assert (await house.scan()).added == 0
    assert await house.agrees(films)


@pytest.mark.system("mount")
async def test_a_file_that_is_bound_over_another_is_left_alone(house: House, films: Path) -> None:
    write(films / "a", b"one")
    write(films / "b", b"another")
    await house.add(films)
    await house.scan()
    with mounted("--bind", films / "a", films / "b"):
        result = await house.scan()
        assert (result.changed, result.removed, result.skipped) == (0, 0, 1)
    assert (await house.scan()).changed == 0


@pytest.mark.system("mount")
async def test_a_library_all_of_which_is_bound_somewhere_is_one(house: House, films: Path) -> None:
    """A root is no mount point below itself."""
    write(films / "sub" / "film", b"bytes")
    twin = films.parent / "twin"
    twin.mkdir()
    with mounted("--bind", films, twin):
        await house.add(twin, "twin")
        result = await house.scan("twin")
        assert (result.added, result.skipped) == (1, 0)
        fd = os.open(twin, os.O_RDONLY)
        assert mounted_in(fd) == frozenset()
        os.close(fd)


@pytest.mark.system("mount")
async def test_events_are_told_at_the_place_where_a_file_is_the_librarys(
    lively: House, films: Path
) -> None:
    """A folder has one watch: another name of it must not take it along, whichever is met first."""
    write(films / "one" / "own" / "film", b"a film")
    write(films / "two" / "own" / "film", b"another film")
    (films / "one" / "bound").mkdir()
    (films / "two" / "bound").mkdir()
    there = {b"one/own/film", b"two/own/film"}

    async def known() -> bool:
        return (await lively.known()).keys() == there

    with (
        mounted("--bind", films / "one" / "own", films / "two" / "bound"),
        mounted("--bind", films / "two" / "own", films / "one" / "bound"),
    ):
        await lively.add(films)
        await lively.until_live()
        await until(known, 10)
        write(films / "one" / "bound" / "new", b"by another name")
        write(films / "two" / "bound" / "new", b"by another name")
        there |= {b"one/own/new", b"two/own/new"}
        await until(known, 10)
        assert watches() == 5
    assert await lively.events(DriftFound) == []


@pytest.mark.system("mount")
@pytest.mark.parametrize("when", ["before it is watched", "while it is watched"])
async def test_what_a_mount_hid_is_watched_as_soon_as_it_is_gone(
    lively: House, films: Path, when: str
) -> None:
    """Nothing within tells of that: the kernel's table does."""
    hidden, other = films / "hidden", films / "other"
    write(hidden / "below" / "film", b"hidden")
    write(other / "film", b"bound over it")
    if when == "while it is watched":
        await lively.add(films)
        await lively.until_live()
        await lively.until_agrees(films)
    with mounted("--bind", other, hidden):
        if when == "before it is watched":
            await lively.add(films)
            await lively.until_live()
        await until(lambda: watches() == 2, 10)
        write(hidden / "new", b"the other folder's")

        async def told() -> bool:
            return b"other/new" in await lively.known()

        await until(told, 10)
    await lively.until_agrees(films)
    write(hidden / "below" / "newer", b"newer")
    await lively.until_agrees(films)
    assert watches() == 4
    assert await lively.events(DriftFound) == []


@pytest.mark.system("mount")
async def test_a_root_that_is_unmounted_is_missed_at_once_and_watched_when_it_comes_back(
    lively: House, films: Path
) -> None:
    """A folder that is bound somewhere goes without a word: its disk is mounted still."""
    write(films / "film", b"film")
    twin = films.parent / "twin"
    twin.mkdir()
    with mounted("--bind", films, twin):
        await lively.add(twin, "twin")
        await lively.until_live("twin")
        await until(lambda: lively.agrees(twin, "twin"), 10)

    async def missing() -> bool:
        return (await lively.library("twin")).state == "missing"

    await until(missing, 10)
    assert (await lively.library("twin")).files == 1
    with mounted("--bind", films, twin):
        await lively.until_live("twin")
        write(films / "new", b"new")
        await until(lambda: lively.agrees(twin, "twin"), 10)


@pytest.mark.system("mount")
async def test_another_folder_that_is_bound_over_the_root_is_watched(
    lively: House, films: Path
) -> None:
    other = films.parent / "other"
    write(films / "film", b"film")
    write(other / "another", b"another")
    await lively.add(films)
    await lively.until_live()
    with mounted("--bind", other, films):
        await lively.until_agrees(films)
        write(other / "new", b"new")
        await lively.until_agrees(films)
    await lively.until_agrees(films)
    write(films / "newer", b"newer")
    await lively.until_agrees(films)
