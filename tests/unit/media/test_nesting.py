"""Libraries in libraries: a file is the innermost one's, and what is known of it goes with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import media
from engine.contract.assets import Library, LibraryName
from engine.contract.errors import Cancelled, StoreFailed
from engine.home import Home
from engine.media import handover
from engine.media.nesting import Nesting
from engine.store import Database
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER
from tests.unit.media.house import House, housed, sparse, write

ROOTS = st.lists(
    st.lists(st.sampled_from([b"a", b"b", b"a b", b"\xff"]), min_size=1, max_size=4).map(
        lambda parts: b"/" + b"/".join(parts)
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(ROOTS, ROOTS)
def test_every_file_is_the_innermost_librarys(roots: list[bytes], files: list[bytes]) -> None:
    nesting = Nesting()
    for number, root in enumerate(roots):
        nesting.add(number, root)
    for file in files:
        around = [n for n, root in enumerate(roots) if file.startswith(root + b"/")]
        innermost = max(around, key=lambda n: len(roots[n]), default=None)
        for library in around:
            relative = file[len(roots[library]) + 1 :]
            within = any(
                relative == place or relative.startswith(place + b"/")
                for place in nesting.inner(library)
            )
            assert within == (file in roots or library != innermost)
            assert innermost is not None
            place = file[len(roots[innermost]) + 1 :]
            assert nesting.owner(library, relative) == (innermost, place)


async def remove(house: House, name: str) -> None:
    """Removes a library, and waits until nothing of it is left."""
    id_ = house.room._indexers[name].shelf.stored.id
    await house.door.call(media.REMOVE, LibraryName(library=name))

    async def left() -> bool:
        rows = await house.ground.catalogue.read("SELECT 1 FROM library WHERE id = ?", (id_,))
        return not rows and not house.room._places.busy

    await until(left, 20)


async def everything(house: House) -> list[Any]:
    """What is known of all files, but their places."""
    rows = await house.ground.catalogue.read(
        "SELECT file.id, blake3, first_seen_at, checked_at, surveyed, file.damage,"
        " (SELECT group_concat(what) FROM history WHERE history.file = file.id) AS history,"
        " (SELECT group_concat(origin) FROM source WHERE source.file = file.id) AS sources,"
        " (SELECT group_concat(type) FROM trait WHERE trait.file = file.id) AS traits,"
        " (SELECT group_concat(client) FROM claim WHERE claim.file = file.id) AS claims,"
        " (SELECT group_concat(kind) FROM digest WHERE digest.file = file.id) AS digests"
        " FROM file ORDER BY file.id"
    )
    return [tuple(row) for row in rows]


async def adorn(house: House, *, claims: bool = True) -> None:
    """Hangs something of each kind on every file. ``claims`` do not outlive their client."""

    async def work(tx: Any) -> None:
        await tx.execute(
            "INSERT INTO source (file, at, kind, origin, confidence)"
            " SELECT id, 1, 'url', 'https://example.org/' || id, 1 FROM file"
        )
        if claims:
            await tx.execute(
                "INSERT INTO claim (client, infohash, file, how)"
                " SELECT 'client', 'hash', id, 'path' FROM file"
            )
        await tx.execute("INSERT INTO digest (file, kind, value) SELECT id, 'md5', x'00' FROM file")
        await tx.execute(
            "INSERT INTO history (at, library, file, what, path, size, blake3)"
            " SELECT 1, library, id, 'moved', path, size, blake3 FROM file"
        )

    await house.ground.catalogue.write(work)
    await looked_into(house)


async def looked_into(house: House) -> None:
    async def all_are() -> bool:
        rows = await house.ground.catalogue.read("SELECT 1 FROM file WHERE surveyed = 0 LIMIT 1")
        return not rows

    await until(all_are, 20)


def family(films: Path) -> tuple[Path, Path]:
    """A folder in a folder of the films, and one in that; files in each."""
    inner = films / "in" / "ner"
    deep = inner / "de" / "ep"
    for folder in (films, films / "in", films / "inn", inner, inner / "de", deep, deep / "x"):
        for number in range(3):
            write(folder / f"file {number}", os.fsencode(folder) + b"%d" % number)
    write(os.fsencode(inner) + b"/\xff\n", b"odd")
    return inner, deep


async def test_a_library_within_takes_over_what_is_known(house: House, films: Path) -> None:
    inner, _deep = family(films)
    await house.add(films)
    await house.scan()
    await adorn(house)
    before = await everything(house)
    ids = {path: asset.id for path, asset in (await house.known()).items()}
    await house.add(inner, "inner")
    result = await house.scan("inner")
    assert (result.files, result.added, result.removed, result.hashed) == (13, 0, 0, 0)
    assert await house.agrees(inner, "inner")
    assert await house.agrees(films, "films", inner)
    assert await everything(house) == before
    for path, asset in (await house.known("inner")).items():
        assert asset.id == ids[b"in/ner/" + path]
    assert [a.path.data for a in await house.assets("inner", filter="\\XFF")] == [b"\xff\n"]
    result = await house.scan()
    assert (result.added, result.removed, result.moved, result.hashed) == (0, 0, 0, 0)
    rows = await house.ground.catalogue.read(
        "SELECT 1 FROM history JOIN file ON file.id = history.file"
        " WHERE (history.library, history.path) <> (file.library, file.path)"
    )
    assert rows == []


async def test_a_library_around_another_leaves_it_alone(house: House, films: Path) -> None:
    inner, deep = family(films)
    await house.add(deep, "deep")
    await house.scan("deep")
    await house.add(films)
    assert (await house.scan()).files == 16
    await house.add(inner, "inner")
    await house.scan("inner")
    assert (await house.scan("deep")).added == 0
    assert await house.agrees(deep, "deep")
    assert await house.agrees(inner, "inner", deep)
    assert await house.agrees(films, "films", inner)
    (inner / "file 0").rename(films / "file of mine")
    (films / "file 0").rename(deep / "file of yours")
    for name in ("deep", "films", "inner"):
        await house.scan(name)
    rows = await house.ground.catalogue.read("SELECT what FROM history")
    assert [row["what"] for row in rows] == ["moved", "moved"]
    assert await house.agrees(deep, "deep")
    assert await house.agrees(inner, "inner", deep)
    assert await house.agrees(films, "films", inner)


async def test_removing_one_within_gives_its_files_back(house: House, films: Path) -> None:
    inner, deep = family(films)
    await house.add(films)
    await house.add(inner, "inner")
    await house.add(deep, "deep")
    for name in ("films", "inner", "deep"):
        await house.scan(name)
    await adorn(house)
    before = await everything(house)
    await remove(house, "inner")  # The one in the middle.
    assert (await house.scan()).hashed == 0
    assert await house.agrees(films, "films", deep)
    assert await house.agrees(deep, "deep")
    await remove(house, "deep")
    assert (await house.scan()).hashed == 0
    assert await house.agrees(films)
    assert await everything(house) == before
    await remove(house, "films")
    assert await everything(house) == []


async def test_removing_the_one_around_keeps_those_within(house: House, films: Path) -> None:
    inner, _deep = family(films)
    await house.add(films)
    await house.scan()
    await house.add(inner, "inner")
    await house.scan("inner")
    await remove(house, "films")
    assert await house.agrees(inner, "inner")
    assert (await house.scan("inner")).hashed == 0


async def test_of_a_library_added_again_nothing_is_lost(house: House, films: Path) -> None:
    """While it is being forgotten, its files are those of the new one at its place."""
    family(films)
    await house.add(films)
    await house.scan()
    await looked_into(house)
    before = await everything(house)
    async with asyncio.timeout(10), house.room._indexers["films"]._looking:
        removing = house.door.call(media.REMOVE, LibraryName(library="films"))
        await removing
        await house.add(films, "again")
    await until(lambda: not house.room._places.busy, 10)
    assert (await house.scan("again")).hashed == 0
    assert await everything(house) == before
    assert await house.agrees(films, "again")


@pytest.mark.parametrize("written", range(1, 9))
@pytest.mark.parametrize("way", ["in", "out"])
async def test_what_was_cut_off_goes_on(
    home: Home, films: Path, monkeypatch: pytest.MonkeyPatch, way: str, written: int
) -> None:
    """The engine dies after so many steps."""
    inner, _deep = family(films)
    monkeypatch.setattr(handover, "STEP", 3)
    monkeypatch.setattr(handover, "HAPPENINGS", 4)
    left = written

    async def dying(database: Database, work: Any) -> Any:
        nonlocal left
        if getattr(getattr(work, "func", None), "__module__", "") == handover.__name__:
            left -= 1
            if left < 0:
                raise StoreFailed("The power is cut.")
        return await Database.write(database, work)

    async with housed(home, NEVER) as house:
        await house.add(films)
        await house.scan()
        if way == "out":
            await house.add(inner, "inner")
            await house.scan("inner")
        await adorn(house, claims=False)
        before = await everything(house)
        with monkeypatch.context() as patch:
            database = house.ground.catalogue
            patch.setattr(database, "write", lambda work: dying(database, work))
            if way == "in":
                await house.add(inner, "inner")
                with pytest.raises(StoreFailed):
                    await house.scan("inner")
            else:
                await house.door.call(media.REMOVE, LibraryName(library="inner"))
                await until(lambda: not house.room._places.busy)
        # Whoever looks meanwhile neither takes nor loses anything.
        assert (await house.scan()).removed == 0
        assert await everything(house) == before
    async with housed(home, NEVER) as house:
        await until(lambda: not house.room._places.busy)
        names: list[str] = [library.name for library in await house.libraries()]
        assert names == (["films", "inner"] if way == "in" else ["films"])
        for name in names:
            assert (await house.scan(name)).hashed == 0
        assert await everything(house) == before
        assert await house.agrees(films, "films", *([inner] if way == "in" else []))
        if way == "in":
            assert await house.agrees(inner, "inner")


async def test_of_two_rows_the_one_with_a_history_stays(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it came that both libraries know a file."""
    inner, _deep = family(films)
    await house.add(films)
    await house.scan()
    await looked_into(house)
    before = await everything(house)

    async def nothing(_library: Any) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(house.room._handover, "settle", nothing)
        await house.add(inner, "inner")
        await house.scan("inner")
    assert (await house.scan("inner")).hashed == 0
    assert await everything(house) == before
    assert await house.agrees(inner, "inner")
    assert await house.agrees(films, "films", inner)


async def test_a_scan_that_goes_on_takes_nothing_of_a_new_library(
    house: House, films: Path
) -> None:
    """It began before that was one, and meets its files."""
    for number in range(3000):
        write(films / f"{number % 30}" / str(number), b"%d" % number)
    await house.add(films)
    job = JobDouble()
    job.pause()
    scan = asyncio.create_task(house.scan(job=job))
    await until(lambda: job.waits == 1)
    await house.add(films / "7", "inner")
    job.resume()
    await scan
    assert (await house.scan("inner")).files == 100
    assert await house.agrees(films / "7", "inner")
    assert await house.agrees(films, "films", films / "7")


async def test_adding_one_within_does_not_wait_for_a_scan(house: House, films: Path) -> None:
    sparse(films / "huge")
    write(films / "sub" / "film")
    await house.add(films)
    scan, job = await house.reads()
    library: Library = await house.add(films / "sub")
    assert (await house.scan(library.name)).hashed == 0
    job.cancel()
    with pytest.raises(Cancelled):
        await scan


async def test_a_place_within_is_looked_at_for_its_own_library(house: House, films: Path) -> None:
    """As the trash asks for, when it gives a file back."""
    inner, _deep = family(films)
    await house.add(films)
    await house.add(inner, "inner")
    for name in ("films", "inner"):
        await house.scan(name)
    write(inner / "back", b"again")
    write(films / "too", b"this")
    await house.room.refresh("films", [b"in/ner/back", b"too"])
    assert await house.agrees(inner, "inner")
    assert await house.agrees(films, "films", inner)


async def test_the_trash_of_a_library_that_was_removed_is_no_media(
    house: House, films: Path
) -> None:
    inner, _deep = family(films)
    write(inner / ".arcanum-trash" / "1" / "film")
    await house.add(films)
    await house.add(inner, "inner")
    for name in ("films", "inner"):
        await house.scan(name)
    await remove(house, "inner")
    assert (await house.scan()).added == 0
    await house.room.refresh("films", [b"in/ner/.arcanum-trash/1/film"])
    assert not [path for path in await house.known() if b"trash" in path]
