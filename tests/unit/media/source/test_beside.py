"""Records that come beside a file after it was looked into: it is looked into once more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.sources import AskSources
from engine.media.source import sidecars
from tests.fakes.waiting import until
from tests.unit.media.house import House, write
from tests.unit.media.source.looking import INFO

RECORD = json.dumps(INFO).encode()
ZONE = b"[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=https://h.example/film.mkv\r\n"


async def kinds(house: House, name: str) -> set[str]:
    """What is known, as it is stored: nothing is looked into by asking."""
    rows = await house.ground.catalogue.read(
        "SELECT source.kind FROM source JOIN file ON file.id = source.file WHERE path = ?",
        (name.encode(),),
    )
    return {row["kind"] for row in rows}


async def waiting(house: House) -> set[bytes]:
    rows = await house.ground.catalogue.read("SELECT path FROM file WHERE surveyed = 0")
    return {row["path"] for row in rows}


async def surveyed(house: House) -> None:
    async def all_of_it() -> bool:
        return not await waiting(house)

    await until(all_of_it, 20)


@pytest.fixture
async def filled(house: House, films: Path) -> House:
    for name in ("dune.mp4", "dune.en.vtt", "dune", "dune2.mp4", "dune.d/dune.mp4", "x/dune.mp4"):
        write(films / name, name.encode())
    await house.add(films)
    await house.scan()
    await surveyed(house)
    return house


async def test_a_record_that_comes_later_is_read(filled: House, films: Path) -> None:
    write(films / "dune.info.json", RECORD)
    await filled.scan()
    await surveyed(filled)
    for name in ("dune.mp4", "dune.en.vtt", "dune"):
        assert await kinds(filled, name) == {"download"}
    for name in ("dune2.mp4", "dune.d/dune.mp4", "x/dune.mp4"):
        assert await kinds(filled, name) == set()


async def test_only_whose_record_it_is_is_looked_into_again(
    filled: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled.room._surveyor, "wake", lambda _library: None)
    write(films / "dune.info.json", RECORD)
    write(films / "x" / "dune.mp4:Zone.Identifier", ZONE)
    write(films / ".info.json", RECORD)
    await filled.scan()
    new = {b"dune.info.json", b"x/dune.mp4:Zone.Identifier", b".info.json"}
    again = {b"dune.mp4", b"dune.en.vtt", b"dune", b"x/dune.mp4"}
    assert await waiting(filled) == new | again
    summary = (await filled.door.call(media.SOURCES, AskSources(library="films"))).summary
    assert summary is not None
    assert (summary.files, summary.known, summary.waiting) == (9, 0, 7)


async def test_so_is_one_that_is_renamed_or_written_anew(filled: House, films: Path) -> None:
    write(films / "dune.info.json.part", RECORD)
    write(films / "dune2.info.json", b"{}")
    write(films / "x" / "dune.mp4:Zone.Identifier", b"")
    await filled.scan()
    await surveyed(filled)
    assert await kinds(filled, "dune2.mp4") == await kinds(filled, "x/dune.mp4") == set()
    (films / "dune.info.json.part").rename(films / "dune.info.json")
    write(films / "dune2.info.json", RECORD)
    write(films / "x" / "dune.mp4:Zone.Identifier", ZONE)
    await filled.scan()
    await surveyed(filled)
    assert await kinds(filled, "dune.mp4") == {"download"}
    assert await kinds(filled, "dune2.mp4") == {"download"}
    assert await kinds(filled, "x/dune.mp4") == {"url"}


async def test_where_the_library_is_watched_nobody_need_ask(lively: House, films: Path) -> None:
    write(films / "dune.mp4", b"words")
    await lively.add(films)
    await lively.until_live()
    await surveyed(lively)
    write(films / "dune.info.json", RECORD)

    async def known() -> bool:
        return await kinds(lively, "dune.mp4") == {"download"}

    await until(known, 20)
    found = await lively.door.call(
        media.SOURCES, AskSources(library="films", path=PathRef.of("dune.mp4"))
    )
    assert found.sources[0].evidence["told by"] == "dune.info.json"


async def test_one_that_comes_while_the_file_is_looked_into_is_not_missed(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was there before it; what it found is written down after it."""
    examiner = house.room._surveyor._examiner
    real, late = examiner.examine, [films / "dune.info.json"]

    async def examine(root: bytes, targets: Sequence[Any]) -> AsyncIterator[list[Any]]:
        async for rows in real(root, targets):
            if late:
                write(late.pop(), RECORD)
                await house.room._indexers["films"].refresh([b"dune.info.json"])
            yield rows

    monkeypatch.setattr(examiner, "examine", examine)
    write(films / "dune.mp4", b"words")
    await house.add(films)
    await house.scan()
    await surveyed(house)
    assert await kinds(house, "dune.mp4") == {"download"}


def test_whose_a_record_is_agrees_with_where_it_is_looked_for() -> None:
    for name in (b"a", b"a.mkv", b"a.f137.mp4", b"a.", b"f/a.b.c", b"f/.a.mkv", b"a.mkv.info.json"):
        for record in sidecars.records_of(name):
            owners = sidecars.owners(record)
            assert owners is not None
            assert name == owners[0] or owners[1] <= name < owners[2]
    for name in (b".info.json", b"f/.info.json", b":Zone.Identifier", b"a.mkv", b"a.json"):
        assert sidecars.owners(name) is None
