"""A root that becomes another folder is watched as that one, whatever came first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract.media import DriftFound
from engine.media.inotify import Inotify
from tests.fakes.waiting import until
from tests.unit.media.house import House, children, write
from tests.unit.media.test_watch import watches

pytestmark = pytest.mark.skipif(not Path("/proc/sys/fs/inotify").is_dir(), reason="needs inotify")


class Heard:
    """What the watcher's end is told."""

    def __init__(self) -> None:
        self.hints: list[tuple[int, bytes]] = []
        self.losses: list[int] = []
        self.failures: list[tuple[int, str]] = []

    def hint(self, library: int, path: bytes) -> None:
        self.hints.append((library, path))

    def lost(self, library: int) -> None:
        self.losses.append(library)

    def failed(self, library: int, why: str) -> None:
        self.failures.append((library, why))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def source(heard: Heard) -> Iterator[Inotify]:
    source = Inotify(b".arcanum-trash", heard)
    yield source
    for library in (1, 2):
        source.remove(library)


async def sees(source: Inotify, heard: Heard, library: int, root: Path, name: str) -> None:
    """What happens in it from now on is told."""
    with source._lock:  # What was told a moment ago is followed by then.
        heard.hints.clear()
        write(root / name)
    await until(lambda: (library, os.fsencode(name)) in heard.hints, 5)


async def test_a_root_that_went_with_another_folder_in_its_place(
    source: Inotify, heard: Heard, films: Path
) -> None:
    """The old one comes back at once: a look at everything finds nothing wrong then."""
    write(films.parent / "away" / "film")
    source.add(1, os.fsencode(films))
    with source._lock:
        films.rmdir()
        (films.parent / "away").rename(films)
    await until(lambda: heard.losses == [1], 5)
    await sees(source, heard, 1, films, "new")


async def test_a_root_that_was_moved_away(source: Inotify, heard: Heard, films: Path) -> None:
    away = films.parent / "away"
    write(films / "sub" / "film")
    source.add(1, os.fsencode(films))
    with source._lock:
        films.rename(away)
        (films / "sub").mkdir(parents=True)
    await until(lambda: heard.losses == [1], 5)
    await sees(source, heard, 1, films, "new")
    await sees(source, heard, 1, films, "sub/newer")
    write(away / "sub" / "not the library's")
    source.drain()
    assert {path for _library, path in heard.hints} == {b"sub/newer"}
    assert heard.failures == []


async def test_a_root_that_is_gone_is_said_not_to_be_watched(
    source: Inotify, heard: Heard, films: Path
) -> None:
    source.add(1, os.fsencode(films))
    films.rmdir()
    await until(lambda: heard.failures == [(1, "No such file or directory")], 5)


async def test_a_root_that_goes_while_it_is_added(
    source: Inotify, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not called watched."""
    mounts = source._mounts

    def slow(library: int) -> object:
        if films.exists():
            films.rmdir()
        return mounts(library)

    monkeypatch.setattr(source, "_mounts", slow)
    with pytest.raises(FileNotFoundError):
        source.add(1, os.fsencode(films))
    assert source._roots == {}


async def test_a_folder_above_the_root_that_was_replaced(
    source: Inotify, heard: Heard, films: Path
) -> None:
    """Nothing in it tells: who finds that something had not been told asks."""
    root = films / "in"
    write(root / "film")
    source.add(1, os.fsencode(root))
    films.rename(films.parent / "away")
    write(root / "film")
    source.drain()
    assert heard.losses == [1]
    await sees(source, heard, 1, root, "new")
    source.drain()
    assert heard.losses == [1]


async def test_a_library_around_it_tells_of_a_root_that_was_replaced(
    source: Inotify, heard: Heard, films: Path
) -> None:
    root = films / "in" / "ner"
    write(root / "film")
    source.add(1, os.fsencode(films), frozenset({b"in/ner"}))
    source.add(2, os.fsencode(root))
    with source._lock:
        (films / "in").rename(films.parent / "away")
        write(root / "film")
    await until(lambda: heard.losses == [2], 5)
    await sees(source, heard, 2, root, "new")


async def test_a_root_that_is_added_once_more_leaves_no_watch_behind(
    source: Inotify, films: Path
) -> None:
    write(films / "sub" / "film")
    source.add(1, os.fsencode(films))
    with source._lock:
        films.rename(films.parent / "away")
        films.mkdir()
        source._add_tree(1, b"")
        assert len(source._places) == 2  # Of `sub`, which is not there, its parent will tell.
    source.add(1, os.fsencode(films))
    assert [*source._watches] == [(1, b"")]
    assert [*source._places.values()] == [(1, b"")]


async def test_a_library_is_never_deaf_while_it_is_called_live(lively: House, films: Path) -> None:
    """Its folder is another one for a while, and is watched as that one when the first is back."""
    away, other = films.parent / "away", films.parent / "other"
    films.rename(away)
    write(films / "of the other")
    await lively.add(films)
    await lively.until_live()
    await lively.until_agrees(films)
    [watcher] = children("watcher")
    watcher.suspend()
    films.rename(other)
    shutil.rmtree(other)
    away.rename(films)
    write(films / "first")
    watcher.resume()
    await lively.until_agrees(films)
    await lively.until_live()
    write(films / "new")
    await lively.until_agrees(films)
    assert watches() == 1
    assert await lively.events(DriftFound) == []
