"""A walk in another process meets what a walk in this one does, and goes when nobody listens."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.assets import ScanResult
from engine.contract.errors import Failed
from engine.media.ahead import ahead
from engine.media.root import open_root
from engine.media.walk import Found, Range, Walker
from tests.fakes.door import JobDouble
from tests.fakes.waiting import until
from tests.unit.media.house import House, children, write

NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
)


WHOLE: list[Range] = [(b"", None)]


def each(there: Walker, ranges: list[Range] = WHOLE) -> Iterator[tuple[int, Found]]:
    for half, met in ahead(there, ranges):
        yield from ((half, found) for found in met)


def walker(root: Path, inner: frozenset[bytes] = frozenset()) -> Walker:
    fd, _identity, device = open_root(os.fsencode(root))
    return Walker(fd, device, b".arcanum-trash", inner)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    root = tmp_path / "films"
    root.mkdir()
    return root


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=12))
def test_the_same_is_met(tmp_path: Path, places: list[list[bytes]]) -> None:
    root = tmp_path / "library"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for place in places:
        path = root.joinpath(*map(os.fsdecode, place))
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    (root / "link").symlink_to("/")
    here, there = walker(root), walker(root)
    top = sorted(os.fsencode(path.name) for path in root.iterdir())
    cut = top[len(top) // 2]
    cut += b"/" if Path(root, os.fsdecode(cut)).is_dir() else b""
    met = list(each(there, [(b"", cut), (cut, None)]))
    first, second = ([found for half, found in met if half == number] for number in (0, 1))
    assert first + second == list(here.everything())
    assert (there.skipped, there.unreadable) == (here.skipped, here.unreadable)


def test_more_than_one_batch_and_the_libraries_within(films: Path) -> None:
    for number in range(1200):
        write(films / f"{number % 7}" / f"{number}")
    inner = frozenset({b"3", b"5"})
    found = [found for _, found in each(walker(films, inner))]
    assert found == list(walker(films, inner).everything())
    assert len(found) == sum(number % 7 not in {3, 5} for number in range(1200))


def test_what_cannot_be_looked_at_is_told_with_its_reason(films: Path) -> None:
    write(films / "before")
    deep = films
    fd = os.open(films, os.O_RDONLY)
    for _ in range(520):  # Deeper than a walk goes.
        os.mkdir(b"d", dir_fd=fd)
        below = os.open(b"d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    write(deep / "later")
    there = walker(films)
    *_, (_, unseen), (_, last) = each(there)
    assert (unseen.identity, unseen.folder, last.path) == (None, True, b"later")
    assert there.unreadable == 1
    [(path, why)] = there.problems
    assert path == unseen.path
    assert "deeper than 512" in why


def test_a_root_that_cannot_be_listed_is_an_error(films: Path) -> None:
    there = walker(films)
    os.dup2(os.open(os.devnull, os.O_RDONLY), there.root_fd)
    with pytest.raises(NotADirectoryError):
        list(each(there))


def walks() -> list[psutil.Process]:
    return children("ahead")


def many(films: Path) -> Iterator[object]:
    """A walk of which much more is to come than a pipe holds, after its first file."""
    for number in range(12_000):
        (films / f"{number:0200}").touch()
    found = each(walker(films))
    next(found)
    return found


def test_a_process_that_dies_is_no_end_of_the_walk(films: Path) -> None:
    found = many(films)
    [process] = walks()
    process.send_signal(signal.SIGKILL)
    with pytest.raises(EOFError):
        list(found)


def test_who_stops_listening_leaves_no_process(films: Path) -> None:
    with closing(many(films)):  # type: ignore[type-var]
        assert len(walks()) == 1
    assert not walks()


async def test_a_scan_of_many_files_walks_ahead(house: House, films: Path) -> None:
    """What came, went, moved and changed is found; a walk that dies has looked at nothing."""
    for number in range(10_500):
        write(films / f"{number % 3}" / f"{number:0200}", b"")
    await house.add(films)
    await house.scan()
    (films / "1" / f"{1:0200}").unlink()
    (films / "2" / f"{2:0200}").rename(films / "0" / "moved")
    (films / "0" / f"{3:0200}").write_bytes(b"changed")
    (films / "new").write_bytes(b"new")

    async def paused() -> tuple[asyncio.Task[ScanResult], JobDouble]:
        job = JobDouble()
        job.pause()
        scan = asyncio.create_task(house.scan(job=job))
        await until(lambda: bool(walks()))
        return scan, job

    scan, job = await paused()
    walks()[-1].send_signal(signal.SIGKILL)
    job.resume()
    with pytest.raises(Failed, match="process that reads the disk"):
        await scan
    assert (await house.library()).files >= 10_500
    scan, job = await paused()
    job.resume()
    assert (await scan).moved == 1
    assert not walks()
    assert await house.agrees(films)
    (films / "1").rename(films / "9")
    assert (await house.scan()).moved == 3499
    assert await house.agrees(films)
