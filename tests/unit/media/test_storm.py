"""Random changes to a library that is watched: once it rests, the catalogue is the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.media import DriftFound
from engine.home import Home
from tests.fakes.waiting import until
from tests.unit.media.conftest import SOON
from tests.unit.media.house import House, housed, on_disk, write

Act = Callable[[Path, Path], None]

PARTS = st.sampled_from(["a", "b", "c d", "\udcff", "\n", "ä"])
PLACES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
CONTENTS = st.sampled_from([b"", b"x", b"y", b"z" * 200_000])


def _write(place: str, content: bytes) -> Act:
    return lambda root, _outside: write(root / place, content)


def _rename(old: str, new: str) -> Act:
    """Within a folder or to another, over what is there, folders with all that is in them."""

    def act(root: Path, _outside: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return act


def _link(old: str, new: str) -> Act:
    def act(root: Path, _outside: Path) -> None:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        os.link(root / old, root / new)

    return act


def _remove(place: str) -> Act:
    def act(root: Path, _outside: Path) -> None:
        if (root / place).is_dir():
            shutil.rmtree(root / place)
        else:
            (root / place).unlink()

    return act


def _out(place: str) -> Act:
    def act(root: Path, outside: Path) -> None:
        (root / place).rename(outside / f"{len(list(outside.iterdir()))}")

    return act


def _in(place: str) -> Act:
    """What was taken out before comes back, somewhere."""

    def act(root: Path, outside: Path) -> None:
        found = min(outside.iterdir(), default=None)
        if found is not None:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            found.rename(root / place)

    return act


def _storm(place: str, folders: int) -> Act:
    """Many folders at once, each with a file at its end."""

    def act(root: Path, _outside: Path) -> None:
        for number in range(folders):
            write(root / place / f"s{number % 3}" / f"t{number}" / "u" / "file", b"%d" % number)

    return act


ACTS = st.one_of(
    st.builds(_write, PLACES, CONTENTS),
    st.builds(_write, PLACES, CONTENTS),
    st.builds(_rename, PLACES, PLACES),
    st.builds(_link, PLACES, PLACES),
    st.builds(_remove, PLACES),
    st.builds(_out, PLACES),
    st.builds(_in, PLACES),
    st.builds(_storm, PLACES, st.integers(1, 40)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(ACTS, min_size=1, max_size=15), min_size=1, max_size=4))
def test_the_catalogue_is_the_disk(bursts: list[list[Act]]) -> None:
    with TemporaryDirectory(prefix="arc-") as folder:
        asyncio.run(_weather(Path(folder), bursts))


async def _weather(folder: Path, bursts: list[list[Act]]) -> None:
    root, outside = folder / "films", folder / "outside"
    root.mkdir()
    outside.mkdir()
    async with housed(Home(folder / "config.toml", folder / "data", folder / "run"), SOON) as house:
        await house.add(root)
        await house.until_live()
        for burst in bursts:
            for act in burst:
                with suppress(OSError):  # Not every act is possible where things are.
                    act(root, outside)
                await asyncio.sleep(0)
            await until(lambda: _same(house, root), 30)
        await _rests(house)


async def _same(house: House, root: Path) -> bool:
    """Whether the catalogue is the disk, down to the identity of every file."""
    rows = await house.ground.catalogue.read(
        "SELECT path, ino, mtime_ns, ctime_ns, nlink FROM file"
    )
    known = {row["path"]: tuple(row)[1:] for row in rows}
    there = {
        path: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink)
        for path, (status, _blake3) in on_disk(root).items()
    }
    return known == there and await house.agrees(root)


async def _rests(house: House) -> None:
    """Reading everything again finds nothing new, and nothing was missed."""
    result = await house.scan()
    assert (result.added, result.changed, result.moved, result.removed) == (0, 0, 0, 0)
    assert await house.events(DriftFound) == []
    rows = await house.ground.catalogue.read(
        "SELECT 1 FROM file WHERE first_seen_at > seen_at OR checked_at IS NULL OR damage <> ''"
        " UNION ALL SELECT 1 FROM history WHERE note <> ''"
    )
    assert rows == []


async def test_a_link_that_comes_or_goes_is_told_of_every_name(lively: House, films: Path) -> None:
    """The kernel tells of the name that is made or removed; the file changes under all others."""
    write(films / "a" / "film", b"bytes")
    write(films / "b" / "other", b"bytes")
    await lively.add(films)
    await lively.until_live()
    os.link(films / "a" / "film", films / "b" / "link")
    await until(lambda: _same(lively, films), 10)
    (films / "b" / "link").unlink()
    await until(lambda: _same(lively, films), 10)
    await _rests(lively)
