"""Which catalogued files torrent clients hold: the desk, its process, a client on loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import ClientConfig, Config, MediaConfig
from engine.contract import media
from engine.contract.base import Empty, PathRef
from engine.contract.errors import NotFound
from engine.contract.sources import AskSources, SourceReport, TorrentClient
from engine.contract.traits import Provenance
from engine.media.room import MediaRoom
from engine.media.source.desk import SourceDesk
from engine.media.source.polling import Pace
from tests.fakes.door import DoorDouble
from tests.fakes.waiting import until
from tests.unit.media.house import House, children, write
from tests.unit.media.source.servers import ANNOUNCE, HASH, SERVERS, Asked, Fake, Server

NEVER = Pace(first=3600, silent=5)
BIG = 70_000


class Desk:
    def __init__(self, house: House, desk: SourceDesk, door: DoorDouble) -> None:
        self.house, self.desk, self._door = house, desk, door

    async def ask(self) -> TorrentClient:
        found = await self._door.call(media.ASK_CLIENTS, Empty())
        return found.clients[0]

    async def listed(self) -> list[TorrentClient]:
        return list((await self._door.call(media.CLIENTS, Empty())).clients)

    async def report(self, **values: Any) -> SourceReport:
        return await self._door.call(media.SOURCES, AskSources(**values))

    async def torrent(self, path: str) -> Provenance | None:
        found = await self.report(library="films", path=PathRef.of(path))
        return next((source for source in found.sources if source.kind == "torrent"), None)

    async def claims(self) -> dict[bytes, str]:
        rows = await self.house.ground.catalogue.read(
            "SELECT path, how FROM claim JOIN file ON file.id = claim.file"
        )
        return {row["path"]: row["how"] for row in rows}

    async def everything_stored(self) -> str:
        tables = ("source", "torrent", "claim")
        rows = [await self.house.ground.catalogue.read(f"SELECT * FROM {t}") for t in tables]
        return str([[tuple(row) for row in table] for table in rows])


@pytest.fixture(params=sorted(SERVERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Opened = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def opened(house: House, kind: str) -> Opened:
    @asynccontextmanager
    async def make(url: str, pace: Pace = NEVER, **values: Any) -> AsyncIterator[Desk]:
        client = {"name": "box", "kind": kind, "url": url, **values}
        clients = (ClientConfig.model_validate(client),) if url else ()
        door = DoorDouble()
        desk = SourceDesk(
            house.ground.catalogue,
            house.room._stored,
            house.room._surveyor.look,
            MediaConfig(clients=clients),
            pace,
        )
        await desk.start(door)
        try:
            yield Desk(house, desk, door)
        finally:
            await desk.stop()
            await until(lambda: not children("source.clients.asker"))

    return make


@pytest.fixture
async def downloads(house: House, films: Path, tmp_path: Path) -> Path:
    """Where the client keeps its files: outside of the library, which has a link to one."""
    folder = tmp_path / "downloads"
    write(folder / "Show" / "e1.mkv", os.urandom(BIG))
    write(folder / "Show" / "e2.mkv", os.urandom(BIG + 1))
    os.link(folder / "Show" / "e1.mkv", films / "Episode One.mkv")
    write(films / "other.mkv", os.urandom(BIG))
    await house.add(films)
    await house.scan()
    return folder


def show(folder: Path | str, **values: Any) -> Fake:
    files = {"Show/e1.mkv": (BIG, True), "Show/e2.mkv": (BIG + 1, True)}
    return Fake(folder=str(folder), files=files, **values)


@pytest.fixture
async def server(kind: str, downloads: Path) -> AsyncIterator[Server]:
    async with SERVERS[kind]([show(downloads)]).running() as running:
        yield running


async def test_a_link_to_a_torrents_file_comes_from_the_torrent(
    opened: Opened, server: Server
) -> None:
    async with opened(server.url) as desk:
        state = await desk.ask()
        assert (state.state, state.torrents, state.seeding, state.claimed, state.unfound) == (
            *("ok", 1, 1, 1, 0),
        )
        assert await desk.claims() == {b"Episode One.mkv": "inode"}
        found = await desk.torrent("Episode One.mkv")
        assert found is not None
        assert (found.origin, found.confidence) == (f"urn:btih:{HASH}", 0.98)
        wanted = {
            "client": "box",
            "torrent": "Show",
            "tracker": "tracker.example",
            "labels": "a, b",
            "private": "yes",
            "state": "seeding",
            "ratio": "1.25",
            "seeding seconds": "7200",
            "told by": "it is the torrent's file",
        }
        assert {k: v for k, v in found.evidence.items() if k != "category"} == wanted
        assert await desk.torrent("other.mkv") is None
        summary = (await desk.report(library="films")).summary
        assert summary is not None
        assert [(c.name, c.files) for c in summary.trackers] == [("tracker.example", 1)]
        assert "hunter2" in ANNOUNCE
        assert "hunter2" not in await desk.everything_stored()


async def test_what_changes_at_the_client_changes_here(
    opened: Opened, server: Server, house: House, films: Path, downloads: Path
) -> None:
    async with opened(server.url) as desk:
        await desk.ask()
        server.torrents = [show(downloads, state="paused", ratio=2.0, seconds=9000)]
        await desk.ask()
        found = await desk.torrent("Episode One.mkv")
        assert found is not None
        evidence = found.evidence
        assert (evidence["state"], evidence["ratio"], evidence["seeding seconds"]) == (
            *("paused", "2.00", "9000"),
        )
        os.link(downloads / "Show" / "e2.mkv", films / "Two.mkv")
        await house.scan()
        await desk.ask()
        assert await desk.claims() == {b"Episode One.mkv": "inode", b"Two.mkv": "inode"}


async def test_a_torrent_that_is_removed_is_still_the_source(
    opened: Opened, server: Server
) -> None:
    async with opened(server.url) as desk:
        await desk.ask()
        server.torrents = []
        state = await desk.ask()
        assert (state.torrents, state.claimed) == (0, 0)
        found = await desk.torrent("Episode One.mkv")
        assert found is not None
        assert found.evidence["state"] == "removed"
        assert await desk.claims() == {}


async def test_paths_of_a_container_are_mapped(
    opened: Opened, server: Server, downloads: Path
) -> None:
    server.torrents = [show("/data/dl")]
    async with opened(server.url, paths={"/data/dl": str(downloads)}) as desk:
        assert (await desk.ask()).unfound == 0
        assert await desk.claims() == {b"Episode One.mkv": "inode"}


async def test_unmapped_paths_are_a_problem_and_hold_back(
    opened: Opened, server: Server, house: House, films: Path
) -> None:
    """Rather one file too many that is not touched."""
    write(films / "copied" / "e1.mkv", os.urandom(BIG))
    await house.scan()
    server.torrents = [show("/data/dl")]
    async with opened(server.url) as desk:
        state = await desk.ask()
        assert (state.state, state.unfound) == ("ok", 1)
        assert state.example is not None
        assert state.example.display == "/data/dl/Show/e1.mkv"
        assert await desk.claims() == {b"copied/e1.mkv": "name"}
        found = await desk.torrent("copied/e1.mkv")
        assert found is not None
        assert found.confidence == 0.5
        [concern] = desk.desk.concerns()
        assert concern.severity == "unknown"
        assert "/data/dl/Show/e1.mkv" in concern.text
        assert "media.clients.paths" in concern.text


async def test_files_that_cannot_be_seen_are_known_by_path_and_size(
    opened: Opened, server: Server, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk says nothing of a file, the catalogue does."""
    from engine.media.source.torrents import Heard, Torrents

    async with opened(server.url) as desk:
        torrents = Torrents(desk.house.ground.catalogue, desk.house.room._stored)
        heard = Heard({"infohash": HASH}, same=False)
        for name, size in (("other.mkv", BIG), ("Episode One.mkv", BIG + 5)):
            await torrents.match(heard, [[f"{films}/{name}", size, 2, 0, 0]])
    assert list(heard.ids.values()) == ["path"]


async def test_a_dead_client_costs_a_line_and_still_holds_its_files(
    opened: Opened, kind: str, downloads: Path
) -> None:
    async with SERVERS[kind]([show(downloads)]).running() as server:
        pass
    async with opened(server.url) as desk:
        assert (await desk.listed())[0].state == "not asked"
        state = await desk.ask()
        assert state.state == "failing"
        assert state.note.startswith("Connection refused. Does it run")
        [concern] = desk.desk.concerns()
        assert (concern.severity, concern.subject) == ("broken", "box")


async def test_the_status_names_a_client_that_fails(house: House, kind: str) -> None:
    client = {"name": "box", "kind": kind, "url": "http://127.0.0.1:1"}
    room = MediaRoom(
        replace(
            house.ground,
            door=DoorDouble(),
            config=Config(media=MediaConfig(clients=(ClientConfig.model_validate(client),))),
        )
    )
    await room.start()
    try:
        await room._sources._clients.ask()
        assert [concern.subject for concern in await room._concerns()] == ["box"]
    finally:
        await room.stop()


async def test_what_it_held_is_held_while_it_is_away(opened: Opened, server: Server) -> None:
    async def hangs_up(_writer: asyncio.StreamWriter, _asked: Asked) -> bool:
        return True

    async with opened(server.url) as desk:
        await desk.ask()
        server.misbehave = hangs_up
        assert (await desk.ask()).state == "failing"
        assert await desk.claims() == {b"Episode One.mkv": "inode"}
        server.misbehave = None
        assert (await desk.ask()).state == "ok"
        assert desk.desk.concerns() == []


async def test_one_that_drips_is_given_up(opened: Opened, server: Server) -> None:
    async def drips(writer: asyncio.StreamWriter, _asked: Asked) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"[")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.misbehave = drips
    async with opened(server.url, Pace(first=3600, silent=1, longest=1)) as desk:
        assert (await desk.ask()).note.startswith("it does not answer.")


async def test_it_is_asked_by_itself_and_again(opened: Opened, server: Server) -> None:
    async with opened(server.url, Pace(first=0, every=0.1)) as desk:

        async def known() -> bool:
            return await desk.claims() == {b"Episode One.mkv": "inode"}

        await until(known, 10)
        server.torrents[0].ratio = 3.0

        async def told() -> bool:
            found = await desk.torrent("Episode One.mkv")
            return found is not None and found.evidence["ratio"] == "3.00"

        await until(told, 10)
        asked = [a for a in server.asked if b'"ids"' in a.body or "torrents/files" in a.path]
        assert len(asked) == 1  # Its files were known by then.


async def test_a_client_that_is_configured_no_more_holds_nothing(
    opened: Opened, server: Server
) -> None:
    async with opened(server.url) as desk:
        await desk.ask()
    async with opened("") as desk:
        assert await desk.claims() == {}
        assert await desk.listed() == []
        found = await desk.torrent("Episode One.mkv")
        assert found is not None
        assert found.evidence["state"] == "removed"
        with pytest.raises(NotFound, match="No torrent client"):
            await desk.ask()


async def test_passwords_come_from_the_environment_or_a_file(
    opened: Opened, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.user, server.password = "me", "hunter2"
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv("BOX_PASSWORD", "hunter2")
    for where in ({"password_env": "BOX_PASSWORD"}, {"password_file": tmp_path / "secret"}):
        async with opened(server.url, username="me", **where) as desk:
            assert (await desk.ask()).state == "ok"
    for where, why in (
        ({"password_env": "NO_SUCH"}, "NO_SUCH is not set"),
        ({"password_file": tmp_path / "none"}, "password_file cannot be read"),
        ({}, "it refuses the user"),
    ):
        async with opened(server.url, username="me", **where) as desk:
            state = await desk.ask()
            assert state.state == "failing"
            assert why in state.note
            assert "hunter2" not in state.model_dump_json()
