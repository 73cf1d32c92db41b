"""What is done from Media beside looking: removing, reports, what is damaged, the scan's job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import jobs, media, report
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk, desk


async def _media(it: Desk, library: str = "films") -> None:
    await it.press("3")
    await it.sees("LIBRARIES", f"FILES  {library}")


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("remote", "remotes"),
        ("inventory", "remotes"),
        ("report", "report"),
        ("remove", "remove"),
        ("integrity", "damaged"),
        ("damaged", "damaged"),
        ("pause", "pause scan"),
        ("theme", "theme"),
    ],
)
async def test_the_palette_finds_it(word: str, label: str) -> None:
    async with desk() as it:
        await _media(it)
        await it.answer("ctrl+p")
        await it.sees("Do what?")
        await it.type(word)
        await it.sees(word)
        rows = it.app.screen._lines.rows.rows  # type: ignore[attr-defined]
        assert [row.cells[0].text for row in rows[:1]] == [label]


async def test_the_palette_says_which_commands_remotes_have() -> None:
    async with desk() as it:
        await _media(it)
        await it.answer("ctrl+p")
        await it.sees("Do what?")
        await it.type("remote")
        await it.answer("enter")
        await it.sees("arcanum remotes list", "arcanum media sync")


async def test_a_library_is_removed_when_its_name_was_typed() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("X")
        await it.sees("Watch films no longer", "Its files are not touched")
        await it.type("film")
        await it.answer("enter")
        await it.sees("That is not films.")
        assert not it.engine.requests(media.REMOVE)
        await it.type("s")
        await it.answer("enter")
        await it.sees("films is no library now")
        assert [r.library for r in it.engine.requests(media.REMOVE)] == ["films"]
        await it.until(lambda: len(it.app.state.libraries) == 2)


async def test_escape_removes_nothing() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("X")
        await it.sees("Watch films no longer")
        await it.answer("escape")
        await it.loses("Watch films no longer")
        assert not it.engine.requests(media.REMOVE)


async def test_what_is_damaged_is_shown_with_a_key() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("i")
        await it.sees("✗ damaged", "film-000007.mkv")
        await it.loses("film-000008.mkv")
        assert "damaged" in it.engine.requests(media.LIST)[-1].state


@pytest.mark.parametrize("ending", ["html", "md", "json"])
async def test_a_report_is_written_to_a_new_file(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"films.{ending}"
    async with desk() as it:
        await _media(it)
        for told in ("✓ the report is written", "is there already"):
            await it.press("w")
            await it.sees("Write a report to a file")
            it.app.screen._input.value = str(file)  # type: ignore[attr-defined]
            await it.answer("enter")
            await it.sees(told)
        assert [r.libraries for r in it.engine.requests(report.MEDIA)] == [("films",)]
        text = file.read_text("utf-8")
        assert "films" in text
        assert (ending == "html") == text.startswith("<!doctype html>")
        if ending == "json":
            assert json.loads(text)["machine"] == "films"


async def test_the_scan_is_paused_carried_on_and_stopped() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("P")
        await it.sees("No job reads it now")
        await it.press("down")  # photos are being scanned.
        await it.sees("FILES  photos")
        await it.press("P")
        await it.sees("31 %, paused")
        await it.press("P")
        await it.sees("31 %, ETA")
        await it.answer("x")
        await it.until(lambda: it.world.jobs[1].state is jobs.JobState.CANCELLED)


async def test_a_verification_is_what_is_paused_where_no_scan_runs() -> None:
    world = lived_in()
    number = world.start_job("media.verify", "films").id
    async with desk(world) as it:
        await _media(it)
        await it.press("P")
        await it.until(lambda: it.world.jobs[number].state is jobs.JobState.PAUSED)
        assert it.world.jobs[1].state is jobs.JobState.RUNNING
