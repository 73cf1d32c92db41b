"""Numbers that move as files arrive: a real watcher process, and what it cannot see."""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.contract import media
from engine.contract.assets import LibraryName
from engine.contract.media import DriftFound, LibraryChanged
from engine.home import Home
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER, SOON
from tests.unit.media.house import House, children, housed, write
from tests.unit.media.test_hazards import mortal


async def watched(lively: House, films: Path) -> None:
    write(films / "first", b"here before")
    await lively.add(films)
    await lively.until_live()

    async def known() -> bool:
        return b"first" in await lively.known()

    await until(known, 10)


def watches() -> int:
    """How many folders the kernel watches for us."""
    [watcher] = children("watcher")
    open_files = Path(f"/proc/{watcher.pid}/fdinfo").iterdir()
    return "".join(entry.read_text() for entry in open_files).count("inotify wd")


async def test_a_new_file_is_seen_told_and_hashed(lively: House, films: Path) -> None:
    await watched(lively, films)
    with lively.ground.bus.subscribe() as events:
        write(films / "new", b"just arrived")
        async with asyncio.timeout(5):
            async for event in events:
                if isinstance(event, LibraryChanged) and event.library.files == 2:
                    break
    await lively.until_agrees(films)


async def test_what_comes_behind_a_scan_is_looked_at_once_that_ends(
    lively: House, films: Path
) -> None:
    """Its hint was told while a look at everything waited for the scan to end, and did not take
    place then."""
    await watched(lively, films)
    indexer = lively.room._indexers["films"]
    async with indexer._looking:  # A scan is here.
        indexer._due = 0.0
        write(films / "behind", b"where the scan was already")
        await until(lambda: bool(indexer._own), 10)  # The hint wakes it: the look waits.
        indexer._due = time.monotonic() + 3600
    await lively.until_agrees(films)


async def test_files_that_change_move_and_go(lively: House, films: Path) -> None:
    for number in range(20):
        write(films / "folder" / str(number), b"%d" % number)
    await watched(lively, films)
    before = await lively.known()
    write(films / "folder" / "3", b"changed")
    (films / "folder" / "4").unlink()
    os.link(films / "folder" / "5", films / "linked")
    (films / "folder").rename(films / "renamed")
    await lively.until_agrees(films)
    after = await lively.known()
    assert after[b"renamed/7"].id == before[b"folder/7"].id
    shutil.rmtree(films / "renamed")
    await lively.until_agrees(films)


async def test_a_storm_of_new_folders_loses_nothing(lively: House, films: Path) -> None:
    await watched(lively, films)
    for number in range(400):
        write(films / f"a{number % 4}" / f"b{number}" / "c" / "d" / "file", b"%d" % number)
    await lively.until_agrees(films, 20)
    assert watches() == 1 + 4 + 3 * 400


async def test_a_folder_that_is_moved_in_is_read_and_watched(
    lively: House, films: Path, tmp_path: Path
) -> None:
    await watched(lively, films)
    write(tmp_path / "album" / "disc" / "track")
    (tmp_path / "album").rename(films / "album")
    await lively.until_agrees(films)
    assert watches() == 3
    write(films / "album" / "disc" / "bonus track")
    await lively.until_agrees(films)
    (films / "album").rename(tmp_path / "album")
    await lively.until_agrees(films)
    assert watches() == 1


async def test_names_that_are_not_utf8_do_not_end_the_watch(lively: House, films: Path) -> None:
    await watched(lively, films)
    top = os.fsencode(films)
    write(top + b"/\xff\xfe")
    write(top + b"/\xff folder/\n\x1b[1m")
    await lively.until_agrees(films)
    write(films / "after")
    write(top + b"/\xff folder/more")
    await lively.until_agrees(films)
    assert (await lively.library()).watch == "live"


async def test_no_link_leads_the_watcher_out(lively: House, films: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "file")
    (films / "out").symlink_to(tmp_path / "elsewhere")
    (films / "loop").symlink_to(films)
    await watched(lively, films)
    assert watches() == 1
    assert set(await lively.known()) == {b"first"}


async def test_more_events_than_the_kernel_keeps(lively: House, films: Path) -> None:
    """The watcher stands still while 20,000 files come: the kernel drops events, and says so."""
    for number in range(20):
        (films / str(number)).mkdir()
    await watched(lively, films)
    [watcher] = children("watcher")
    watcher.suspend()
    for number in range(20_000):
        (films / str(number % 20) / f"f{number}").touch()
    write(films / "new folder" / "after the queue was full")
    watcher.resume()

    async def counted(files: int) -> bool:
        library = await lively.library()
        return library.files == files and library.pending == 0

    await until(lambda: counted(20_002), 30)
    write(films / "new folder" / "still watched")
    await until(lambda: counted(20_003), 10)


async def test_what_no_event_told_is_called_drift(lively: House, films: Path) -> None:
    for number in range(5):
        write(films / str(number), b"written")
    await watched(lively, films)
    await lively.scan()

    async def told() -> bool:
        return bool(await lively.events(DriftFound))

    # A change through a mapping is one that inotify does not tell of, until the file is closed.
    with (films / "3").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:7] = b"mapped!"
        mapped.flush()
        write(films / "new", b"told")
        await until(lambda: _hashed(lively, b"new"))
        assert (await lively.scan()).changed == 1
        await until(told, 10)
    [drift] = await lively.events(DriftFound)
    assert (drift.library, drift.files) == ("films", 1)


async def _hashed(house: House, path: bytes) -> bool:
    asset = (await house.known()).get(path)
    return asset is not None and asset.blake3 is not None


async def test_what_was_told_is_no_drift(lively: House, films: Path) -> None:
    await watched(lively, films)
    await lively.scan()
    for number in range(30):
        write(films / f"n{number}")
        await lively.scan()
    await lively.until_agrees(films)
    await lively.scan()
    await until(lambda: not lively.room._indexers["films"]._hearings)
    assert await lively.events(DriftFound) == []


async def test_a_watcher_that_dies_is_started_again(lively: House, films: Path) -> None:
    await watched(lively, films)
    [watcher] = children("watcher")
    watcher.send_signal(signal.SIGKILL)
    write(films / "while nobody watched")
    await lively.until_agrees(films)
    await lively.until_live()
    assert [process.pid for process in children("watcher")] != [watcher.pid]
    write(films / "and again")
    await lively.until_agrees(films)


async def test_a_root_that_goes_and_comes_back(lively: House, films: Path) -> None:
    await watched(lively, films)
    away = films.parent / "away"
    films.rename(away)

    async def missing() -> bool:
        return (await lively.library()).state == "missing"

    await until(missing, 10)
    assert (await lively.library()).note == "No such file or directory"
    assert len(await lively.known()) == 1
    away.rename(films)
    await lively.until_live()
    write(films / "new")
    await lively.until_agrees(films)


_LIMIT = "echo {} > /proc/sys/user/max_inotify_watches"


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our processes none that starts from now on may watch more than five folders."""
    wrapper = tmp_path / "limited"
    wrapper.write_text(
        f"#!/bin/sh\nexec unshare --user --map-root-user sh -c "
        f'\'{_LIMIT.format(5)}; exec "{sys.executable}" "$@"\' sh "$@"\n'
    )
    wrapper.chmod(0o755)
    probe = subprocess.run([wrapper, "-c", "pass"], capture_output=True, check=False)
    assert probe.returncode == 0, probe.stderr
    monkeypatch.setattr(sys, "executable", str(wrapper))


async def failed(lively: House) -> None:
    async def said() -> bool:
        return (await lively.library()).watch == "failed"

    await until(said, 10)


@pytest.mark.system("unshare")
@pytest.mark.usefixtures("limited")
async def test_the_limit_of_watches_is_said_and_polled(lively: House, films: Path) -> None:
    for number in range(20):
        (films / str(number)).mkdir()
    await lively.add(films)
    await failed(lively)
    assert "fs.inotify.max_user_watches" in (await lively.library()).note
    write(films / "7" / "seen all the same")
    await lively.until_agrees(films)
    assert "max_user_watches" in (await lively.ground.probes["media"]())[0].text


@pytest.mark.system("unshare")
@pytest.mark.system("nsenter")
@pytest.mark.usefixtures("limited")
async def test_once_the_limit_is_raised_it_is_watched(lively: House, films: Path) -> None:
    for number in range(20):
        (films / str(number)).mkdir()
    await lively.add(films)
    await failed(lively)
    [watcher] = children("watcher")
    inside = ["nsenter", "--user", "--preserve-credentials", f"--target={watcher.pid}"]
    subprocess.run([*inside, "sh", "-c", _LIMIT.format(50)], check=True)
    await lively.until_live()
    assert watches() == 21


async def test_what_fails_once_more_is_looked_at_no_sooner(house: House, films: Path) -> None:
    """A large library is polled rarely."""
    await house.add(films)
    indexer = house.room._indexers["films"]
    indexer.watching("failed", "the limit is reached")
    indexer._due = due = time.monotonic() + 2 * NEVER.poll
    indexer.watching("failed", "the limit is reached")
    assert indexer._due == due


@pytest.mark.system("unshare")
@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("before", ["live", "failed"])
async def test_what_is_not_watched_is_not_said_to_be(
    lively: House, films: Path, before: str
) -> None:
    """A library within is removed: its folders are too many, or the ones around it were."""
    inner = films / "inner"
    for number in range(20):
        (inner if before == "live" else films).joinpath(str(number)).mkdir(parents=True)
    write(inner / "film")
    await lively.add(inner, "inner")
    await lively.add(films)
    await (lively.until_live() if before == "live" else failed(lively))
    await lively.door.call(media.REMOVE, LibraryName(library="inner"))
    await until(lambda: not lively.room._places.busy, 10)
    assert await lively.room._watchers.catch_up()
    assert (await lively.library()).watch == "failed"
    write(inner / "new")
    await lively.until_agrees(films)
    assert (await lively.library()).watch == "failed"


async def test_a_network_mount_is_polled(
    lively: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="ext4"),
        SimpleNamespace(mountpoint=str(films.parent), fstype="nfs4"),
    ]
    monkeypatch.setattr("psutil.disk_partitions", lambda **_all: mounts)
    await lively.add(films)

    async def polling() -> bool:
        return (await lively.library()).watch == "polling"

    await until(polling)
    assert "nfs4" in (await lively.library()).note
    write(films / "new")
    await lively.until_agrees(films)
    assert children("watcher") == []


async def test_an_engine_that_starts_sees_what_happened_meanwhile(home: Home, films: Path) -> None:
    write(films / "first")
    async with housed(home, SOON) as house:
        await house.add(films)
        await house.until_live()
    write(films / "second")
    async with housed(home, SOON) as house:
        assert [library.name for library in await house.libraries()] == ["films"]
        await house.until_agrees(films)
        assert await house.events(DriftFound) == []


async def test_an_unreadable_folder_does_not_end_the_watch(
    lively: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "closed" / "film")
    (films / "closed").chmod(0)
    try:
        with mortal(tmp_path, monkeypatch):
            await watched(lively, films)
            assert (await lively.library()).unreadable == 1
            write(films / "new")
            await until(lambda: _hashed(lively, b"new"))
    finally:
        (films / "closed").chmod(0o755)
