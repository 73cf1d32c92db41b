"""What rooms that would move files are told of torrent clients: by inode, under whatever name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.contract.errors import NotFound
from engine.contract.holding import HeldFile, HeldFiles, Holders, Inode
from engine.media.source import holding
from engine.store import Transaction
from tests.unit.media.house import House, write

_TORRENT = (
    "INSERT OR REPLACE INTO torrent (client, infohash, name, tracker, category, labels, ratio,"
    " seeding_s, state, files, missing, at)"
    " VALUES ('box', 'x', '', '', '', '', 0, 0, ?, 1, 0, 1)"
)
_CLAIM = (
    "INSERT INTO claim (client, infohash, file, how)"
    " SELECT 'box', 'x', id, 'inode' FROM file WHERE path = ?"
)
DAY_NS = 86_400 * 10**9


async def state(house: House, told: str) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(_TORRENT, (told,))

    await house.ground.catalogue.write(work)


@pytest.fixture
async def holders(house: House, films: Path, tmp_path: Path) -> Holders:
    """A client holds ``a``, which has three names in two libraries, and ``c``."""
    for day, name in enumerate("abcd", 1):
        write(films / name, name.encode() * day)
        os.utime(films / name, (day * 86_400, day * 86_400))
    os.link(films / "a", films / "A")
    write(tmp_path / "music" / "e")
    os.link(films / "a", tmp_path / "music" / "link")
    await house.add(films)
    await house.add(tmp_path / "music")
    await house.scan()
    await house.scan("music")
    await state(house, "paused")

    async def claim(tx: Transaction) -> None:
        await tx.executemany(_CLAIM, [(b"a",), (b"c",)])

    await house.ground.catalogue.write(claim)
    return house.ground.use(Holders)  # type: ignore[type-abstract]


def inode(path: Path) -> Inode:
    status = path.stat()
    return status.st_dev, status.st_ino


async def test_an_inode_is_held_by_any_of_its_names(
    holders: Holders, house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_ASKED", 2)
    every = {inode(films / name) for name in "abcd"} | {inode(tmp_path / "music" / "e")}
    assert await holders.held(every) == {inode(films / "a"), inode(films / "c")}
    assert await holders.held([]) == set()
    await state(house, "removed")
    assert await holders.held(every) == set()


async def test_of_a_library_it_is_told_what_is_held_and_old_enough(holders: Holders) -> None:
    old = HeldFiles(1, 1, (HeldFile(b"A", 1),))
    assert await holders.held_in("films", DAY_NS, 10) == old
    assert await holders.held_in("films", 2 * DAY_NS, 10) == old
    every = HeldFiles(2, 4, (HeldFile(b"A", 1), HeldFile(b"c", 3)))
    assert await holders.held_in("films", None, 10) == every
    assert await holders.held_in("films", None, 1) == HeldFiles(2, 4, every.first[:1])
    assert await holders.held_in("films", 0, 10) == HeldFiles()
    assert await holders.held_in("music", None, 10) == HeldFiles(1, 1, (HeldFile(b"link", 1),))
    with pytest.raises(NotFound, match="There is no library shows"):
        await holders.held_in("shows", None, 10)
