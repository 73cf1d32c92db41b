"""Which files in a trash torrents would find again, by what a client tells of theirs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.contract.holding import GoneFile
from engine.media.source.clients.places import HIDDEN, MISSING, THERE
from engine.media.source.polling import Pace
from engine.media.source.wanting import Wanting
from tests.unit.media.source.servers import Asked, Server
from tests.unit.media.source.test_torrents import BIG, Opened, downloads, kind, opened, server

__all__ = ["downloads", "kind", "opened", "server"]

SMALL, LARGE = (1, 10), (1, 11)
GONE = [GoneFile(b"/films/a.mkv", 100, SMALL), GoneFile(b"/films/b.mkv", BIG, LARGE)]


@pytest.mark.parametrize(
    ("row", "inode"),
    [
        (["/films/a.mkv", 100, MISSING, 0, 0], SMALL),
        (["/films/a.mkv", 100, HIDDEN, 0, 0], SMALL),
        (["/films/a.mkv", 99, MISSING, 0, 0], None),
        (["/other/a.mkv", 100, MISSING, 0, 0], None),  # A small file's name tells little.
        (["/other/b.mkv", BIG, MISSING, 0, 0], LARGE),  # The client's paths may be other ones.
        (["/other/b.mkv", BIG, HIDDEN, 0, 0], None),
        (["/films/a.mkv", 100, THERE, 1, 99], None),  # Another file took its place.
        (["/seeds/link.mkv", 100, THERE, *SMALL], None),  # Another name of it, which stays.
        (["/films/.arcanum-trash/p1/1", 100, THERE, *SMALL], SMALL),
    ],
)
async def test_what_is_wanted(row: list[object], inode: tuple[int, int] | None) -> None:
    wanting = Wanting(GONE)
    await wanting.take("box", "Show\x1b", [row])
    assert wanting.found == ({inode: "Show\\x1b (box)"} if inode else {})


async def test_a_client_that_takes_too_long_was_not_asked(opened: Opened, server: Server) -> None:
    async def says_nothing(_writer: object, _asked: Asked) -> bool:
        await asyncio.sleep(60)
        return True

    server.misbehave = says_nothing
    async with opened(server.url, Pace(first=3600, waited=0.5)) as desk:
        wanted = await desk.desk.holders(lambda _name: 1).wanted(GONE)
    assert (wanted.by, wanted.asked) == ({}, ())
    assert wanted.unasked == (("box", "it took longer than 0.5 s"),)


async def test_without_a_client_nobody_is_asked(opened: Opened, downloads: Path) -> None:
    async with opened("") as desk:
        wanted = await desk.desk.holders(lambda _name: 1).wanted(GONE)
    assert (wanted.by, wanted.asked, wanted.unasked) == ({}, (), ())
