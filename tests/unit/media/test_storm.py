"""Random changes to a library that is watched: once it rests, the catalogue is the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract import media
from engine.contract.assets import LibraryName
from engine.contract.media import DriftFound
from engine.home import Home
from tests.fakes.waiting import until
from tests.unit.media.conftest import SOON
from tests.unit.media.house import House, housed, on_disk, write

NESTED = Path("deep", "within")
"""Where another library begins: no act happens to this place itself, all of them around it and in
it."""

Act = Callable[[Path, Path], None]

PARTS = st.sampled_from(["a", "b", "c d", "\udcff", "\n", "ä"])
PLACES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
EITHER = st.one_of(PLACES, PLACES.map(lambda place: f"{NESTED}/{place}"))
CONTENTS = st.sampled_from([b"", b"x", b"y", b"z" * 200_000])


def _write(place: str, content: bytes) -> Act:
    return lambda root, _outside: write(root / place, content)


def _rename(old: str, new: str) -> Act:
    """Within a folder or to another, over what is there, folders with all that is in them."""

    def act(root: Path, _outside: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return act


def _link(old: str, new: str) -> Act:
    def act(root: Path, _outside: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        os.link(root / old, root / new)

    return act


def _remove(place: str) -> Act:
    def act(root: Path, _outside: Path) -> None:
        if (root / place).is_dir():
            shutil.rmtree(root / place)
        else:
            (root / place).unlink()

    return act


def _out(place: str) -> Act:
    def act(root: Path, outside: Path) -> None:
        (root / place).rename(outside / f"{len(list(outside.iterdir()))}")

    return act


def _in(place: str) -> Act:
    """What was taken out before comes back, somewhere."""

    def act(root: Path, outside: Path) -> None:
        found = min(outside.iterdir(), default=None)
        if found is not None:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            found.rename(root / place)

    return act


def _storm(place: str, folders: int) -> Act:
    """Many folders at once, each with a file at its end."""

    def act(root: Path, _outside: Path) -> None:
        for number in range(folders):
            write(root / place / f"s{number % 3}" / f"t{number}" / "u" / "file", b"%d" % number)

    return act


def acts(places: st.SearchStrategy[str]) -> st.SearchStrategy[Act]:
    return st.one_of(
        st.builds(_write, places, CONTENTS),
        st.builds(_write, places, CONTENTS),
        st.builds(_rename, places, places),
        st.builds(_link, places, places),
        st.builds(_remove, places),
        st.builds(_out, places),
        st.builds(_in, places),
        st.builds(_storm, places, st.integers(1, 40)),
    )


def bursts(places: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[Act]]]:
    return st.lists(st.lists(acts(places), min_size=1, max_size=15), min_size=1, max_size=4)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(bursts(PLACES))
def test_the_catalogue_is_the_disk(weather: list[list[Act]]) -> None:
    with TemporaryDirectory(prefix="arc-") as folder:
        asyncio.run(_weather(Path(folder), weather, nested=False))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(bursts(EITHER))
def test_the_catalogue_is_the_disk_where_a_library_lies_in_another(
    weather: list[list[Act]],
) -> None:
    with TemporaryDirectory(prefix="arc-") as folder:
        asyncio.run(_weather(Path(folder), weather, nested=True))


async def _weather(folder: Path, weather: list[list[Act]], *, nested: bool) -> None:
    """With ``nested`` a library begins within after the first burst, and is none before the last
    but one: its files go there and back while more happens."""
    root, outside = folder / "films", folder / "outside"
    (root / NESTED).mkdir(parents=True)
    outside.mkdir()
    inner: tuple[Path, ...] = ()
    async with housed(Home(folder / "config.toml", folder / "data", folder / "run"), SOON) as house:
        await house.add(root)
        await house.until_live()
        for number, burst in enumerate(weather):
            for act in burst:
                with suppress(OSError):  # Not every act is possible where things are.
                    act(root, outside)
                await asyncio.sleep(0)
            if nested and number == 0:
                await house.add(root / NESTED, "inner")
                inner = (root / NESTED,)
            elif inner and number == 2:
                await house.door.call(media.REMOVE, LibraryName(library="inner"))
                inner = ()
            await until(partial(_same, house, root, *inner), 30)
        await _rests(house)


async def _same(house: House, root: Path, *inner: Path) -> bool:
    """Whether the catalogue is the disk, down to the identity of every file."""
    return await _is(house, root, "films", *inner) and all(
        [await _is(house, within, "inner") for within in inner]
    )


async def _is(house: House, root: Path, name: str, *inner: Path) -> bool:
    rows = await house.ground.catalogue.read(
        "SELECT path, ino, mtime_ns, ctime_ns, nlink FROM file WHERE library = ?",
        (house.room._indexers[name].shelf.stored.id,),
    )
    known = {row["path"]: tuple(row)[1:] for row in rows}
    there = {
        path: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink)
        for path, (status, _blake3) in on_disk(root, *inner).items()
    }
    return known == there and await house.agrees(root, name, *inner)


async def _rests(house: House) -> None:
    """Reading everything again finds nothing new, and nothing was missed."""
    for library in await house.libraries():
        result = await house.scan(library.name)
        assert (result.added, result.changed, result.moved, result.removed) == (0, 0, 0, 0)
    assert await house.events(DriftFound) == []
    rows = await house.ground.catalogue.read(
        "SELECT 1 FROM file WHERE first_seen_at > seen_at OR checked_at IS NULL OR damage <> ''"
        " UNION ALL SELECT 1 FROM history WHERE note <> ''"
    )
    assert rows == []


async def test_a_link_that_comes_or_goes_is_told_of_every_name(lively: House, films: Path) -> None:
    """The kernel tells of the name that is made or removed; the file changes under all others."""
    write(films / "a" / "film", b"bytes")
    write(films / "b" / "other", b"bytes")
    await lively.add(films)
    await lively.until_live()
    os.link(films / "a" / "film", films / "b" / "link")
    await until(lambda: _same(lively, films), 10)
    (films / "b" / "link").unlink()
    await until(lambda: _same(lively, films), 10)
    await _rests(lively)


async def test_a_link_that_comes_or_goes_is_told_in_other_libraries(
    lively: House, films: Path
) -> None:
    inner = films / NESTED
    write(films / "film", b"bytes")
    write(inner / "other", b"more bytes")
    await lively.add(films)
    await lively.add(inner, "inner")
    await lively.until_live()
    await lively.until_live("inner")
    os.link(films / "film", inner / "a link")
    os.link(inner / "other", films / "a link")
    await until(lambda: _same(lively, films, inner), 10)
    (inner / "a link").unlink()
    (films / "a link").unlink()
    await until(lambda: _same(lively, films, inner), 10)
    await _rests(lively)


async def test_more_links_than_are_named_are_all_looked_at(lively: House, films: Path) -> None:
    inner = films / NESTED
    inner.mkdir(parents=True)
    for number in range(2100):
        write(films / str(number))
    write(inner / "first")
    await lively.add(films)
    await lively.add(inner, "inner")
    await lively.until_live()
    await lively.until_live("inner")
    for number in range(2100):
        os.link(films / str(number), inner / f"{number}")
    await until(lambda: _same(lively, films, inner), 20)
    await _rests(lively)
