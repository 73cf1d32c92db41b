"""A file that is there and cannot be read says so, with the reason; it is not called damaged."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract import media
from engine.contract.assets import AssetState, ListAssets
from engine.contract.base import PathRef
from engine.contract.copies import AskDuplicates
from engine.contract.integrity import VerifyLibrary
from engine.contract.listing import AskFacets
from engine.contract.traits import AssetDetail, ShowAsset
from engine.media.looking import at_ease
from tests.fakes.door import JobDouble
from tests.unit.media.house import House, write
from tests.unit.media.integrity.asking import damaged, told
from tests.unit.media.integrity.test_damage import failing_disk
from tests.unit.media.test_hazards import mortal


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that the modes of files bind."""
    with mortal(tmp_path, monkeypatch):
        yield


async def states(house: House) -> dict[str, int]:
    [facet] = (
        await house.door.call(media.FACETS, AskFacets(library="films", facets=("state",)))
    ).facets
    return {value.value: value.files for value in facet.values}


async def listed(house: House, state: AssetState) -> list[bytes]:
    return [asset.path.data for asset in await house.assets(state=(state,))]


async def shown(house: House, path: bytes) -> AssetDetail:
    return await house.door.call(media.SHOW, ShowAsset(library="films", path=PathRef.of(path)))


@pytest.mark.usefixtures("bound")
async def test_a_new_file_that_cannot_be_read(house: House, films: Path) -> None:
    write(films / "open", b"open")
    write(films / "closed", b"closed")
    os.link(films / "closed", films / "other name")
    (films / "closed").chmod(0)
    await house.add(films)
    for _ in range(2):  # Told once, however often it is tried.
        await house.scan()
        assert await states(house) == {"sound": 1, "unreadable": 2}
        assert await listed(house, "unreadable") == [b"closed", b"other name"]
        assert await listed(house, "pending") == await listed(house, "damaged") == []
        assert await told(house, b"closed") == [("unreadable", b"closed")]
    found = await shown(house, b"closed")
    assert (found.damage, found.reason) == ("unreadable", "Permission denied")
    assert found.asset.blake3 is None
    page = await house.door.call(media.LIST, ListAssets(library="films"))
    assert {a.path.data: a.damage for a in page.assets} == {
        b"closed": "unreadable", b"open": None, b"other name": "unreadable",
    }  # fmt: skip
    library = await house.library()
    assert (library.files, library.unreadable, library.unread, library.damaged) == (3, 2, 2, 0)
    # Nothing is known to be wrong with it: it is unknown, and that is all.
    assert await damaged(house) == []
    assert [one.severity for one in await house.ground.probes["media"]()] == ["unknown"]


@pytest.mark.usefixtures("bound")
async def test_it_comes_right_when_it_can_be_read(house: House, films: Path) -> None:
    write(films / "closed", b"closed")
    (films / "closed").chmod(0)
    await house.add(films)
    await house.scan()
    (films / "closed").chmod(0o644)
    await house.scan()
    assert await states(house) == {"sound": 1}
    found = await shown(house, b"closed")
    assert (found.damage, found.reason) == (None, "")
    library = await house.library()
    assert (library.unreadable, library.unread, library.note) == (0, 0, "")
    assert await house.agrees(films)


async def test_it_comes_right_though_it_is_as_it_was(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that failed reads again; the file itself is what it was."""
    write(films / "bad", b"bytes")
    await house.add(films)
    await house.room._workers.close()
    with failing_disk(tmp_path, monkeypatch):
        await house.scan()
    async with house.room._indexers["films"]._hashing:  # It is tried again by itself, too.
        await house.room._workers.close()
    assert await states(house) == {"unreadable": 1}
    assert (await shown(house, b"bad")).reason == "Input/output error"
    await house.scan()
    assert await states(house) == {"sound": 1}


@pytest.mark.usefixtures("bound")
async def test_a_file_that_could_be_read_before(house: House, films: Path) -> None:
    """It keeps what was known of it, for when it can be read again."""
    write(films / "film", b"film")
    await house.add(films)
    await house.scan()
    (films / "film").chmod(0)
    await house.scan()
    assert await states(house) == {"unreadable": 1}
    assert await told(house, b"film") == [("changed", b"film"), ("unreadable", b"film")]
    (films / "film").chmod(0o644)
    await house.scan()
    assert await states(house) == {"sound": 1}
    assert await told(house, b"film") == [("unreadable", b"film")]


@pytest.mark.usefixtures("bound")
async def test_what_is_tried_anew_waits(house: House, films: Path) -> None:
    """Its permissions changed: what was said of it before says nothing now."""
    write(films / "closed", b"closed")
    (films / "closed").chmod(0)
    await house.add(films)
    await house.scan()
    (films / "closed").chmod(0o644)
    indexer = house.room._indexers["films"]
    async with indexer._looking:
        await indexer._look([b"closed"], at_ease, hashing=False)
    assert await states(house) == {"pending": 1}


@pytest.mark.usefixtures("bound")
async def test_what_was_only_touched_keeps_its_hash(house: House, films: Path) -> None:
    """Whoever may not read it now knows still what it was, and that nobody looked since."""
    write(films / "film", b"film")
    write(films / "sub" / "copy", b"film")
    write(films / "other", b"else")
    await house.add(films)
    await house.scan()
    before = (await house.known())[b"film"].blake3
    (films / "film").chmod(0)
    job = JobDouble()
    for content in (b"read", b"read beside it"):
        write(films / "other", content)
        assert (await house.scan(job=job)).unreadable == 1
        found = await shown(house, b"film")
        assert (found.asset.blake3, found.checked_at) == (before, None)
        assert (found.damage, found.reason) == ("unreadable", "Permission denied")
        assert [copy.path.data for copy in found.copies] == [b"sub/copy"]
        assert await states(house) == {"sound": 2, "unreadable": 1}
        assert await told(house, b"film") == [("changed", b"film"), ("unreadable", b"film")]
        library = await house.library()
        assert (library.pending, library.unread, library.unreadable) == (1, 1, 1)
    page = await house.door.call(media.DUPLICATES, AskDuplicates())
    assert (page.totals.groups, page.totals.frees, page.pending) == (1, 0, 0)
    [group] = page.groups
    assert {copy.path.data: copy.damage for copy in group.copies} == {
        b"film": "unreadable", b"sub/copy": None,
    }  # fmt: skip
    verified = await house.door.run(media.VERIFY, VerifyLibrary(library="films"))
    assert (verified.checked, verified.refused, verified.unread) == (2, 0, 1)
    known = await house.room.file("films", b"film")
    assert known is not None
    assert known.blake3 is None  # It was made of another identity: nobody relies on it.
    (films / "film").chmod(0o644)
    await house.scan()
    assert await states(house) == {"sound": 3}
    assert await told(house, b"film") == [("unreadable", b"film")]
    assert await house.agrees(films)


@pytest.mark.usefixtures("bound")
async def test_what_can_be_read_again_though_it_is_as_it_was(house: House, films: Path) -> None:
    """The folder above it was closed to whoever scans: nothing of the file itself moves then."""
    write(films / "film", b"film")
    await house.add(films)
    await house.scan()
    (films / "film").chmod(0)
    await house.scan()
    await house.room._workers.close()
    with pytest.MonkeyPatch.context() as free:
        free.setattr(sys, "executable", str(Path(sys.prefix) / "bin" / "python"))
        await house.scan()
        await house.room._workers.close()
    assert await states(house) == {"sound": 1}
    assert await told(house, b"film") == [("unreadable", b"film")]
    assert await house.agrees(films)


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("first", ["touched", "edited"])
async def test_what_was_edited_keeps_no_hash(house: House, films: Path, first: str) -> None:
    write(films / "film", b"film")
    await house.add(films)
    await house.scan()
    if first == "touched":
        (films / "film").chmod(0)
        await house.scan()
    write(films / "film", b"edited")
    (films / "film").chmod(0)
    await house.scan()
    (films / "film").chmod(0o200)
    await house.scan()
    found = await shown(house, b"film")
    assert (found.asset.blake3, found.damage) == (None, "unreadable")
    (films / "film").chmod(0o644)
    await house.scan()
    assert await states(house) == {"sound": 1}
    assert ("changed", b"film") in await told(house, b"film")
    assert await house.agrees(films)
