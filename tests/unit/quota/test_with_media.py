"""The whole way on the real catalogue: add, scan, limit, plan, prune, undo."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from engine.config import ClientConfig, Config, MediaConfig
from engine.contract import assets, jobs, media
from engine.contract.approvals import ApprovalState
from engine.contract.assets import ScanLibrary
from engine.contract.base import Empty, PathRef
from engine.contract.call import Call
from engine.contract.client import Done
from engine.contract.integrity import AskHistory
from engine.contract.quota import OtherCopies
from engine.contract.traits import ShowAsset
from engine.core.engine import Engine
from engine.home import Home
from engine.store import Transaction
from tests.fakes.waiting import until
from tests.unit.media.source.servers import SERVERS, Asked, Fake
from tests.unit.quota.house import House, put, tree


async def _scan(house: House, library: str) -> None:
    started = await house.call(media.SCAN, ScanLibrary(library=library))

    async def ended() -> bool:
        job = await house.call(jobs.SHOW, jobs.JobId(id=started.job_id))
        return job.state in jobs.ENDED

    await until(ended, 20)


@asynccontextmanager
async def _opened(home: Path, config: Config) -> AsyncIterator[House]:
    place = Home(home / "config.toml", home / "data", home / "run")
    place.prepare()
    engine = Engine(place, config, cast(Any, None), "command")
    await engine.open()
    try:
        yield House(engine)
    finally:
        await engine.stop()


async def _add(house: House, root: Path) -> None:
    request = assets.AddLibrary(path=PathRef.of(root), name=root.name)
    assert isinstance(await house.gate.call(media.ADD, request, Call()), Done)
    await _scan(house, root.name)


async def test_the_trash_is_no_part_of_the_library(films: Path, tmp_path: Path) -> None:
    before = tree(films)
    async with _opened(tmp_path / "home", Config()) as house:
        await _add(house, films)
        gauge = await house.limit("films", 250)
        assert (gauge.used, gauge.over) == (500, 250)
        plan = await house.plan("films")
        assert [item.path.display for item in plan.items] == ["a.mkv", "b/b.mkv", "c.mkv"]

        assert (await house.approve(await house.prune("films"))).state is ApprovalState.DONE
        gauge = await house.gauge("films")
        assert (gauge.used, gauge.in_trash, gauge.state) == (200, 300, "ok")
        await _scan(house, "films")
        assert (await house.gauge("films")).used == 200

        await house.undo(plan.id)
        assert tree(films) == before
        assert (await house.gauge("films")).used == 500


@pytest.mark.parametrize("kind", sorted(SERVERS))
async def test_what_a_torrent_client_holds_stays(kind: str, films: Path, tmp_path: Path) -> None:
    """Also under a name that came after the client was asked, in a library that it knows not."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    os.link(films / "a.mkv", downloads / "first.mkv")
    fake = Fake(folder=str(downloads), files={"first.mkv": (100, True)})
    async with SERVERS[kind]([fake]).running() as server:
        client = ClientConfig.model_validate({"name": "box", "kind": kind, "url": server.url})
        config = Config(media=MediaConfig(clients=(client,)))
        async with _opened(tmp_path / "home", config) as house:
            await _add(house, films)
            asked = await house.call(media.ASK_CLIENTS, Empty())
            assert [one.claimed for one in asked.clients] == [1]
            await house.limit("films", 250)
            plan = await house.plan("films")
            assert [item.path.display for item in plan.items] == ["b/b.mkv", "c.mkv", "d.mkv"]
            assert [file.path.display for file in plan.stay] == ["a.mkv"]

            more = tmp_path / "more"
            put(more, "new.mkv", 300, 9)
            os.link(films / "a.mkv", more / "link.mkv")
            await _add(house, more)
            await house.limit("more", 350)
            plan = await house.plan("more")
            assert [item.path.display for item in plan.items] == ["new.mkv"]
            assert [file.path.display for file in plan.stay] == ["link.mkv"]

            server.torrents = []
            await house.call(media.ASK_CLIENTS, Empty())
            assert (await house.plan("more")).stay_files == 0
            card = (await house.shown(await house.prune("films"))).card
            assert [item.text for item in card.items] == ["a.mkv", "b/b.mkv", "c.mkv"]
            rows = {row.label: row.text for row in card.rows}
            assert "no torrent client is known to hold one" in rows["SAFE"]
            assert rows["RISK"] == (  # a.mkv got another name since it was hashed.
                "no other copy of 2 of them is known · not known: other copies of 1 (not hashed)"
            )


@pytest.mark.parametrize("kind", sorted(SERVERS))
async def test_a_purge_says_what_torrents_still_want(
    kind: str, films: Path, tmp_path: Path
) -> None:
    """Before the yes: a torrent may have been added since, and would be whole if it came back."""
    async with SERVERS[kind]([]).running() as server:
        client = ClientConfig.model_validate({"name": "box", "kind": kind, "url": server.url})
        config = Config(media=MediaConfig(clients=(client,)))
        async with _opened(tmp_path / "home", config) as house:
            await _add(house, films)
            await house.limit("films", 250)
            await house.approve(await house.prune("films"))
            rows, _notes = await _purge(house)
            assert rows["SAFE"] == "each is what was put there · not wanted by box"
            assert rows["RISK"] == "no other copy of any of them is known"

            files = {"a.mkv": (100, True), "b/b.mkv": (99, True), "e.mkv": (100, True)}
            server.torrents = [Fake(folder=str(films), files=files, name="Show\x1b")]
            rows, notes = await _purge(house)
            assert rows["SAFE"] == "each is what was put there"
            assert rows["RISK"] == (
                "1 file is still wanted by torrents: Show\\x1b (box)"
                " · no other copy of any of them is known"
            )
            assert notes["a.mkv"] == "wanted by Show\\x1b (box)"
            assert notes["b/b.mkv"].startswith("oldest")  # Another size: it is another file.

            server.misbehave = _hangs_up
            rows, _notes = await _purge(house)
            assert rows["SAFE"] == "each is what was put there"
            assert " · not known: what box still wants (not asked: " in rows["RISK"]


async def test_what_goes_says_of_how_much_there_is_another_copy(
    films: Path, tmp_path: Path
) -> None:
    """Neither a hard link is one, nor what goes too, is damaged, or lies on a disk that is away."""
    more, away = tmp_path / "more", tmp_path / "away"
    put(more, "a.mkv", 100, 9)  # A copy that stays.
    os.link(films / "b/b.mkv", films / "linked.mkv")
    shutil.copyfile(films / "c.mkv", films / "d.mkv")  # It goes as well.
    os.utime(films / "d.mkv", (1, 1))
    put(away, "c.mkv", 100, 9)
    put(more, "c.mkv", 100, 9)
    async with _opened(tmp_path / "home", Config()) as house:
        for root in (films, more, away):
            await _add(house, root)

        async def rot(tx: Transaction) -> None:
            sql = "UPDATE file SET damage = 'rotten' WHERE path = ? AND mtime_ns > ?"
            assert await tx.execute(sql, (b"c.mkv", 5 * 86_400 * 10**9)) == 2

        await house.engine.ground.catalogue.write(rot)
        await house.limit("films", 101)
        plan = await house.plan("films")
        said = "no other copy of 4 of them is known · another copy of 1 is known"
        assert plan.copies == OtherCopies(known=1, none=4, unhashed=0, text=said)
        assert {item.path.display: item.copied for item in plan.items} == {
            "a.mkv": True, "b/b.mkv": False, "linked.mkv": False, "c.mkv": False, "d.mkv": False,
        }  # fmt: skip
        card = (await house.shown(await house.prune("films"))).card
        rows = {row.label: row.text for row in card.rows}
        assert rows["RISK"].startswith(f"{said} · not known: seeding")
        notes = {item.text: item.note for item in card.items}
        assert "no other copy" not in notes["a.mkv"]
        assert notes["c.mkv"].endswith("; no other copy is known")

        async def heal(tx: Transaction) -> None:
            # Only the copy on the disk that is away is good.
            await tx.execute(
                "UPDATE file SET damage = '' WHERE library ="
                " (SELECT id FROM library WHERE root = ?)",
                (os.fsencode(away),),
            )

        await house.engine.ground.catalogue.write(heal)
        copies = (await house.plan("films")).copies
        assert copies is not None
        assert (copies.known, copies.none) == (3, 2)
        away.rename(tmp_path / "gone")
        await _scan(house, "away")
        copies = (await house.plan("films")).copies
        assert copies is not None
        assert (copies.known, copies.none) == (1, 4)


async def test_what_happened_names_the_approval_that_it_went_by(
    films: Path, tmp_path: Path
) -> None:
    """A file that somebody removes himself, before or after, went by no approval."""

    async def told(house: House, path: str) -> list[tuple[str, int | None]]:
        request = AskHistory(library="films", path=PathRef.of(path))
        found = await house.call(media.HISTORY, request)
        return [(one.what, one.approval) for one in reversed(found.happenings)]

    async with _opened(tmp_path / "home", Config()) as house:
        await _add(house, films)
        content = (films / "a.mkv").read_bytes()
        (films / "a.mkv").unlink()
        await _scan(house, "films")
        (films / "a.mkv").write_bytes(content)
        os.utime(films / "a.mkv", (1, 1))
        await _scan(house, "films")
        await house.limit("films", 250)
        number = await house.prune("films")
        await house.approve(number)
        assert await told(house, "b/b.mkv") == [("gone", number)]
        await house.undo("p1")
        await _scan(house, "films")
        assert await told(house, "b/b.mkv") == [("gone", number), ("returned", number)]
        before = [("gone", None), ("returned", None)]
        assert await told(house, "a.mkv") == [*before, ("gone", number), ("returned", number)]
        (films / "a.mkv").unlink()
        await _scan(house, "films")
        assert (await told(house, "a.mkv"))[-1] == ("gone", None)
        shown = await house.call(media.SHOW, ShowAsset(library="films", path=PathRef.of("b/b.mkv")))
        assert [one.approval for one in shown.history] == [number, number]


async def _hangs_up(_writer: asyncio.StreamWriter, _asked: Asked) -> bool:
    return True


async def _purge(house: House) -> tuple[dict[str, str], dict[str, str]]:
    """The rows of the card, and what is noted of each file."""
    card = (await house.shown(await house.purge("p1"))).card
    return {row.label: row.text for row in card.rows}, {i.text: i.note for i in card.items}
