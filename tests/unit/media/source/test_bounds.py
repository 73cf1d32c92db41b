"""What is known of where files came from stays within bounds, and takes its work in small parts."""

from __future__ import annotations

import asyncio
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from engine.config import ClientConfig, MediaConfig
from engine.contract import media
from engine.contract.base import Empty
from engine.media.source import book, ease, redacting, torrents
from engine.media.source.desk import SourceDesk
from engine.media.source.polling import Pace
from engine.media.source.torrents import Torrents
from engine.store import Transaction
from tests.fakes.door import DoorDouble
from tests.unit.media.house import House
from tests.unit.media.source.servers import SERVERS, Fake

_PUT = (
    "INSERT INTO torrent (client, infohash, name, tracker, category, labels, ratio, seeding_s,"
    " state, files, missing, at) VALUES (?, ?, '', '', '', '', 0, 0, ?, 1, 0, ?)"
)


async def known(house: House) -> list[str]:
    rows = await house.ground.catalogue.read("SELECT infohash FROM torrent ORDER BY infohash")
    return [row["infohash"] for row in rows]


async def test_of_torrents_that_are_no_more_the_newest_are_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps, and none that a client has."""
    monkeypatch.setattr(torrents, "_STEP", 2)
    rows = [("box", f"r{n}", "removed", 100 + n // 2) for n in range(8)]
    rows += [("box", "a-old", "seeding", 1), ("other", "b-old", "paused", 2)]
    steps = []

    async def work(tx: Transaction) -> None:
        await tx.executemany(_PUT, rows)

    real = house.ground.catalogue.write

    async def write(some: Any) -> Any:
        steps.append(await real(some))
        return steps[-1]

    await real(work)
    held = Torrents(house.ground.catalogue, house.room._stored)
    monkeypatch.setattr(house.ground.catalogue, "write", write)
    await held.forget_old(keep=3)
    assert await known(house) == ["a-old", "b-old", "r5", "r6", "r7"]
    assert steps == [2, 2, 1, 0]
    await held.forget_old(keep=3)
    assert len(steps) == 4


@pytest.mark.parametrize("kind", sorted(SERVERS))
async def test_they_are_forgotten_when_a_client_was_asked(
    house: House, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Torrents, "forget_old", partialmethod(Torrents.forget_old, 1))
    fakes = [
        Fake(folder=str(tmp_path), files={"a": (1, True)}, infohash=digit * 40) for digit in "abc"
    ]
    async with SERVERS[kind](fakes).running() as server:
        client = ClientConfig.model_validate({"name": "box", "kind": kind, "url": server.url})
        desk = SourceDesk(
            house.ground.catalogue,
            house.room._stored,
            house.room._surveyor.look,
            MediaConfig(clients=(client,)),
            Pace(first=3600, silent=5),
        )
        door = DoorDouble()
        await desk.start(door)
        try:
            await door.call(media.ASK_CLIENTS, Empty())
            assert len(await known(house)) == 3
            server.torrents = fakes[:1]
            await door.call(media.ASK_CLIENTS, Empty())
        finally:
            await desk.stop()
    assert await known(house) == ["a" * 40, "c" * 40]


async def test_others_run_while_evidence_is_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: what one file says of itself may take a hundred times what another does."""
    monkeypatch.setattr(ease, "_HELD_S", 0.0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    row = {"kind": "url", "origin": "https://h.example/a", "confidence": 0.5}
    task = asyncio.create_task(other())
    try:
        made = await book.prepared({file: [row] * 4 for file in range(50)})
    finally:
        task.cancel()
    assert len(made) == 200
    assert turns >= 200


async def test_a_value_that_is_too_long_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that looks has bounded it; another one may have taken its place."""
    read: list[int] = []
    real = redacting.text

    def text(told: str) -> str:
        read.append(len(told))
        return real(told)

    monkeypatch.setattr(redacting, "text", text)
    secret = "https://user:hunter2@h.example/" + "x" * 50
    row = {
        "kind": "url",
        "origin": "https://h.example/" + "a/" * 10_000,
        "confidence": 0.5,
        "evidence": {"words": "w " * 485 + secret, "one": "w" * 100_000},
    }
    [made] = await book.prepared({1: [row]})
    assert max(read) <= 1000
    assert "hunter2" not in str(made)
    assert len(made[3]) <= 1000
