"""Undo brings everything back and overwrites nothing; a purge deletes what it said, once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, cast

import pytest

from engine.contract.approvals import ApprovalState
from engine.contract.errors import Cancelled, Invalid, NotFound, Refused, WorldMoved
from engine.contract.ports import TRASH_FOLDER
from engine.quota import QuotaRoom, moves, trash
from tests.unit.quota.house import House, opened, put, tree

TRASH = os.fsdecode(TRASH_FOLDER)


@pytest.fixture
async def pruned(house: House) -> House:
    await house.approve(await house.prune("films"))
    return house


async def test_undo_never_overwrites(pruned: House, films: Path) -> None:
    mine = put(films, "a.mkv", 5, 9)
    undone = await pruned.undo("p1")
    assert (undone.restored, undone.bytes) == (2, 200)
    assert [path.data for path in undone.conflicts] == [b"a.mkv"]
    assert mine.stat().st_size == 5
    trash = await pruned.trash()
    assert [item.path.data for item in trash.plans[0].items] == [b"a.mkv"]
    assert not (await pruned.shown(1)).undone

    mine.unlink()
    assert (await pruned.undo("p1")).restored == 1
    assert mine.stat().st_size == 100
    assert (await pruned.shown(1)).undone


async def test_undo_twice_is_once(pruned: House, films: Path) -> None:
    await pruned.undo("p1")
    before = tree(films)
    again = await pruned.undo("p1")
    assert (again.restored, again.conflicts) == (0, ())
    assert tree(films) == before
    assert (await pruned.kinds()).count("quota.undone") == 1


async def test_an_undo_that_the_engine_stops_goes_on_later(
    pruned: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "CHUNK", 1)
    back = moves.to_library

    def stop_after(*given: Any) -> moves.Problems:
        stopping.append(asyncio.run_coroutine_threadsafe(room.stop(), loop))
        return back(*given)

    loop = asyncio.get_running_loop()
    stopping: list[object] = []
    room = cast(QuotaRoom, pruned.engine.lifecycle._slots["quota"].room)
    with monkeypatch.context() as patch:
        patch.setattr(moves, "to_library", stop_after)
        with pytest.raises(Cancelled, match="1 of 3 files are back"):
            await pruned.undo("p1")
    assert len(stopping) == 1
    assert (await pruned.trash()).files == 2
    assert not (await pruned.shown(1)).undone


async def test_undo_makes_missing_folders_but_follows_no_link(
    pruned: House, films: Path, tmp_path: Path
) -> None:
    (films / "b").rmdir()
    (tmp_path / "trap").mkdir()
    (films / "b").symlink_to(tmp_path / "trap")
    undone = await pruned.undo("p1")
    assert [path.data for path in undone.conflicts] == [b"b/b.mkv"]
    assert not any((tmp_path / "trap").iterdir())
    (films / "b").unlink()
    assert (await pruned.undo("p1")).restored == 1
    assert (films / "b" / "b.mkv").stat().st_size == 100


async def test_undo_of_what_was_never_done(house: House) -> None:
    plan = await house.plan("films")
    with pytest.raises(Refused, match="Nothing of p1 is in the trash: it is open"):
        await house.undo(plan.id)
    with pytest.raises(NotFound, match="no plan x"):
        await house.undo("x")


async def test_undo_where_the_disk_is_away(pruned: House, films: Path, tmp_path: Path) -> None:
    films.rename(tmp_path / "away")
    films.mkdir()
    with pytest.raises(Exception, match="cannot be opened") as caught:
        await pruned.undo("p1")
    assert caught.value.hint == "Is the disk mounted? Then try again."  # type: ignore[attr-defined]
    films.rmdir()
    (tmp_path / "away").rename(films)
    assert (await pruned.undo("p1")).restored == 3


async def test_purge_asks_for_the_count_and_is_final(pruned: House, films: Path) -> None:
    number = await pruned.purge("p1")
    shown = await pruned.shown(number)
    assert shown.card.confirm_count == 3
    assert (films / TRASH).exists()
    with pytest.raises(Invalid, match="asks for the number"):
        await pruned.approve(number)
    done = await pruned.approve(number, count=3)
    assert done.state is ApprovalState.DONE
    assert done.outcome is not None
    assert done.outcome.result == {"plan_id": "p1", "deleted": 3, "bytes": 300, "freed": 300}
    assert done.outcome.undo is None
    assert not (films / TRASH).exists()
    assert (await pruned.gauge("films")).in_trash == 0
    assert (await pruned.kinds())[-1] == "quota.purged"
    prune = await pruned.shown(1)  # whose undo is offered no longer
    assert prune.outcome is not None
    assert prune.outcome.undo is None
    with pytest.raises(Refused, match="was purged"):
        await pruned.undo("p1")


async def test_purge_touches_only_what_was_put_there(pruned: House, films: Path) -> None:
    number = await pruned.purge("p1")
    swapped = films / TRASH / "p1" / "2"
    swapped.unlink()
    swapped.write_bytes(b"something else")
    with pytest.raises(WorldMoved, match="changed or replaced inside the trash"):
        await pruned.approve(number, count=3)
    number = await pruned.purge("p1")
    assert (await pruned.shown(number)).card.confirm_count == 2
    assert (await pruned.approve(number, count=2)).state is ApprovalState.DONE
    assert swapped.read_bytes() == b"something else"


async def test_purge_after_undo_has_nothing_to_do(pruned: House, films: Path) -> None:
    number = await pruned.purge("p1")
    await pruned.undo("p1")
    before = tree(films)
    with pytest.raises(WorldMoved, match="undone"):
        await pruned.approve(number, count=3)
    assert tree(films) == before
    with pytest.raises(Refused, match="Nothing of p1 is in the trash"):
        await pruned.purge("p1")


async def test_purge_of_a_linked_file_says_what_stays(
    house: House, films: Path, tmp_path: Path
) -> None:
    os.link(films / "a.mkv", tmp_path / "seeding.mkv")
    house.catalogue.scan("films")
    await house.approve(await house.prune("films"))
    rows = (await house.shown(await house.purge("p1"))).card.rows
    assert next(row.text for row in rows if row.label == "FREES") == (
        "200 B (100 B hardlinked elsewhere)"
    )


async def test_the_trash_outlives_the_engine(films: Path, tmp_path: Path) -> None:
    before = tree(films)
    async with opened(tmp_path / "home", films=films) as house:
        await house.limit("films", 250)
        await house.approve(await house.prune("films"))
    async with opened(tmp_path / "home", films=films) as house:
        assert (await house.trash()).files == 3
        assert (await house.undo("p1")).restored == 3
    assert tree(films) == before


async def test_the_trash_tells_its_names_without_a_database(pruned: House, films: Path) -> None:
    import json

    lines = (films / TRASH / "p1" / "index.jsonl").read_text().splitlines()
    names = {line["file"]: line["path"] for line in map(json.loads, lines)}
    assert names == {"1": "a.mkv", "2": "b/b.mkv", "3": "c.mkv"}
    assert (films / TRASH / "p1" / "2").read_bytes().startswith(b"b.mkv|")
