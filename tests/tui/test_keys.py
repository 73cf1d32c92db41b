"""Keys do what the one list of actions says, everywhere, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import Key
from textual.widgets import Input

from arcanum_tui import actions
from arcanum_tui.actions import ACTIONS, SCREENS, key_name
from arcanum_tui.screens.base import View
from arcanum_tui.widgets.lines import Lines
from engine.contract import jobs
from engine.contract.jobs import JobState
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk, desk

KEY_OF = {"overview": "1", "agent": "f2", "media": "3", "approvals": "4", "memory": "5"}


async def _go(it: Desk, screen: str) -> View:
    await it.press("f1")
    await it.press(KEY_OF[screen])
    await it.until(lambda: it.app.current_mode == screen and it.app.screen.query("#keys"))
    view = it.app.screen
    assert isinstance(view, View)
    return view


def _our_keys(view: View) -> set[str]:
    """Every key that a binding of ours answers on this screen, whatever has the focus."""
    nodes = [view.app, view, *(lines for lines in view.query("Lines") if lines.can_focus)]
    return {key for node in nodes for key in node._bindings.key_to_bindings}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("width", [20, 40, 80])
async def test_the_way_to_all_keys_stays_where_room_is_short(screen: str, width: int) -> None:
    async with desk(size=(width, 24)) as it:
        await _go(it, screen)
        if screen == "agent":
            await it.press("tab")  # On the line for a question it would be text.
        await it.until(lambda: "? help" in it.screen_text.rstrip("\n").split("\n")[-1])


@pytest.mark.parametrize("screen", SCREENS)
async def test_every_key_is_in_the_help_and_in_the_palette(screen: str) -> None:
    async with desk() as it:
        view = await _go(it, screen)
        offered = actions.of(*view.places)
        named = {key for action in offered for key in action.keys}
        bound = _our_keys(view)
        # The focused line for a question has keys for editing, which are not ours.
        bare = {"question_mark": "?", "colon": ":", "slash": "/", "plus": "+"}
        characters = {c: k for k, c in bare.items()}
        assert {characters.get(k, k) for k in bound} <= named | {"upper_g"}

        if screen == "agent":
            await it.press("tab")
        await it.answer("question_mark")
        await it.sees("Keys: ")
        listed = it.app.screen._lines.rows.rows  # type: ignore[attr-defined]
        text = "\n".join(p.text for row in listed for p in row.cells)
        for action in offered:
            assert action.help in text
            assert all(key_name(key) in text for key in action.keys)
        await it.answer("escape")

        await it.answer("colon")
        await it.sees("Do what?")
        rows = it.app.screen._lines.rows.rows  # type: ignore[attr-defined]
        assert {row.key for row in rows} == {f"{a.where}.{a.id}" for a in offered}


def test_no_two_actions_of_a_screen_share_a_key() -> None:
    for place in {a.where for a in ACTIONS}:
        keys = [key for a in ACTIONS if a.where == place for key in a.keys]
        assert len(keys) == len(set(keys)), place


def test_each_operation_named_by_an_action_exists() -> None:
    from engine.contract.operation import find

    for action in ACTIONS:
        if action.operation:
            assert find(action.operation).name == action.operation


async def test_q_in_an_input_is_a_letter() -> None:
    async with desk() as it:
        await it.press("2")
        await it.sees("AGENT-0")
        await it.type("q?:1a")
        await it.sees("q?:1a")
        assert it.app.is_running
        assert it.app.current_mode == "agent"
        await _go(it, "media")
        await it.press("slash")
        await it.type("quit")
        assert it.app.screen.query_one("#filter", Input).value == "quit"


async def test_escape_goes_back_from_everywhere() -> None:
    async with desk() as it:
        for screen in SCREENS[1:]:
            await _go(it, screen)
            await it.answer("escape")
            await it.until(lambda: it.app.current_mode == "overview")
        for key, title in (("question_mark", "Keys: "), ("colon", "Do what?")):
            await it.answer(key)
            await it.sees(title)
            await it.answer("escape")
            await it.loses(title)
        assert it.app.current_mode == "overview"


async def test_in_a_small_window_the_palette_says_what_an_action_does() -> None:
    async with desk(size=(80, 24)) as it:
        await _go(it, "media")
        await it.answer("colon")
        await it.sees("Do what?", "Show only names that contain a text")
        assert "media.list" not in it.screen_text
    async with desk(size=(140, 40)) as it:
        await _go(it, "media")
        await it.answer("colon")
        await it.sees("Show only names that contain a text, while you type", "media.list")


async def test_the_palette_does_what_was_typed() -> None:
    async with desk() as it:
        await it.answer("ctrl+p")
        await it.sees("Do what?")
        await it.type("theme")
        await it.answer("enter")
        await it.until(lambda: it.app.theme == "light")


async def test_q_leaves_at_once_when_nothing_runs() -> None:
    world = lived_in()
    world.change_job(1, state=jobs.JobState.DONE, ended_at=world.now)
    async with desk(world) as it:
        await it.answer("q")
        await it.until(lambda: not it.app.is_running)


async def test_a_key_that_comes_back_when_the_screens_are_gone_is_for_nobody() -> None:
    async with desk() as it:
        it.app.exit()
        await it.until(lambda: not it.app.is_running)
    key = Key("y", "y")
    key._set_forwarded()  # As a widget does that had no use for it.
    await it.app.on_event(key)


@pytest.mark.parametrize(
    ("host", "fate"), [("terminal", "listed as interrupted"), ("serve", "goes on without")]
)
async def test_q_says_first_what_runs_and_what_becomes_of_it(host: str, fate: str) -> None:
    world = lived_in()
    world.host = host
    async with desk(world) as it:
        await it.answer("q")
        await it.sees("Leave while this runs?", "scan", "photos", fate)
        await it.answer("escape")
        await it.loses("Leave while this runs?")
        assert it.app.is_running
        await it.answer("q")
        await it.sees("Leave while this runs?")
        await it.answer("q")
        await it.until(lambda: not it.app.is_running)


async def test_arrows_and_letters_walk_through_the_whole_overview() -> None:
    async with desk() as it:
        seen = set()
        for _ in range(16):
            await it.press("j")
            seen.add(it.app.focused.id if it.app.focused else None)
        assert {"needs", "broken", "since", "storage", "jobs", "machines"} <= seen
        for _ in range(16):
            await it.press("up")
        assert it.app.focused is not None
        assert it.app.focused.id == "needs"


async def test_enter_follows_a_line_to_where_it_leads() -> None:
    async with desk() as it:
        await it.press("down")
        await it.answer("enter")
        await it.sees("#3 PRUNE · nas · films")
        await _go(it, "overview")
        it.app.screen.query_one("#storage").focus()
        await it.press("down")
        await it.answer("enter")
        await it.sees("FILES  series")


async def test_p_pauses_and_x_stops_the_selected_job() -> None:
    async with desk() as it:
        it.app.screen.query_one("#jobs").focus()
        await it.answer("p")
        await it.sees("‖ paused")
        await it.answer("p")
        await it.sees("● running")
        await it.answer("x")
        await it.sees("○ cancelled")
        assert [name for name, _ in it.engine.calls if name.startswith("jobs.")][-3:] == [
            "jobs.pause",
            "jobs.resume",
            "jobs.cancel",
        ]


async def test_without_a_mark_p_and_x_mean_the_only_job_that_runs() -> None:
    acts = ("jobs.pause", "jobs.cancel")
    async with desk() as it:
        jobs_panel = it.app.screen.query_one("#jobs", Lines)
        jobs_panel.focus()
        await it.press("down")
        await it.answer("p")
        await it.sees("Job 2 (scan series) has ended. Choose one that runs.")
        it.app.screen.query_one("#storage").focus()
        await it.answer("p")
        await it.sees("‖ paused")
        await it.answer("x")
        await it.sees("○ cancelled")
        asked = [(name, request) for name, request in it.engine.calls if name in acts]
        assert asked == [(name, jobs.JobId(id=1)) for name in acts]
        await it.answer("p")
        await it.sees("No job runs.")


async def test_without_a_mark_and_with_several_jobs_p_and_x_say_so_and_do_nothing() -> None:
    world = lived_in()
    world.start_job("media.verify", "films")
    async with desk(world) as it:
        it.app.screen.query_one("#storage").focus()
        for key in "px":
            await it.answer(key)
            await it.sees("2 jobs run: Tab goes to JOBS, where one is chosen.")
            await it.pilot.pause(0.3)
        assert not {"jobs.pause", "jobs.cancel"} & {name for name, _ in it.engine.calls}
        it.app.screen.query_one("#jobs", Lines).focus()
        await it.press("home")
        await it.answer("p")
        await it.sees("‖ paused")


async def test_x_asks_before_work_is_lost() -> None:
    world = lived_in()
    world.change_job(1, state=JobState.DONE)
    job = world.start_job("media.export", "films")
    async with desk(world) as it:
        it.app.screen.query_one("#storage").focus()
        await it.answer("x")
        await it.sees(
            "Stop this for good?", "export", "films, running", "is removed", "Esc let it run"
        )
        await it.answer("escape")
        await it.loses("Stop this")
        assert world.jobs[job.id].state is JobState.RUNNING
        await it.answer("x")
        await it.sees("Stop this for good?")
        await it.answer("x")
        await it.sees("○ cancelled")
        assert world.jobs[job.id].state is JobState.CANCELLED


async def test_a_burst_of_keys_opens_and_closes_windows_without_harm() -> None:
    async with desk() as it:
        await it.card(3)
        await it.paste_keys("\n" * 60 + "?:w" * 20)
        await it.pilot.pause(0.2)
        for _ in range(8):
            await it.answer("escape")
        assert it.app.is_running
        await asyncio.sleep(0)
