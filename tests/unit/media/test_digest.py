"""Files that are hashed where they are mapped: the same hashes, and no harm of what dies of it."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import mmap
import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import psutil
import pytest
from blake3 import blake3

from engine.contract.errors import Cancelled, Failed
from engine.media import pending
from engine.media.digest import WINDOW, ChangedError, digest
from engine.media.link import Link
from engine.media.pending import Pending
from engine.media.walk import Identity
from engine.store import schema
from engine.worker.frames import Frame
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.duplicates.test_find import Heard
from tests.unit.media.house import House, children, sparse, write


class Steps:
    """The link of a worker: ``after`` runs after each step, and is told how many bytes are done."""

    def __init__(self, after: Callable[[int], None] = lambda _done: None) -> None:
        self._after = after
        self.done = 0

    def advance(self, _files: int = 0, size: int = 0) -> None:
        self.done += size
        self._after(self.done)


def hashed(file: Path, steps: Steps, *, mapped: bool = True, threads: int = 1) -> list[str]:
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        identity = Identity.of(file.stat())
        name = os.fsencode(file.name)
        link = cast(Link, steps)
        return digest(folder, name, identity, link, ["md5"], mapped=mapped, threads=threads)
    finally:
        os.close(folder)


def film(path: Path, size: int) -> bytes:
    content = random.Random(size).randbytes(size)
    write(path, content)
    return content


def film_of(path: Path, blocks: int) -> os.stat_result:
    film(path, blocks * 64 * 1024)
    return path.lstat()


def hashes(content: bytes) -> list[str]:
    return [blake3(content).hexdigest(), hashlib.md5(content).hexdigest()]


@pytest.mark.parametrize("size", [WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 12345])
def test_a_mapped_file_has_the_hashes_of_its_bytes(films: Path, size: int) -> None:
    content, steps = film(films / "film", size), Steps()
    assert hashed(films / "film", steps) == hashes(content)
    assert hashed(films / "film", Steps(), mapped=False) == hashes(content)
    assert steps.done == size


@pytest.mark.parametrize("mapped", [True, False])
def test_many_threads_make_the_same_hashes_of_one_file(films: Path, mapped: bool) -> None:
    content, steps = film(films / "film", 2 * WINDOW + 12345), Steps()
    assert hashed(films / "film", steps, mapped=mapped, threads=3) == hashes(content)
    assert steps.done == len(content)


@pytest.mark.parametrize("size", [0, WINDOW, WINDOW + 5, 3 * WINDOW])
def test_a_file_that_is_cut_or_grows_between_two_windows_has_changed(
    films: Path, size: int
) -> None:
    film(films / "film", 2 * WINDOW)

    def cut(done: int) -> None:
        if done == WINDOW:
            os.truncate(films / "film", size)

    with pytest.raises(ChangedError):
        hashed(films / "film", Steps(cut))


def test_what_cannot_be_mapped_is_read(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first byte on, or from where it cannot be mapped any more."""
    content, mapping = film(films / "film", 3 * WINDOW), mmap.mmap
    left = 0

    def refusing(*args: int, **values: int) -> mmap.mmap:
        nonlocal left
        if not left:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        left -= 1
        return mapping(*args, **values)

    monkeypatch.setattr(mmap, "mmap", refusing)
    for left in (0, 1, 2):
        steps = Steps()
        assert hashed(films / "film", steps) == hashes(content)
        assert (left, steps.done) == (0, len(content))


async def stopped_in(worker: psutil.Process, file: Path) -> None:
    """Returns once all of the worker is stopped while it has the file mapped."""
    threads = Path(f"/proc/{worker.pid}/task")

    def caught() -> bool:
        worker.suspend()
        stats = [(thread / "stat").read_text() for thread in threads.iterdir()]
        states = {stat.rpartition(")")[2].split()[0] for stat in stats}
        if states == {"T"} and any(region.path == str(file) for region in worker.memory_maps()):
            return True
        worker.resume()
        return False

    await until(caught, 20)


@pytest.mark.parametrize("sizes", [[9, 5], [3, 9, 2, 5], [9, 1, 2], [1, 2], []])
def test_the_last_large_file_has_all_threads(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    """No other keeps them busy any more. Sizes here are in units of 64 KiB: up to 2 is small."""
    catalogue = tmp_path / "catalogue.db"
    schema.prepare(catalogue, "catalogue")
    numbers = [Identity.of(film_of(films / f"{at}", size)) for at, size in enumerate(sizes)]
    with closing(sqlite3.connect(catalogue)) as db, db:
        db.execute("INSERT INTO library (id, root) VALUES (1, ?)", (os.fsencode(films),))
        db.executemany(
            "INSERT INTO file (library, path, folded, dev, ino, size, mtime_ns, ctime_ns, nlink,"
            " seen_at) VALUES (1, ?, '', ?, ?, ?, ?, ?, ?, 0)",
            [(b"%d" % at, *identity) for at, identity in enumerate(numbers)],
        )
    met: dict[int, int] = {}

    def count(_root: int, path: bytes, *_more: object, threads: int, **_how: object) -> list[str]:
        met[int(path)] = threads
        return ["00" * 32]

    monkeypatch.setattr(pending, "digest", count)
    command = {"catalogue": catalogue.as_uri(), "library": 1, "root": str(films), "threads": 3}
    more: Frame = {"settle_s": 0, "hashes": [], "mapped": True}
    Pending(command | more, Heard()).run()
    large = [at for at, size in enumerate(sizes) if size > 2]
    assert met == {at: 3 if [at] == large[-1:] else 1 for at in range(len(sizes))}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has mapped")
async def test_a_file_that_is_cut_while_it_is_mapped_costs_no_other(
    house: House, films: Path
) -> None:
    """Its worker dies of it (unless it was just done with the part that it had mapped) and another
    goes on: the file is found changed, and hashed as it is now."""
    for name in ("a", "b", "zz"):
        film(films / name, WINDOW + len(name))
    write(films / "small")
    sparse(films / "huge")
    await house.add(films)
    scan, _job = await house.reads()
    [worker] = children()
    await stopped_in(worker, films / "huge")
    os.truncate(films / "huge", 100)
    worker.resume()
    result = await scan
    assert (result.files, result.unreadable) == (5, 0)
    assert await house.agrees(films)


async def struck(worker: psutil.Process) -> None:
    """Kills it as a mapped page does that is not there; returns once another took over."""
    worker.send_signal(signal.SIGBUS)
    await until(lambda: [child.pid for child in children()] not in ([], [worker.pid]), 20)


async def test_who_goes_on_counts_on_and_who_dies_of_it_too_is_not_replaced(
    house: House, films: Path
) -> None:
    film(films / "film", 2 * WINDOW)
    sparse(films / "huge")
    await house.add(films)
    job = JobDouble()
    scan = asyncio.create_task(house.scan(job=job))
    await until(lambda: any(note.startswith("1 of 2 files") for *_, note in job.told), 20)
    [worker] = children()
    told = len(job.told)
    await struck(worker)
    await until(lambda: len(job.told) > told + 2, 20)
    assert all(done >= 2 * WINDOW for done, *_ in job.told[told:])
    assert all(note.startswith("1 of 2 files") for *_, note in job.told[told:])
    [other] = children()
    other.send_signal(signal.SIGBUS)
    with pytest.raises(Failed, match=f"signal {signal.SIGBUS:d}"):
        await scan
    known = await house.known()
    assert known[b"film"].blake3 == blake3((films / "film").read_bytes()).hexdigest()
    assert known[b"huge"].blake3 is None


async def test_who_died_of_it_once_maps_nothing_in_the_next_scan(house: House, films: Path) -> None:
    sparse(films / "huge")
    await house.add(films)
    scan, job = await house.reads()
    await struck(*children())
    job.cancel()
    with pytest.raises(Cancelled):
        await scan
    scan, job = await house.reads()
    children()[0].send_signal(signal.SIGBUS)
    with pytest.raises(Failed, match=f"signal {signal.SIGBUS:d}"):
        await scan
