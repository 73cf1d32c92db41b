"""Leaving some items of a copy or sync out: a plan of those that are left, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract import approvals, remotes
from engine.contract.approvals import Approval, Kept
from engine.contract.errors import Refused
from engine.contract.remotes import PlanProgressed
from tests.unit.remotes.conftest import Servers
from tests.unit.remotes.house import House, put, tree


async def _keep(house: House, number: int, *names: str) -> int:
    """Leaves these out; the new approval's number."""
    card = (await house.shown(number)).card
    keys = tuple(item.key for item in card.items if item.text in names)
    assert len(keys) == len(names)
    kept: Kept = await house.call(approvals.KEEP, approvals.Keep(id=number, keep=keys))
    return kept.approval_id


def _texts(found: Approval) -> set[str]:
    return {item.text for item in found.card.items}


async def test_what_is_left_out_is_not_sent_and_nothing_else_takes_its_place(
    house: House, films: Path, remote: tuple[str, Path]
) -> None:
    ref, disk = remote
    number = await house.ask(remotes.COPY, ref, bandwidth=0)
    assert (await house.shown(number)).card.keepable
    put(films, "new.mkv")  # Nobody has seen it on the card.
    second = await _keep(house, number, "heat.mkv")
    assert (await house.shown(number)).state == "denied"
    found = await house.shown(second)
    assert _texts(found) == {"dune/dune.mkv", "ran.mkv"}
    assert any("1 file left out by you" in row.text for row in found.card.rows)
    third = await _keep(house, second, "ran.mkv")  # What was left out before stays so.
    assert _texts(await house.shown(third)) == {"dune/dune.mkv"}
    assert (await house.approve(third)).state == "done"
    assert list(tree(disk)) == [b"dune/dune.mkv"]


async def test_what_is_lost_there_can_be_left_out_and_the_number_follows(
    house: House, servers: Servers
) -> None:
    disk = servers.sftp.folder / "keep"
    put(disk, "old/one.mkv", 40)
    put(disk, "two.mkv", 2)
    number = await house.ask(remotes.SYNC, "sftp:keep")
    assert (await house.shown(number)).card.confirm_count == 2
    second = await _keep(house, number, "two.mkv", "heat.mkv")
    card = (await house.shown(second)).card
    assert card.confirm_count == 1
    risk = next(row.text for row in card.rows if row.label == "RISK")
    assert "deletes happen though 1 file was left out by you" in risk
    assert (await house.approve(second)).state == "done"
    assert set(tree(disk)) == {b"two.mkv", b"dune/dune.mkv", b"ran.mkv"}


async def test_all_of_it_is_a_no(house: House) -> None:
    number = await house.ask(remotes.COPY, "dav:none")
    with pytest.raises(Refused, match="nothing is left"):
        await _keep(house, number, "heat.mkv", "ran.mkv", "dune/dune.mkv")
    assert (await house.shown(number)).state == "pending"


async def test_a_plan_tells_how_far_its_list_and_its_comparison_are(
    house: House, servers: Servers
) -> None:
    for number in range(30):
        put(servers.dav.folder, f"told/{number % 3}/{number}.bin", 1)
    with house.engine.bus.subscribe() as events:
        await house.ask(remotes.COPY, "dav:told")
        told = []
        async for event in events:
            if isinstance(event, PlanProgressed):
                told.append(event)
            elif isinstance(event, approvals.ApprovalRequested):
                break
    assert told[-1].note == "comparing"  # A later one of the same plan takes the place of others.
    assert {(event.library, event.remote) for event in told} == {("films", "dav:told")}
