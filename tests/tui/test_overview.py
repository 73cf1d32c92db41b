"""The overview says what is so, and says so when it does not know."""

from __future__ import annotations

import pytest

from engine.contract import jobs, quota, telemetry
from engine.contract.engine import ConcernLine
from engine.contract.errors import StoreFailed
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_world import MACHINE, NOW, World
from tests.fakes.sample import GB, gauges, lived_in
from tests.tui.desk import desk

HEADINGS = ("NEEDS YOU", "BROKEN OR UNKNOWN", "SINCE YOU LOOKED", "STORAGE", "JOBS", "MACHINES")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
async def test_what_matters_is_whole_at_every_size(size: tuple[int, int]) -> None:
    async with desk(size=size) as it:
        await it.sees(
            "nas ● live",
            *HEADINGS,
            "purge  photos  3 files · frees 11 GB now",
            "prune  films   14 files · frees 198 GB, on purge",
            "✗ BROKEN   photos  watching failed: the inotify limit is reached",
            "? UNKNOWN  backup  no check has run yet",
            "121 %",
            "! 190 GB over",
            "71 %",
            "✓ ok",
            "– no limit",
            "#2 prune denied: these are the wedding",
            "scan  photos  ● running  31 %",
            "ETA 2 m",
            "12 %",
            "mem 61 %",
            "UNDO  #1 prune series",
            "c to ask Agent-0",
            "SmolLM2-135M-Instruct ● ready",
            "? help",
            "q leave",
        )
        assert all(len(line) == size[0] for line in it.screen_text.split("\n"))


async def test_a_huge_window_shows_the_selected_card_to_read_not_to_answer() -> None:
    async with desk(size=(200, 60)) as it:
        await it.sees("#4 PURGE · nas · photos", "a to answer")
        await it.press("down")
        await it.sees("#3 PRUNE · nas · films")
        await it.answer("y")
        await it.pilot.pause(0.2)
        assert "approvals.approve" not in {name for name, _ in it.engine.calls}


async def test_empty_says_what_to_do() -> None:
    async with desk(World()) as it:
        await it.sees(
            "✓ nothing waits for you",
            "✓ all that is checked works",
            "No library yet: m, then n, watches a folder.",
            "nothing runs",
        )


async def test_numbers_move_with_events() -> None:
    async with desk() as it:
        it.world.change_job(
            1, progress=jobs.Progress(done=30_522, total=61_044, unit="files", rate=9.0, eta_s=300)
        )
        await it.sees("50 %", "ETA 5 m")
        it.world.set_gauge("films", 800 * GB, 900 * GB)
        it.world.emit(quota.LimitSet(library="films", limit=900 * GB, at=NOW))
        await it.sees("89 %", "limit 900 GB")
        it.world.concerns.append(
            ConcernLine(severity="broken", subject="model", machine=MACHINE, text="it crashed")
        )
        it.world.change_job(1, state=jobs.JobState.DONE, ended_at=NOW)
        await it.sees("✗ BROKEN   model", "it crashed")


async def test_a_topic_that_fails_costs_its_panel_and_says_why() -> None:
    engine = FakeEngine(lived_in())
    engine.broken["quota.show"] = StoreFailed("catalogue.db is damaged.", "arcanum doctor")
    async with desk(engine=engine) as it:
        await it.sees(
            "STORAGE  ? not known", "✗ The database cannot be used:", "damaged. arcanum doctor"
        )
        await it.sees("14 files · frees 198 GB", "● running")


async def test_a_lost_engine_is_said_and_everything_stays_and_comes_back() -> None:
    async with desk() as it:
        it.engine.go_down()
        await it.sees("✗ lost", "✗ LOST", "engine", "14 files · frees 198 GB")
        await it.loses("● live")
        it.engine.up = True
        it.world.add_approval(it.world.approvals[3].card)
        await it.answer("r")
        await it.sees("● live", "#5")
        await it.loses("✗ LOST")


async def test_without_an_engine_nothing_is_green() -> None:
    engine = FakeEngine()
    engine.up = False
    async with desk(engine=engine, live=False) as it:
        await it.sees("✗ lost", "No engine answers. Start one with: arcanum serve", "? not known")
        assert "✓" not in it.screen_text


async def test_gauges_are_watched_only_while_they_are_looked_at() -> None:
    async with desk() as it:
        await it.sees("cpu")
        watching = telemetry.WATCH.name
        await it.until(lambda: it.engine.open_streams.get(watching) == 1)
        await it.press("3")
        await it.until(lambda: it.engine.open_streams[watching] == 0)
        await it.press("1")
        await it.until(lambda: it.engine.open_streams[watching] == 1)


async def test_gauges_that_cannot_be_read_are_unknown_and_not_zero() -> None:
    world = lived_in()
    world.samples = [
        gauges().model_copy(
            update={"cpu": None, "memory_used": None, "net_down": None, "problems": ("no /proc",)}
        )
    ]
    async with desk(world, size=(200, 60)) as it:
        await it.sees("? %", "mem ?", "↓ ?", "no /proc")


async def test_a_scripted_model_says_so_first() -> None:
    world = lived_in()
    world.model = world.model.model_copy(update={"simulated": True, "reason": "no model file"})
    async with desk(world) as it:
        await it.sees("SCRIPTED – no model · no model file")


async def test_what_came_since_the_overview_was_left_stands_out() -> None:
    async with desk() as it:
        await it.press("3")
        await it.press("1")
        await it.sees("SINCE YOU LOOKED  07:42")


async def test_a_job_that_is_paused_is_not_counted_as_one_that_runs() -> None:
    async with desk() as it:
        await it.sees("1 running", "● running")
        it.world.start_job("media.verify", "films", state=jobs.JobState.PAUSED)
        await it.sees("1 running · 1 paused", "‖ paused")
        it.world.change_job(1, state=jobs.JobState.PAUSED)
        await it.sees("2 paused")
        assert "running" not in it.screen_text
        await it.press("3")
        await it.sees("31 %, paused")
        assert "ETA" not in it.screen_text
