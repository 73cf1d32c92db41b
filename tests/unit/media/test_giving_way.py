"""Strain, drift, and the far ends of what a file system holds."""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from engine.home import Home
from engine.media.digest import SMALL
from engine.media.integrity.strain import SLOW_MIB_S, Eased, Lightened
from engine.media.process import Process
from engine.worker.frames import Frame
from tests.fakes.waiting import until
from tests.unit.media.conftest import SOON
from tests.unit.media.house import House, StrainDouble, housed, sparse, write
from tests.unit.media.integrity.asking import column, verify


async def test_looks_that_nobody_asked_for_wait_under_strain(home: Home, films: Path) -> None:
    often = replace(SOON, rescan=0.2)
    write(films / "film")
    async with housed(home, often) as house:
        await house.add(films)
        await house.until_live()
        indexer = house.room._indexers["films"]
        await until(lambda: indexer._trusted, 10)
        house.strain.why = "on battery"
        await until(lambda: indexer._put_off > 0, 10)
        write(films / "new")  # What events tell is followed all the same.
        await house.until_agrees(films)
        await until(lambda: indexer._put_off == 0, 10)  # Not for ever.
        write(films / "asked for")
        await house.scan()
        assert await house.agrees(films)


@pytest.mark.parametrize("names", [1, 2])
async def test_hashing_that_nobody_asked_for_is_slow_under_strain(
    lively: House, films: Path, names: int
) -> None:
    """Nor is it done on the way, by the look that meets a file with one name."""
    lively.strain.why = "the machine is busy"
    await lively.add(films)
    await lively.until_live()
    sparse(films / "film", 2 * SLOW_MIB_S * 1024**2)
    if names == 2:
        os.link(films / "film", films / "linked")
    indexer = lively.room._indexers["films"]

    async def hashed() -> bool:
        library = await lively.library()
        return library.files == names and library.pending == 0

    await until(indexer._hashing.locked, 10)
    begun = time.monotonic()
    await until(hashed, 20)
    assert time.monotonic() - begun > 1.5


async def test_a_worker_that_takes_over_is_told_of_the_strain_too() -> None:
    class Told:
        def __init__(self) -> None:
            self.paces: list[float] = []

        async def send(self, frame: Frame) -> None:
            self.paces.append(frame["mib_s"])

    strain, first, second = StrainDouble(), Told(), Told()
    eased = Eased(strain)
    await eased(cast(Process, first), {})
    strain.why = "on battery"
    await eased(cast(Process, first), {})
    for _ in range(2):
        await eased(cast(Process, second), {})
    assert (first.paces, second.paces) == ([SLOW_MIB_S], [SLOW_MIB_S])


async def test_a_look_gives_way_as_soon_as_there_is_strain() -> None:
    class Told:
        def __init__(self) -> None:
            self.frames: list[Frame] = []

        async def send(self, frame: Frame) -> None:
            self.frames.append(frame)

    strain, process = StrainDouble(), Told()
    pace = Lightened(strain)
    assert await pace.first()
    for why in ("", "on battery", "the machine is busy", "", ""):
        strain.why = why
        await pace(cast(Process, process), {})
    assert process.frames == [{"do": "hashing", "on": on} for on in (False, True)]


@pytest.mark.parametrize("strained", [True, False], ids=["it begins", "it ends"])
async def test_strain_within_a_look(house: House, films: Path, strained: bool) -> None:
    """What lies ahead is hashed on the way, or is not, from then on."""
    for number in range(100):
        sparse(films / str(number), 2 * SMALL)
    await house.add(films)
    async with house.room._workers.lend() as process:
        await process.pause()  # It waits at the first file that it meets.
    strain = StrainDouble()
    strain.why = "" if strained else "on battery"
    pace = Lightened(strain)
    hashing = await pace.first()

    async def within(process: Process, frame: Frame) -> None:
        if frame["k"] == "root":
            strain.why = "on battery" if strained else ""
            await pace(process, frame)
            await process.resume()

    reader = house.room._indexers["films"]._reader
    tally = await reader.look(None, within, hashing=hashing)
    assert (tally.added, tally.hashed) == (100, 0 if strained else 100)


async def test_drift_is_a_concern_until_a_look_finds_none(lively: House, films: Path) -> None:
    write(films / "film", b"written")
    await lively.add(films)
    await lively.until_live()
    await lively.scan()

    async def drifted() -> bool:
        return (await lively.library()).drift == 1

    with (films / "film").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:7] = b"mapped!"
        mapped.flush()
        assert (await lively.scan()).changed == 1
        await until(drifted, 10)
    [concern] = await lively.ground.probes["media"]()
    assert (concern.severity, "1 change was" in concern.text) == ("unknown", True)
    await lively.until_agrees(films)  # Closing it was an event.
    await lively.scan()
    await until(lambda: not lively.room._indexers["films"]._hearings, 10)

    async def clean() -> bool:
        return (await lively.library()).drift == 0

    await until(clean, 10)
    assert await lively.ground.probes["media"]() == []


async def test_a_look_that_a_scan_ends_listens_no_more(
    lively: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lively.add(films)
    await lively.until_live()
    indexer = lively.room._indexers["films"]
    await until(lambda: not indexer.busy and not indexer._hearings, 10)
    came = asyncio.Event()

    async def held() -> None:
        came.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(indexer.shelf, "refresh", held)
        indexer.hint(None)
        await asyncio.wait_for(came.wait(), 10)
    await lively.scan()
    assert indexer._hearings == []


async def test_the_longest_names_and_paths(house: House, films: Path) -> None:
    """255 bytes a name, and paths as long as folders can be opened one below the other."""
    top = os.open(films, os.O_RDONLY)
    name = b"n" * 255
    at = top
    for _ in range(20):  # 5,120 bytes of path: no single call reaches the file.
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open(b"deep", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    write(os.fsencode(films) + b"/" + b"/".join([name] * 14) + b"/" + b"f" * 255, b"far down")
    await house.add(films)
    result = await house.scan()
    assert result.files == 2
    known = await house.known()
    far = b"/".join([name] * 14) + b"/" + b"f" * 255
    assert known[far].blake3 is not None
    deep = b"/".join([name] * 20) + b"/deep"
    assert deep in known
    assert (await house.scan()).removed == 0
    assert (await verify(house)).intact >= 1


@pytest.mark.parametrize("mtime", [-(10**18), -1, 0, 4 * 10**18])
async def test_a_wrong_clock(house: House, films: Path, mtime: int) -> None:
    """Files from before 1970 and from the next century."""
    write(films / "film", b"bytes")
    os.utime(films / "film", ns=(mtime, mtime))
    await house.add(films)
    await house.scan()
    assert await column(house, "mtime_ns", b"film") == (films / "film").stat().st_mtime_ns
    assert (await house.scan()).changed == 0
    assert (await verify(house)).intact == 1
    (films / "film").rename(films / "moved")
    assert (await house.scan()).moved == 1
