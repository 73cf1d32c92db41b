"""What cannot be looked at now is not told as if it had been."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.assets import LibraryName, ListAssets, ListedAsset
from engine.contract.base import PathRef
from engine.contract.errors import Failed
from engine.contract.listing import ExportAssets
from engine.contract.traits import AssetDetail, ShowAsset
from engine.media.walk import Walker
from tests.fakes.waiting import until
from tests.unit.media.house import House, write
from tests.unit.media.test_hazards import mortal


async def rows(house: House, **asked: Any) -> dict[str, ListedAsset]:
    page = await house.door.call(media.LIST, ListAssets(**asked))
    return {asset.path.display: asset for asset in page.assets}


async def show(house: House, path: bytes) -> AssetDetail:
    request = ShowAsset(library="films", path=PathRef.of(path))
    return await house.door.call(media.SHOW, request)


async def test_files_of_a_library_that_is_away_are_unreachable_and_say_since_when(
    house: House, films: Path, tmp_path: Path
) -> None:
    write(films / "film", b"1")
    write(films.parent / "other" / "copy", b"1")
    await house.add(films)
    await house.add(films.parent / "other", "other")
    await house.scan()
    await house.scan("other")
    seen = (await house.library()).last_scan_at
    films.rename(films.parent / "away")
    begun = datetime.now(UTC)
    for _ in range(2):  # Since the first time that it was missed.
        with pytest.raises(Failed):
            await house.scan()
    library = await house.library()
    assert library.since is not None
    assert begun <= library.since <= datetime.now(UTC)
    first = library.since
    with pytest.raises(Failed):
        await house.scan()
    assert (await house.library()).since == first

    listed = await rows(house)
    assert listed["film"].unreachable == "No such file or directory"
    assert listed["film"].seen_at == seen
    assert listed["copy"].unreachable == ""
    found = await show(house, b"film")
    assert found.unreachable is not None
    assert found.unreachable.place == PathRef.of(films)
    assert (found.unreachable.since, found.unreachable.seen_at) == (first, seen)
    copy = await house.door.call(media.SHOW, ShowAsset(library="other", path=PathRef.of(b"copy")))
    assert (copy.unreachable, copy.copies[0].unreachable) == (None, True)

    [concern] = await house.ground.probes["media"]()
    assert (concern.severity, concern.since) == ("broken", first)
    assert concern.text == (
        f"{films} is not there since {first:%Y-%m-%d %H:%M} UTC (No such file or directory):"
        " mount its disk, or put the folder back; it is looked for again by itself"
    )
    target = tmp_path / "list.jsonl"
    await house.door.run(media.EXPORT, ExportAssets(path=PathRef.of(target)))
    told = [json.loads(line) for line in target.read_text().splitlines()]
    assert {row["path"]: row["state"] for row in told} == {"film": "unreachable", "copy": "sound"}

    (films.parent / "away").rename(films)
    await house.scan()
    assert (await rows(house))["film"].unreachable == ""
    assert (await show(house, b"film")).unreachable is None
    assert (await house.library()).since is None
    assert await house.ground.probes["media"]() == []


async def test_files_below_a_folder_that_cannot_be_read_are_unreachable(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "closed" / "below" / "film")
    write(films / "closed.txt")
    write(films / "listed" / "film")
    await house.add(films)
    with mortal(tmp_path, monkeypatch):
        await house.room._workers.close()
        await house.scan()
        seen = (await house.library()).last_scan_at
        (films / "closed").chmod(0)
        (films / "listed").chmod(0o444)
        try:
            await house.scan()
            since = [
                place.since for place in house.room._indexers["films"].shelf.unseen.places.values()
            ]
            await house.scan()
        finally:
            (films / "closed").chmod(0o755)
            (films / "listed").chmod(0o755)
        listed = await rows(house)
        assert {name: row.unreachable for name, row in listed.items()} == {
            "closed/below/film": "Permission denied",
            "closed.txt": "",
            "listed/film": "Permission denied",
        }
        assert listed["closed/below/film"].seen_at == seen  # Not of the looks that saw nothing.
        assert (await house.library()).unseen == 2
        found = await show(house, b"listed/film")
        assert found.unreachable is not None
        assert found.unreachable.place == PathRef.of(films / "listed")
        [concern] = await house.ground.probes["media"]()
        assert (concern.severity, concern.since) == ("unknown", min(since))
        assert concern.text == (
            f"{films / 'closed'} and 1 more cannot be read since {min(since):%Y-%m-%d %H:%M} UTC"
            " (Permission denied): let the engine's user read it; arcanum media scan films reads"
            " it again"
        )
        # A look at the place alone is enough.
        await house.room.refresh("films", [b"closed"])
        listed = await rows(house)
        assert (listed["closed/below/film"].unreachable, (await house.library()).unseen) == ("", 1)
        await house.scan()
    assert not [row for row in (await rows(house)).values() if row.unreachable]
    assert await house.ground.probes["media"]() == []


async def test_what_happens_while_it_is_watched_is_told_without_a_scan(
    lively: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "closed" / "film")
    with mortal(tmp_path, monkeypatch):
        await lively.room._workers.close()
        await lively.add(films)
        await lively.until_live()
        (films / "closed").chmod(0)

        async def away() -> bool:
            return bool((await rows(lively))["closed/film"].unreachable)

        async def there() -> bool:
            return not await away()

        try:
            await until(away, 10)
        finally:
            (films / "closed").chmod(0o755)
        await until(there, 10)


async def test_a_removed_library_leaves_no_places(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "closed" / "film")
    await house.add(films)
    with mortal(tmp_path, monkeypatch):
        await house.room._workers.close()
        await house.scan()
        (films / "closed").chmod(0)
        try:
            await house.scan()
        finally:
            (films / "closed").chmod(0o755)
    catalogue = house.ground.catalogue
    assert len(await catalogue.read("SELECT * FROM unseen")) == 1
    await house.door.call(media.REMOVE, LibraryName(library="films"))

    async def forgotten() -> bool:
        return not await catalogue.read("SELECT * FROM unseen")

    await until(forgotten, 10)


def test_so_many_places_are_remembered_and_no_more(tmp_path: Path) -> None:
    walker = Walker(os.open(tmp_path, os.O_RDONLY), tmp_path.stat().st_dev, b"skip")
    with suppress(OSError):
        for number in range(3000):
            error = PermissionError(13, "Permission denied")
            [*walker._unseen(b"%d/x" % number, error, folder=True)]
        os.close(walker.root_fd)
    assert (walker.unreadable, len(walker.unseen), len(walker.problems)) == (3000, 1000, 20)
    walker.add(1, 0, [], {b"more": "why"})
    assert (walker.unreadable, len(walker.unseen)) == (3001, 1000)
