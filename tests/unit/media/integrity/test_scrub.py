"""The scrub: files are read again by themselves, evenly, and out of everybody's way."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import Config, MediaConfig
from engine.contract.media import DamageFound
from engine.home import Home
from engine.media.integrity.strain import MachineStrain
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER
from tests.unit.media.house import House, children, housed, sparse, write
from tests.unit.media.integrity.asking import column, damaged, put_checked, rot

SCRUBS = replace(NEVER, scrub=(0.05, 0.05))
DAY = 86_400


def config(**media: Any) -> Config:
    return Config(media=MediaConfig(**media))


async def ready(house: House, films: Path, ago_days: float) -> None:
    """Scanned, and as if that had been so long ago; it is not scrubbed until that is so."""
    house.strain.why = "not yet"
    await house.add(films)
    await house.scan()
    await put_checked(house, None, ago_days * DAY)


async def recent(house: House, path: bytes) -> bool:
    """Whether the file was read since it was put back."""
    return bool(await column(house, "checked_at > seen_at", path))


async def test_rot_is_found_by_itself(home: Home, films: Path) -> None:
    write(films / "film", b"good bytes")
    write(films / "copy", b"good bytes")
    async with housed(home, SCRUBS) as house:
        await ready(house, films, 31)
        await rot(house, films / "film")
        house.strain.why = ""
        await until(lambda: recent(house, b"copy"), 10)

        async def found() -> bool:
            return bool(await damaged(house))

        await until(found, 10)
        assert len(await house.events(DamageFound)) == 1
        await until(lambda: bool(house.room._indexers["films"].shelf.library.damaged), 10)


async def test_what_was_read_lately_is_read_little_by_little(home: Home, films: Path) -> None:
    """Nothing is due; a share of the whole is read all the same, the longest unchecked first."""
    for number in range(8):
        write(films / str(number), os.urandom(1000))
    # A round is two days after the last: a fifteenth of 8,000 bytes, and two of that make a file.
    async with housed(home, replace(NEVER, scrub=(3600, 2 * DAY))) as house:
        await ready(house, films, 10)
        await put_checked(house, b"5", 2 * DAY)
        await put_checked(house, b"3", DAY)
        house.strain.why = ""
        scrub, indexer = house.room._integrity._scrub, house.room._indexers["films"]
        read = []
        for _turn in range(4):
            scrub._last.clear()
            await scrub._round(indexer)
            read.append(
                [name for name in map(b"%d".__mod__, range(8)) if await recent(house, name)]
            )
        assert read == [[], [b"5"], [b"5"], [b"3", b"5"]]


async def test_it_waits_while_there_is_something_better_to_do(home: Home, films: Path) -> None:
    sparse(films / "huge", 300 * 1024**2)
    async with housed(home, SCRUBS, config=config(scrub_mib_s=20)) as house:
        await ready(house, films, 31)
        indexer = house.room._indexers["films"]
        workers = house.room._workers
        lent = []
        lend = workers.lend

        def counted() -> Any:
            lent.append(1)
            return lend()

        workers.lend = counted  # type: ignore[method-assign]
        house.strain.why = ""
        await until(lambda: bool(lent), 10)
        async with indexer._looking:  # A look begins: the scrub makes way, and begins no other.
            await until(lambda: not children("worker"), 10)
            count = len(lent)
            await house.room._integrity._scrub._round(indexer)
            assert len(lent) == count
            assert not await recent(house, b"huge")
        await until(lambda: len(lent) > count, 10)


async def test_it_can_be_switched_off(home: Home, films: Path) -> None:
    write(films / "film")
    async with housed(home, SCRUBS, config=config(scrub_days=0)) as house:
        await ready(house, films, 1000)
        house.strain.why = ""
        assert house.room._integrity._scrub._task is None


@pytest.mark.parametrize(
    ("plugged", "load", "why"),
    [(False, 0.0, "on battery"), (True, 0.0, ""), (None, 1e6, "the machine is busy")],
)
async def test_what_strain_is(
    monkeypatch: pytest.MonkeyPatch, plugged: bool | None, load: float, why: str
) -> None:
    battery = None if plugged is None else type("B", (), {"power_plugged": plugged})()
    monkeypatch.setattr("psutil.sensors_battery", lambda: battery, raising=False)
    monkeypatch.setattr("psutil.getloadavg", lambda: (load, load, load))
    assert await MachineStrain().now() == why
