"""The first look at a library is a scan that is a job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.contract import media
from engine.contract.call import ActorKind
from engine.contract.errors import Busy
from engine.contract.media import LibraryScanned
from engine.home import Home
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.conftest import SOON
from tests.unit.media.house import House, housed, reading, sparse, write


async def begun(house: House, count: int = 1) -> JobDouble:
    """The job of a first look, once it is there."""
    await until(lambda: len(house.jobs.started) >= count, 10)
    return house.jobs.started[count - 1]


async def test_a_new_library_is_read_by_one_job_that_tells_how_far_it_is(
    lively: House, films: Path
) -> None:
    for number in range(20):
        write(films / str(number))
    await lively.add(films)
    job = await begun(lively)
    await lively.jobs.tasks[0]
    assert job.call.actor.kind is ActorKind.SCHEDULE
    assert job.told[-1] == (20, 20, "files", "")
    assert (await lively.events(LibraryScanned))[-1].result.added == 20
    await lively.until_live()
    write(films / "new")  # What comes later is followed without another.
    await lively.until_agrees(films)
    assert len(lively.jobs.started) == 1


async def test_a_first_look_is_paused_and_no_second_scan_goes_on_beside_it(
    lively: House, films: Path
) -> None:
    write(films / "film")
    lively.jobs.pausing = True
    await lively.add(films)
    job = await begun(lively)
    await until(lambda: job.waits == 1, 10)
    with pytest.raises(Busy, match="job 100"):
        await lively.door.run(media.SCAN, media.SCAN.request(library="films"))
    await until(lambda: lively.room._indexers["films"].shelf.watch == "live", 10)
    assert (await lively.library()).files == 0
    job.resume()
    await lively.until_agrees(films)
    assert len(lively.jobs.started) == 1


async def test_a_first_look_that_is_stopped_does_not_go_on_by_itself(
    lively: House, films: Path
) -> None:
    sparse(films / "huge")
    await lively.add(films)
    job = await begun(lively)
    await reading(job)
    job.cancel()
    await asyncio.wait(lively.jobs.tasks)
    indexer = lively.room._indexers["films"]
    write(films / "told")  # Events are followed; what waits for its hash goes on waiting.
    await until(lambda: indexer.shelf.numbers.files == 2, 10)
    assert not indexer._hashing.locked()
    assert len(lively.jobs.started) == 1
    (films / "huge").unlink()
    await lively.scan()
    assert await lively.agrees(films)


async def test_a_first_look_that_an_end_broke_off_goes_on_as_one(home: Home, films: Path) -> None:
    """Also when all files had been met, and only some were still to be hashed."""
    sparse(films / "huge")
    async with housed(home, SOON) as house:
        await house.add(films)
        await reading(await begun(house))
    async with housed(home, SOON) as house:
        await reading(await begun(house))
        (films / "huge").unlink()
        write(films / "film")
        house.jobs.tasks[0].cancel()
    async with housed(home, SOON) as house:
        await begun(house)
        await house.until_agrees(films)
        await house.jobs.tasks[0]
    async with housed(home, SOON) as house:
        await house.until_live()
        assert house.jobs.started == []


async def test_an_engine_that_is_there_for_one_command_starts_no_job(
    home: Home, films: Path
) -> None:
    """It would wait for that job to end."""
    write(films / "film")
    async with housed(home, SOON) as house:
        house.ground.lasting = False
        await house.add(films)
        await house.until_live()
        assert house.jobs.started == []
        assert await house.agrees(films)


async def test_a_root_that_is_away_is_looked_for_without_a_job_each_time(
    home: Home, films: Path
) -> None:
    write(films / "film")
    async with housed(home, replace(SOON, first=3600)) as house:
        await house.add(films)
    films.rename(films.parent / "away")
    async with housed(home, SOON) as house:
        looks = house.room._indexers["films"]

        async def missed() -> bool:
            return (await house.library()).state == "missing"

        await until(missed, 10)
        before = looks._due
        await until(lambda: looks._due > before, 10)
        assert house.jobs.started == []
        (films.parent / "away").rename(films)
        await house.until_agrees(films)
        assert len(house.jobs.started) == 1
