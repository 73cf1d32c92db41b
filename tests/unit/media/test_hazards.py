"""Disks that go away, files that do not hold still, workers that die: nothing known is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.contract.errors import Cancelled, Failed, StoreFailed
from engine.home import Home
from engine.media.looking import at_ease
from tests.fakes.costs import steps
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.conftest import NEVER
from tests.unit.media.house import House, children, housed, reading, sparse, write


@contextmanager
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Children that folder modes bind, as they bind everybody but root."""
    if os.geteuid() == 0:
        wrapper = tmp_path / "python"
        drop = "--bounding-set=-dac_override,-dac_read_search"
        wrapper.write_text(f'#!/bin/sh\nexec setpriv {drop} "{sys.executable}" "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(wrapper))
    yield


async def test_an_unreadable_folder_is_counted_and_not_forgotten(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "open" / "film")
    write(films / "closed" / "film")
    write(films / "closed" / "below" / "film")
    write(films / "file")
    await house.add(films)
    with mortal(tmp_path, monkeypatch):
        await house.room._workers.close()
        await house.scan()
        write(films / "new", b"new")
        (films / "closed").chmod(0)
        (films / "new").chmod(0)
        try:
            result = await house.scan()
            library = await house.library()
        finally:
            (films / "closed").chmod(0o755)
            (films / "new").chmod(0o644)
        assert (result.removed, result.added, result.unreadable) == (0, 1, 2)
        assert (library.files, library.unreadable, library.pending) == (5, 2, 1)
        assert "closed (Permission denied)" in library.note
        assert "new (Permission denied)" in library.note
        [concern] = await house.ground.probes["media"]()
        assert concern.subject == "films"
        assert (await house.scan()).unreadable == 0
    assert await house.agrees(films)
    assert (await house.library()).note == ""
    assert await house.ground.probes["media"]() == []


async def test_a_path_that_takes_pages_is_not_told_whole(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = films.joinpath(*("x" * 200 for _ in range(10)))
    write(deep / "the film", b"new")
    await house.add(films)
    with mortal(tmp_path, monkeypatch):
        await house.room._workers.close()
        (deep / "the film").chmod(0)
        result = await house.scan()
    note = (await house.library()).note
    assert len(note) < 150
    assert "…" in note
    assert "/the film (Permission denied)" in note
    [unread] = result.unread
    assert unread.path.data == os.fsencode((deep / "the film").relative_to(films))


async def test_hashing_that_leaves_a_file_for_later_takes_no_trouble_back(
    lively: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan tries at once what the room by itself would leave until it holds still."""
    await lively.add(films)
    with mortal(tmp_path, monkeypatch):
        await lively.room._workers.close()
        write(films / "closed")
        (films / "closed").chmod(0)
        assert (await lively.scan()).unreadable == 1
        indexer = lively.room._indexers["films"]
        async with indexer._hashing:
            await indexer._hash(3600, at_ease)
        assert (await lively.library()).unreadable == 1


async def test_an_unreadable_root_is_an_error(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    with mortal(tmp_path, monkeypatch):
        await house.room._workers.close()
        films.chmod(0)
        try:
            with pytest.raises(Failed, match="cannot be read"):
                await house.scan()
        finally:
            films.chmod(0o755)
    assert ((await house.library()).state, len(await house.known())) == ("unreadable", 1)


async def test_a_root_that_is_away_takes_nothing_out(house: House, films: Path) -> None:
    for number in range(20):
        write(films / str(number))
    await house.add(films)
    await house.scan()
    films.rename(films.parent / "away")
    with pytest.raises(Failed, match="is not there") as failed:
        await house.scan()
    assert "mounted" in failed.value.hint
    library = await house.library()
    assert (library.state, library.files) == ("missing", 20)
    [concern] = await house.ground.probes["media"]()
    assert concern.severity == "broken"
    (films.parent / "away").rename(films)
    result = await house.scan()
    assert (result.files, result.hashed, result.added) == (20, 0, 0)
    assert (await house.library()).state == "ok"


async def test_an_empty_folder_in_its_place_is_not_the_library(house: House, films: Path) -> None:
    """What a disk that is not mounted leaves."""
    write(films / "film")
    await house.add(films)
    await house.scan()
    films.rename(films.parent / "away")
    films.mkdir()
    with pytest.raises(Failed, match="not mounted"):
        await house.scan()
    assert (await house.library()).state == "missing"
    assert len(await house.known()) == 1


async def test_an_emptied_library_is_empty(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    (films / "film").unlink()
    assert ((await house.scan()).removed, (await house.library()).state) == (1, "ok")


@pytest.mark.system("mount")
async def test_another_disk_in_its_place_and_what_is_mounted_below(
    house: House, films: Path
) -> None:
    write(films / "film")
    write(films / "sub" / "hidden by the mount")
    await house.add(films)
    await house.scan()
    subprocess.run(["mount", "-t", "tmpfs", "none", films / "sub"], check=True)
    try:
        write(films / "sub" / "on another disk")
        result = await house.scan()
        assert (result.added, result.removed, result.skipped) == (0, 0, 1)
    finally:
        subprocess.run(["umount", films / "sub"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", films], check=True)
    try:
        write(films / "something else")
        with pytest.raises(Failed, match="another file system"):
            await house.scan()
    finally:
        subprocess.run(["umount", films], check=True)
    assert (await house.scan()).hashed == 0
    assert await house.agrees(films)


@pytest.mark.parametrize("another_in_its_place", [False, True])
async def test_the_root_vanishes_while_it_is_scanned(
    house: House, films: Path, another_in_its_place: bool
) -> None:
    for number in range(2000):
        write(films / f"{number % 40}" / str(number))
    await house.add(films)
    await house.scan()
    job = JobDouble()
    job.pause()
    scan = asyncio.create_task(house.scan(job=job))
    await until(lambda: job.waits == 1)
    away = films.rename(films.parent / "away")
    if another_in_its_place:
        write(films / "something else")
    shutil.rmtree(away)
    job.resume()
    try:
        result = await scan
    except Failed:
        assert (await house.library()).state == "missing"
    else:  # It had looked at everything before.
        assert result.removed == 0
    assert len(await house.known()) == 2000


async def test_a_file_that_comes_back_while_a_scan_goes_on_stays(house: House, films: Path) -> None:
    """As one does that is taken out of the trash: whoever looked later is right."""
    write(films / "film", b"here")
    write(films / "other")
    await house.add(films)
    await house.scan()
    (films / "film").rename(films.parent / "film")
    job = JobDouble()
    job.pause()
    scan = asyncio.create_task(house.scan(job=job))
    await until(lambda: job.waits == 1)
    (films.parent / "film").rename(films / "film")
    await house.room.refresh("films", [b"film"])
    job.resume()
    await scan
    assert await house.agrees(films)


async def test_a_file_vanishes_while_it_is_read(house: House, films: Path) -> None:
    sparse(films / "huge")
    write(films / "film")
    await house.add(films)
    scan, _job = await house.reads()
    (films / "huge").unlink()
    sparse(films / "huge", 1000)
    result = await scan
    assert (result.files, result.unreadable) == (2, 0)
    assert await house.agrees(films)


async def test_a_file_that_grows_while_it_is_read_is_never_given_a_wrong_hash(
    house: House, films: Path
) -> None:
    file = films / "growing"
    write(file, os.urandom(50_000_000))
    await house.add(films)
    done = threading.Event()

    def grow() -> None:
        with file.open("ab", buffering=0) as out:
            while not done.is_set():
                out.write(b"more")
                time.sleep(0.0005)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        result = await house.scan()
        [asset] = await house.assets()
        assert (asset.blake3, result.hashed) == (None, 0)
    finally:
        done.set()
        writer.join()
    await house.scan()
    assert await house.agrees(films)


async def test_kill_9_of_the_worker(house: House, films: Path) -> None:
    for number in range(300):
        write(films / "small" / str(number), b"%d" % number)
    await house.add(films)
    await house.scan()
    sparse(films / "z-huge")
    write(films / "new")
    scan, _job = await house.reads()
    [worker] = children()
    worker.kill()
    with pytest.raises(Failed, match="signal 9") as failed:
        await scan
    assert "Scan again" in failed.value.hint
    assert len(await house.known()) == 302
    (films / "z-huge").unlink()
    result = await house.scan()
    assert (result.removed, result.hashed) == (1, 0)
    assert await house.agrees(films)


async def test_a_worker_that_hangs_is_ended(home: Home, films: Path) -> None:
    """A stopped process answers like one that waits for a dead mount: not at all."""
    async with housed(home, NEVER, stall_s=1) as house:
        sparse(films / "huge")
        await house.add(films)
        job = JobDouble()
        scan = asyncio.create_task(house.scan(job=job))
        await reading(job)
        [worker] = children()
        worker.suspend()
        with pytest.raises(Failed, match="did not answer"):
            await scan
        assert not worker.is_running()


async def test_pause_holds_the_worker_and_cancel_ends_it(house: House, films: Path) -> None:
    sparse(films / "huge")
    await house.add(films)
    scan, job = await house.reads()
    [worker] = children()
    job.pause()
    await until(lambda: job.waits == 1)
    used = [-1.0, -2.0]

    def idle() -> bool:
        used.append(sum(worker.cpu_times()[:2]))
        return len(used) > 30 and used[-1] == used[-30]

    await until(idle, 20)
    told = len(job.told)
    job.resume()
    await until(lambda: len(job.told) > told + 1, 10)
    job.cancel()
    with pytest.raises(Cancelled):
        await scan
    await until(lambda: not worker.is_running())
    assert (await house.library()).state == "ok"


async def test_a_worker_gives_way_and_is_not_in_our_session(house: House, films: Path) -> None:
    sparse(films / "huge")
    await house.add(films)
    scan, job = await house.reads()
    [worker] = children()
    assert worker.nice() >= 10
    group = Path(f"/proc/{worker.pid}/autogroup")
    if group.exists():
        assert group.read_text().endswith("nice 10\n")
    assert os.getsid(worker.pid) == worker.pid
    job.cancel()
    with pytest.raises(Cancelled):
        await scan


async def test_a_full_disk(house: House, films: Path) -> None:
    write(films / "film")
    await house.add(films)
    await house.scan()
    for number in range(3000):
        write(films / str(number % 10) / f"{number:0100}")
    writer = house.ground.catalogue._connection
    assert writer is not None
    pages = next(iter(await writer.execute_fetchall("PRAGMA page_count")))[0]
    await writer.execute_fetchall(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreFailed, match="disk is full"):
        await house.scan()
    assert b"film" in await house.known()
    await writer.execute_fetchall("PRAGMA max_page_count = 1000000")
    await house.scan()
    assert await house.agrees(films)


async def test_folders_too_deep_to_enter_are_counted(house: House, films: Path) -> None:
    here = os.open(films, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    write(films / "film")
    await house.add(films)
    result = await house.scan()
    assert (result.files, result.unreadable) == (1, 1)


async def test_a_worker_does_not_outlive_its_engine(films: Path, tmp_path: Path) -> None:
    """The engine is killed while its worker reads."""
    sparse(films / "huge")
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from engine.home import locate\n"
        "from tests.unit.media.conftest import NEVER\n"
        "from tests.unit.media.house import housed\n"
        "async def main():\n"
        "    async with housed(locate(), NEVER) as house:\n"
        "        await house.add(Path(sys.argv[1]))\n"
        "        await house.scan()\n"
        "asyncio.run(main())\n"
    )
    engine = await asyncio.create_subprocess_exec(
        sys.executable, program, films, env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )

    def at_work() -> bool:
        return any(child.cpu_times().user > 0.15 for child in children())

    await until(at_work, 20)
    [worker] = children()
    os.kill(engine.pid, signal.SIGKILL)
    await engine.wait()
    await until(lambda: not psutil.pid_exists(worker.pid) or worker.status() == "zombie", 5)


async def test_reading_does_not_make_a_file_look_used(house: House, films: Path) -> None:
    file = films / "film"
    write(file, os.urandom(300_000))
    os.utime(file, (1_000_000_000, 2_000_000_000))
    await house.add(films)
    await house.scan()
    assert file.stat()[stat.ST_ATIME] == 1_000_000_000


async def test_the_event_loop_is_never_held(house: House, films: Path) -> None:
    """The longest step of the loop's own work while 5,000 files come in, in CPU time: other
    programs on the machine do not count.
    """
    for number in range(5000):
        write(films / str(number % 50) / f"{number} \u00e4\u00f6\u00fc")
    await house.add(films)
    async with steps() as step:
        await house.scan()
    assert step.longest < 0.03


@pytest.mark.parametrize("module", ["worker", "watcher"])
def test_children_are_light(module: str) -> None:
    """They start in a moment, and stand beside the engine all day."""
    code = f"import sys, engine.media.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"pydantic", "asyncio", "logging", "dataclasses", "concurrent"})
