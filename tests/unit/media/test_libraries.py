"""Naming folders as libraries, and forgetting them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.contract import assets, media
from engine.contract.assets import LibraryName
from engine.contract.base import PathRef
from engine.contract.errors import Invalid, NotFound, Refused
from engine.contract.media import LibraryAdded, LibraryRemoved
from engine.home import Home
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER
from tests.unit.media.house import House, housed, sparse, write


async def test_a_library_takes_its_folders_name(house: House, films: Path) -> None:
    library = await house.add(films)
    assert (library.name, library.path.data) == ("films", os.fsencode(films))
    assert (library.machine, library.state) == ("nas", "ok")
    assert await house.libraries() == [library]
    assert [event.library for event in await house.events(LibraryAdded)] == ["films"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [(b"-- films", "films"), (b"\xff\n", "\\xff\\n"), (b"\xe2\x80\xaefdp", "\\u202efdp")],
)
async def test_a_strange_folder_gets_a_valid_name(
    house: House, tmp_path: Path, folder: bytes, name: str
) -> None:
    path = os.fsencode(tmp_path) + b"/" + folder
    write(path + b"/film")
    library = await house.add(path)
    assert LibraryName(library=library.name).library == name
    assert (await house.scan(name)).files == 1


async def test_a_path_is_made_absolute_and_free_of_links(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (films.parent / "link").symlink_to(films)
    monkeypatch.chdir(films.parent)
    library = await house.add(Path("link/../link"), "mine")
    assert library.path.data == os.fsencode(films)


@pytest.mark.parametrize("path", ["/", "/nowhere/at/all", "/etc/hostname", "/dev/null"])
async def test_what_cannot_be_a_library(house: House, path: str) -> None:
    with pytest.raises(Refused, match="cannot be a library"):
        await house.add(Path(path))
    assert await house.libraries() == []


async def test_the_home_of_our_own_data_is_none(house: House, home: Home) -> None:
    for path in (home.data, home.data.parent, home.data.parent.parent, home.runtime):
        with pytest.raises(Refused, match="Arcanum's own data"):
            await house.add(path)


@pytest.mark.parametrize("raw", ["", "AA==", "not base64!"])
async def test_a_path_that_is_none(house: House, raw: str) -> None:
    request = assets.AddLibrary(path=PathRef(display="x", raw=raw))
    with pytest.raises(Invalid):
        await house.door.call(media.ADD, request)


async def test_folders_and_names_are_taken_once(house: House, films: Path) -> None:
    other = films.parent / "other"
    other.mkdir()
    (films.parent / "films and more").mkdir()
    await house.add(films)
    with pytest.raises(Refused, match="a library already: films"):
        await house.add(films, "again")
    with pytest.raises(Refused, match="a library films already"):
        await house.add(other, "films")
    await house.add(films.parent / "films and more")
    tries = [house.add(other, name) for name in ("x", "y", "z")]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(answer, assets.Library) for answer in answers) == 1


async def test_removing_forgets_and_touches_no_file(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    left = await house.door.call(media.REMOVE, LibraryName(library="films"))
    assert left.libraries == ()
    assert (films / "film").exists()
    assert [event.library for event in await house.events(LibraryRemoved)] == ["films"]
    with pytest.raises(NotFound):
        await house.library()

    async def forgotten() -> bool:
        rows = await house.ground.catalogue.read("SELECT count(*) FROM file")
        return rows[0][0] == 0

    await until(forgotten)
    await house.add(films)
    assert (await house.scan()).added == 1
    assert await house.agrees(films)


async def test_removing_ends_a_scan(house: House, films: Path) -> None:
    sparse(films / "huge")
    await house.add(films)
    scan, _job = await house.reads()
    await house.door.call(media.REMOVE, LibraryName(library="films"))
    with pytest.raises(Refused, match="no library any more"):
        await scan


async def test_libraries_and_what_is_known_of_them_survive(home: Home, films: Path) -> None:
    write(films / "film")
    async with housed(home, NEVER) as house:
        await house.add(films)
        await house.scan()
        before = await house.library()
    async with housed(home, NEVER) as house:
        assert await house.libraries() == [before]
        assert (await house.scan()).hashed == 0


async def test_a_catalogue_that_was_thrown_away_is_read_again(home: Home, films: Path) -> None:
    write(films / "film")
    async with housed(home, NEVER) as house:
        await house.add(films)
        await house.scan()
    for part in home.data.glob("catalogue.db*"):
        part.unlink()
    async with housed(home, NEVER) as house:
        assert (await house.library()).files == 0
        assert (await house.scan()).hashed == 1


async def test_a_catalogue_of_other_libraries_is_not_believed(home: Home, films: Path) -> None:
    """The state database was put back or made anew: the same id is another folder now."""
    write(films / "film")
    other = films.parent / "other"
    write(other / "only this")
    async with housed(home, NEVER) as house:
        await house.add(films)
        await house.scan()
    for part in home.data.glob("arcanum.db*"):
        part.unlink()
    async with housed(home, NEVER) as house:
        assert await house.libraries() == []
        await house.add(other)
        await house.scan("other")
        assert set(await house.known("other")) == {b"only this"}
        assert await house.agrees(other, "other")
