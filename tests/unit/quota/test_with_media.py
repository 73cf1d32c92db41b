"""The whole way on the real catalogue: add, scan, limit, plan, prune, undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from engine.config import Config
from engine.contract import assets, jobs, media
from engine.contract.approvals import ApprovalState
from engine.contract.assets import LibraryName
from engine.contract.base import PathRef
from engine.contract.call import Call
from engine.contract.client import Done
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.waiting import until
from tests.unit.quota.house import House, tree


async def _scan(house: House, library: str) -> None:
    started = await house.call(media.SCAN, LibraryName(library=library))

    async def ended() -> bool:
        job = await house.call(jobs.SHOW, jobs.JobId(id=started.job_id))
        return job.state in jobs.ENDED

    await until(ended, 20)


async def test_the_trash_is_no_part_of_the_library(films: Path, tmp_path: Path) -> None:
    before = tree(films)
    home = tmp_path / "home"
    place = Home(home / "config.toml", home / "data", home / "run")
    place.prepare()
    engine = Engine(place, Config(), cast(Any, None), "command")
    await engine.open()
    try:
        house = House(engine)
        added = await engine.gate.call(
            media.ADD, assets.AddLibrary(path=PathRef.of(films), name="films"), Call()
        )
        assert isinstance(added, Done)
        await _scan(house, "films")
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
    finally:
        await engine.stop()
