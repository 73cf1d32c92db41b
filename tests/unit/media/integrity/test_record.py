"""What happened to files: first seen for ever, moves, changes, what went and came back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine.contract.errors import Failed, Invalid, NotFound
from engine.home import Home
from engine.media.integrity import record
from engine.store import Transaction
from tests.unit.media.conftest import SOON
from tests.unit.media.house import House, housed, write
from tests.unit.media.integrity.asking import column, history, told, verify


async def test_first_seen_stays_whatever_happens(house: House, films: Path) -> None:
    write(films / "film", b"first")
    await house.add(films)
    await house.scan()
    seen = await column(house, "first_seen_at", b"film")
    write(films / "film", b"changed")
    await house.scan()
    (films / "film").rename(films / "moved")
    await house.scan()
    os.utime(films / "moved", ns=(5, 5))
    await house.scan()
    assert await column(house, "first_seen_at", b"moved") == seen
    assert await told(house, b"moved") == [("changed", b"film"), ("moved", b"film")]
    changed = (await history(house, b"moved")).happenings[-1]
    assert (changed.size, changed.note) == (5, "")
    assert changed.blake3 != (await house.known())[b"moved"].blake3


async def test_touched_and_rewritten_the_same_is_no_change(house: House, films: Path) -> None:
    write(films / "film", b"the same")
    write(films / "large", b"x" * 500_000)
    await house.add(films)
    await house.scan()
    write(films / "film", b"the same")
    os.utime(films / "large", ns=(5, 5))
    assert (await house.scan()).changed == 2
    assert await told(house) == []


async def test_a_change_is_told_before_it_was_read(house: House, films: Path) -> None:
    """Hardlinked and large files are read later than they are met."""
    write(films / "film", b"first" * 100_000)
    os.link(films / "film", films / "linked")
    await house.add(films)
    await house.scan()
    write(films / "film", b"other" * 100_000)
    indexer = house.room._indexers["films"]
    await indexer._reader.look(None, hashing=False)
    assert [one.note for one in (await history(house)).happenings] == ["unread", "unread"]
    await house.scan()
    assert [one.note for one in (await history(house)).happenings] == ["", ""]
    os.utime(films / "film", ns=(5, 5))
    await indexer._reader.look(None, hashing=False)
    assert len((await history(house)).happenings) == 4
    await house.scan()
    assert len((await history(house)).happenings) == 2


async def test_what_goes_and_comes_back_is_the_same_file(house: House, films: Path) -> None:
    write(films / "film", b"unlike any other")
    write(films / "copy", b"not unique")
    write(films / "another", b"not unique")
    write(films / "empty", b"")
    await house.add(films)
    await house.scan()
    seen = await column(house, "first_seen_at", b"film")
    (films / "film").rename(films.parent / "film")
    (films / "copy").unlink()
    (films / "empty").unlink()
    await house.scan()
    gone = await history(house, b"film")
    assert (gone.file, [one.what for one in gone.happenings]) == (None, ["gone"])
    (films.parent / "film").rename(films / "back")
    write(films / "empty", b"")
    await house.scan()
    assert await column(house, "first_seen_at", b"back") == seen
    assert await told(house, b"back") == [("gone", b"film"), ("returned", b"film")]
    assert await told(house, b"another") == []
    assert await told(house, b"empty") == []


async def test_many_of_the_same_come_back_each_as_itself(house: House, films: Path) -> None:
    for number in range(30):
        write(films / "all" / f"{number:02}", b"alike" * 50_000)
    await house.add(films)
    await house.scan()
    seen = {name: await column(house, "first_seen_at", name) for name in await house.known()}
    (films / "all").rename(films.parent / "all")
    await house.scan()
    shutil.copytree(films.parent / "all", films / "all")
    await house.scan()
    for name, at in seen.items():
        assert await column(house, "first_seen_at", name) == at
        assert await told(house, name) == [("gone", name), ("returned", name)]


@pytest.mark.parametrize("looked", ["there first", "here first"])
async def test_a_move_from_one_library_to_another(
    house: House, films: Path, tmp_path: Path, looked: str
) -> None:
    write(films / "new" / "film", b"bytes" * 100_000)
    write(films / "new" / "linked", b"kept")
    os.link(films / "new" / "linked", films / "stays")
    shelf = tmp_path / "shelf"
    write(shelf / "other")
    await house.add(films)
    await house.add(shelf)
    await house.scan("films")
    await house.scan("shelf")
    seen = await column(house, "first_seen_at", b"new/film")
    (films / "new" / "film").rename(shelf / "film")
    if looked == "there first":
        assert (await house.scan("shelf")).moved == 1
        assert (await house.scan("films")).removed == 0
        assert await told(house, b"film", "shelf") == [("moved", b"new/film")]
    else:
        assert (await house.scan("films")).removed == 1
        assert (await house.scan("shelf")).added == 1
        assert [what for what, _ in await told(house, b"film", "shelf")] == ["gone", "returned"]
    [*_, last] = (await history(house, b"film", "shelf")).happenings
    assert last.library == "films"
    assert await column(house, "first_seen_at", b"film") == seen
    assert await house.agrees(films, "films")
    assert await house.agrees(shelf, "shelf")


async def test_a_library_that_is_away_loses_nothing_to_another(
    house: House, films: Path, tmp_path: Path
) -> None:
    write(films / "film", b"bytes")
    await house.add(films)
    await house.scan()
    films.rename(tmp_path / "renamed")
    await house.add(tmp_path / "renamed")
    assert (await house.scan("renamed")).added == 1
    with pytest.raises(Failed, match="is not there"):
        await house.scan("films")
    assert set(await house.known("films")) == {b"film"}


async def test_history_comes_in_pages(house: House, films: Path) -> None:
    for number in range(25):
        write(films / str(number), b"%d" % number)
    await house.add(films)
    await house.scan()
    for number in range(25):
        (films / str(number)).unlink()
    await house.scan()
    first = await history(house, limit=10)
    second = await history(house, limit=10, before=first.next)
    third = await history(house, limit=10, before=second.next)
    pages = [first, second, third]
    assert [len(page.happenings) for page in pages] == [10, 10, 5]
    assert len({one.id for page in pages for one in page.happenings}) == 25
    assert third.next is None


async def test_a_file_by_its_number_and_files_that_are_not(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    number = (await house.known())[b"film"].id
    found = (await history(house, id=number)).file
    assert found is not None
    assert found.path.data == b"film"
    with pytest.raises(NotFound, match="nothing"):
        await history(house, b"nothing")
    with pytest.raises(NotFound, match="999"):
        await history(house, id=999)
    with pytest.raises(Invalid):
        await history(house, b"film", id=number)
    with pytest.raises(NotFound, match="no library"):
        await history(house, name="other")


async def test_the_oldest_goes_first(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "KEPT", 20)
    monkeypatch.setattr(record, "STEP", 7)
    await house.add(films)
    for turn in range(6):
        for number in range(10):
            write(films / str(number), b"%d %d" % (turn, number))
        await house.scan()
    happenings = (await history(house)).happenings
    assert len(happenings) == 20
    rows = await house.ground.catalogue.read("SELECT max(id) AS last FROM history")
    assert happenings[0].id == rows[0]["last"] == 50


async def test_a_forgotten_library_leaves_no_history(home: Home, films: Path) -> None:
    write(films / "film")
    async with housed(home, SOON) as house:
        await house.add(films)
        await house.scan()
        (films / "film").unlink()
        await house.scan()
        await house.room._files.purge(1)
        assert await house.ground.catalogue.read("SELECT * FROM history") == []


async def test_a_disk_that_comes_back_under_another_number(house: House, films: Path) -> None:
    """As a removable disk does: nothing is read again, nothing has happened."""
    for number in range(50):
        write(films / str(number % 5) / str(number), b"%d" % number)
    await house.add(films)
    await house.scan()

    async def work(tx: Transaction) -> None:
        await tx.execute("UPDATE library SET dev = dev + 1000")
        await tx.execute("UPDATE file SET dev = dev + 1000")

    away = films.rename(films.parent / "away")
    with pytest.raises(Failed):
        await house.scan()
    await house.ground.catalogue.write(work)
    away.rename(films)
    result = await house.scan()
    assert (result.hashed, result.added, result.changed, result.removed) == (0, 0, 0, 0)
    assert await house.agrees(films)
    assert await told(house) == []
    assert (await verify(house)).intact == 50
