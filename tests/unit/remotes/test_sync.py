"""A sync deletes there what is not here: what was planned, last, and never the only copy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.contract import approvals, remotes
from engine.contract.errors import Failed, Invalid, Refused, WorldMoved
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, put, tree


async def test_what_is_not_here_is_deleted_there_after_its_count(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, disk = remote
    put(disk, "old/one.mkv", 40)
    put(disk, "two.mkv", 2)
    number = await house.ask(remotes.SYNC, ref)
    card = (await house.shown(number)).card
    assert card.confirm_count == 2
    rows = {row.label: row for row in card.rows}
    assert "delete there 2 files, 42 B" in rows["DO"].text
    assert rows["RISK"].mark == "warn"
    assert {item.text for item in card.items if "deleted" in item.note} == {
        "old/one.mkv",
        "two.mkv",
    }
    with pytest.raises(Invalid, match="asks for the number"):
        await house.call(approvals.APPROVE, approvals.Approve(id=number))
    assert len(tree(disk)) == 2
    ended = await house.approve(number)
    assert ended.state == "done"
    assert ended.outcome is not None
    assert (ended.outcome.result["sent"], ended.outcome.result["deleted"]) == (3, 2)
    assert tree(disk) == tree(films)


@pytest.mark.parametrize("scanned", [False, True])
async def test_what_is_not_the_library_plans_nothing(
    house: House, films: Path, servers: Servers, scanned: bool
) -> None:
    """Its disk is not mounted: what it held is not to be deleted there."""
    put(servers.dav.folder, "away/old.mkv")
    films.rename(films.parent / "away")
    films.mkdir()
    if scanned:
        with pytest.raises(Failed, match="an empty folder is in its place"):
            await house.scan()
    with pytest.raises((Failed, Refused)) as refused:
        await house.ask(remotes.SYNC, "dav:away")
    assert refused.value.message.count("an empty folder is in its place") == 1
    assert "?" not in refused.value.message
    if scanned:
        assert refused.value.hint == "Mount its disk, then: arcanum media scan films"


async def test_a_copy_deletes_nothing(house: House, films: Path, servers: Servers) -> None:
    put(servers.dav.folder, "kept/old.mkv")
    assert (await house.copy("dav:kept")).state == "done"
    assert b"old.mkv" in tree(servers.dav.folder / "kept")


async def test_what_came_there_after_the_plan_stays(
    house: House, films: Path, servers: Servers
) -> None:
    disk = servers.sftp.folder / "later"
    put(disk, "old.mkv")
    number = await house.ask(remotes.SYNC, "sftp:later")
    put(disk, "newer.mkv")
    assert (await house.approve(number)).state == "done"
    assert set(tree(disk)) == {*tree(films), b"newer.mkv"}


async def test_what_changed_there_or_is_here_again_refuses(
    house: House, films: Path, servers: Servers
) -> None:
    disk = servers.sftp.folder / "again"
    put(disk, "old.mkv")
    number = await house.ask(remotes.SYNC, "sftp:again")
    put(disk, "old.mkv", 777)
    with pytest.raises(WorldMoved, match=r"old\.mkv has another size there now"):
        await house.approve(number)
    number = await house.ask(remotes.SYNC, "sftp:again")
    put(films, "old.mkv")
    with pytest.raises(WorldMoved, match=r"old\.mkv is here again"):
        await house.approve(number)
    assert set(tree(disk)) == {b"old.mkv"}


async def test_nothing_is_deleted_where_something_could_not_be_sent(
    house: House, films: Path, servers: Servers
) -> None:
    """A file was renamed here: its old copy there stays until the new one is there."""
    disk = servers.sftp.folder / "renamed"
    put(disk, "before.mkv")
    for number in range(4):
        put(films, f"a{number}.bin", 150_000)
    put(films, "zz-after.mkv")
    number = await house.ask(remotes.SYNC, "sftp:renamed", bandwidth=150_000)
    running = asyncio.create_task(house.approve(number))
    await house.sending(number)
    (films / "zz-after.mkv").unlink()
    await house.unlimited()
    ended = await running
    assert ended.state == "partial"
    assert ended.outcome is not None
    assert any("nothing was deleted there" in problem for problem in ended.outcome.problems)
    assert b"before.mkv" in tree(disk)


async def test_an_empty_library_deletes_nothing(
    house: House, films: Path, servers: Servers
) -> None:
    put(servers.dav.folder, "whole/a.mkv")
    for each in films.rglob("*.mkv"):
        each.unlink()
    with pytest.raises(Refused, match="holds no files"):
        await house.ask(remotes.SYNC, "dav:whole")


async def test_a_file_that_cannot_be_looked_at_here_keeps_its_copy(
    house: House, films: Path, servers: Servers
) -> None:
    """It is on the disk, but no regular file any more: nothing says that it is gone."""
    disk = servers.sftp.folder / "unsure"
    put(disk, "heat.mkv", 200_000)
    (films / "heat.mkv").unlink()
    (films / "heat.mkv").symlink_to("/nowhere")
    number = await house.ask(remotes.SYNC, "sftp:unsure")
    card = (await house.shown(number)).card
    assert not [item for item in card.items if "deleted" in item.note]
    assert (await house.approve(number)).state == "done"
    assert b"heat.mkv" in tree(disk)
