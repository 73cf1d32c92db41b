"""What a torrent client holds stays: when a plan is made, when it is approved, when it moves."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.contract.approvals import ApprovalState
from engine.contract.errors import Refused, WorldMoved
from engine.contract.ports import StoredPlan
from engine.contract.sources import TorrentClient
from engine.quota import prune
from tests.unit.quota.house import House, tree


def client(**values: Any) -> TorrentClient:
    given = {"name": "box", "kind": "qbittorrent", "address": "http://box", "state": "ok", **values}
    return TorrentClient.model_validate(given)


async def rows(house: House, number: int) -> dict[str, str]:
    return {row.label: row.text for row in (await house.shown(number)).card.rows}


async def test_it_is_passed_over_and_the_plan_says_so(house: House, films: Path) -> None:
    house.catalogue.seed(films / "a.mkv")
    house.catalogue.seed(films / "e.mkv")
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["b/b.mkv", "c.mkv", "d.mkv"]
    assert (plan.shortfall, plan.stay_files, plan.stay_bytes) == (0, 1, 100)
    assert [(file.path.display, file.reason) for file in plan.stay] == [
        ("a.mkv", "a torrent client holds it")
    ]


async def test_a_shortfall_names_all_that_is_held(house: House, films: Path) -> None:
    for name in ("a.mkv", "c.mkv", "d.mkv", "e.mkv"):
        house.catalogue.seed(films / name)
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["b/b.mkv"]
    assert (plan.shortfall, plan.stay_files, plan.stay_bytes) == (150, 4, 400)
    card = await rows(house, await house.prune("films"))
    assert card["WHY"].endswith("4 files, 400 B, as old stay: a torrent client holds them")


async def test_where_all_is_held_nothing_is_planned(house: House, films: Path) -> None:
    for path in films.rglob("*.mkv"):
        house.catalogue.seed(path)
    with pytest.raises(Refused, match="5 are held by a torrent client") as refused:
        await house.plan("films")
    assert "Remove torrents" in refused.value.hint


async def test_one_name_that_is_held_holds_them_all(house: House, films: Path) -> None:
    os.link(films / "a.mkv", films / "z.mkv")
    house.catalogue.scan("films")
    house.catalogue.seed(films / "z.mkv")
    plan = await house.plan("films")
    assert [item.path.display for item in plan.items] == ["b/b.mkv", "c.mkv", "d.mkv"]


async def test_a_yes_to_what_is_held_by_now_touches_nothing(house: House, films: Path) -> None:
    before = tree(films)
    number = await house.prune("films")
    house.catalogue.seed(films / "b" / "b.mkv")
    with pytest.raises(WorldMoved, match=r"b/b\.mkv is held by a torrent client"):
        await house.approve(number)
    assert tree(films) == before
    assert (await house.shown(await house.prune("films"))).card.items[1].text == "c.mkv"


async def test_a_plan_that_waits_is_not_asked_for_again_with_what_is_held(
    house: House, films: Path
) -> None:
    plan = await house.plan("films")
    await house.prune("films")
    house.catalogue.seed(films / "a.mkv")
    with pytest.raises(WorldMoved, match=r"a\.mkv is held by a torrent client"):
        await house.prune("films", plan_id=plan.id)
    assert "a.mkv" not in [item.path.display for item in (await house.plan("films")).items]


async def test_what_is_taken_up_at_the_last_moment_is_left(
    house: House, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last check and its own act."""
    check = prune.PruneActs.check

    async def and_then(acts: prune.PruneActs, plan: StoredPlan) -> list[str]:
        problems = await check(acts, plan)
        house.catalogue.seed(films / "a.mkv")
        return problems

    number = await house.prune("films")
    monkeypatch.setattr(prune.PruneActs, "check", and_then)
    done = await house.approve(number)
    assert done.state is ApprovalState.PARTIAL
    assert done.outcome is not None
    assert done.outcome.problems == ("a.mkv is held by a torrent client",)
    assert (films / "a.mkv").exists()
    assert sorted(tree(films)) == [b"a.mkv", b"d.mkv", b"e.mkv"]


async def test_the_card_says_what_is_known_of_seeding(house: House) -> None:
    asked = datetime(2026, 11, 3, 12, 5, tzinfo=UTC)
    failing = client(state="failing", asked_at=asked)
    for limit, clients, safe, risk in (
        (250, (), False, "seeding (no torrent client is configured)"),
        (251, (client(),), True, ""),
        (252, (failing,), True, "what box seeds since 2026-11-03 12:05 UTC"),
        (253, (client(state="not asked"),), True, "what box seeds: it was never heard"),
        (254, (client(unfound=2),), True, "the files of 2 torrents of box"),
    ):
        await house.limit("films", limit)
        house.catalogue.torrent_clients = clients
        card = await rows(house, await house.prune("films"))
        copies = "not known: other copies of any (not hashed)"
        assert card["RISK"] == copies + (f" · not known: {risk}" if risk else "")
        assert ", ".join((await house.plan("films")).unknown) == risk
        assert ("no torrent client is known to hold one" in card["SAFE"]) is safe
