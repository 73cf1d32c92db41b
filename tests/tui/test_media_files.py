"""The files of a library: a million of them, narrowed, by folder, closely, and taken along."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from arcanum_tui.actions import ACTIONS, key_name
from arcanum_tui.modals.ask import AskDialog
from engine.contract import media
from engine.contract.base import ErrorInfo, PathRef
from engine.contract.errors import NotFound, Refused, Unavailable
from engine.contract.jobs import JobState, Progress
from tests.fakes.fake_shelves import pixels
from tests.fakes.fake_world import World
from tests.fakes.sample import GB, lived_in
from tests.tui.desk import Desk, desk
from tests.tui.test_hostile import NASTY


async def _files(it: Desk, library: str = "films") -> None:
    await it.press("3")
    await it.sees("LIBRARIES", f"FILES  {library}")
    it.app.screen.query_one("#files").focus()


# --- many -----------------------------------------------------------------------------------------


async def test_a_million_files_are_reached_without_being_read() -> None:
    world = World()
    world.set_library("films", 1_000_000, 1_090 * GB)
    async with desk(world) as it:
        await _files(it)
        await it.sees("of 1,000,000")
        await it.press("G")
        await it.sees("film-999999.mkv")
        await it.press("g")
        await it.sees("film-000000.mkv")
        await it.press(*["pagedown"] * 40)
        await it.until(lambda: "…" not in it.screen_text.split("\n")[20])
        requests = it.engine.requests(media.LIST)
        assert len(requests) <= 6
        assert all(r.limit == 500 for r in requests)
        # Once the order is known it is the one that is scrolled in.
        handles = [r.handle for r in requests]
        assert "order" in handles
        assert set(handles[handles.index("order") :]) == {"order"}


async def test_a_list_that_an_ending_engine_refused_is_read_from_the_next_one() -> None:
    async with desk() as it:
        it.engine.broken[media.LIST.name] = Unavailable("The engine is stopping.", "Connect again.")
        await _files(it)
        await it.until(lambda: len(it.engine.requests(media.LIST)) == 2)  # Once its numbers rest.
        await it.sees("The engine is stopping.")
        it.engine.go_down()
        await it.sees("✗ lost")
        it.engine.broken.clear()
        it.engine.up = True
        await it.answer("r")
        await it.sees("● live", "film-000000.mkv")


async def test_what_is_typed_is_shown_before_it_is_counted() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("slash")
        await it.type("film")
        await it.sees("contains “film”", "1,412 files")
        quick = [r.quick for r in it.engine.requests(media.LIST) if r.filter == "film"]
        assert quick == [True, False]


@pytest.mark.parametrize("key", ["enter", "down"])
async def test_from_the_filter_to_the_list(key: str) -> None:
    async with desk(size=(80, 24)) as it:
        await _files(it)
        await it.press("slash")
        await it.sees("Enter ↓ to the list")
        await it.type("0001")
        await it.sees("contains “0001”", "film-000011.mkv")
        await it.press(key, "j", "j")
        await it.until(lambda: "›" in _line(it, "film-000011.mkv"))
        assert it.app.screen.query_one("#filter", Input).value == "0001"
        await it.sees("contains “0001”", "Enter open")


# --- order ----------------------------------------------------------------------------------------


async def test_every_order_is_reached_and_turned_round() -> None:
    async with desk() as it:
        await _files(it)
        for order in ("size", "modified", "added", "taken", "path"):
            await it.press("s")
            await it.sees(f"by {order}")
            assert it.engine.requests(media.LIST)[-1].sort == order
        await it.press("R")
        await it.sees("by path backwards", "film-001411.mkv")
        await it.press("s")
        await it.until(lambda: it.engine.requests(media.LIST)[-1].sort == "size")
        assert not it.engine.requests(media.LIST)[-1].reverse


async def test_all_libraries_are_one_list() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("shift+tab", "G")
        await it.sees("FILES  all libraries", "› all", "series")
        assert it.engine.requests(media.LIST)[-1].library is None
        await it.answer("S")
        await it.sees("Choose one library first")
        await it.press("t")
        await it.sees("each has folders of its own")


# --- folder by folder -----------------------------------------------------------------------------


def _shelved() -> World:
    world = World()
    paths = [
        f"{a}/{b}/{n}.jpg" for a in ("2019", "2020") for b in ("Alps", "Sea") for n in range(3)
    ]
    world.shelves.names["photos"] = [path.encode() for path in [*paths, "loose.jpg"]]
    world.set_library("photos", len(paths) + 1, 9 * GB)
    return world


async def test_a_tree_is_gone_into_and_out_of() -> None:
    async with desk(_shelved()) as it:
        await _files(it, "photos")
        await it.press("t")
        await it.sees("FILES  photos/  2 folders", "2019/", "loose.jpg")
        await it.press("j", "enter")
        await it.sees("FILES  photos/2020  2 folders", "Alps/", "Sea/")
        await it.press("j", "l")
        await it.sees("FILES  photos/2020/Sea  3 files", "0.jpg")
        await it.press("h")
        await it.sees("photos/2020  2 folders")
        await it.until(lambda: "›" in _line(it, "Sea/"))
        await it.press("backspace")
        await it.sees("FILES  photos/  2 folders")
        await it.until(lambda: "›" in _line(it, "2020/"))
        await it.press("t")
        await it.sees("FILES  photos  13 files", "2019/Alps/0.jpg")


async def test_folders_are_shown_before_they_are_counted() -> None:
    async with desk(_shelved()) as it:
        await _files(it, "photos")
        await it.press("t")
        await it.until(lambda: "6.0 GB" in _line(it, "2019/"))
        assert [r.quick for r in it.engine.requests(media.TREE)] == [True, False]
        await it.sees("photos/  2 folders, 1 file, 13 GB · by path")


async def test_a_tree_says_what_several_folders_hold_together() -> None:
    world = _shelved()
    world.shelves.shared = 2 * GB
    async with desk(world) as it:
        await _files(it, "photos")
        await it.press("t")
        await it.sees("photos/  2 folders, 1 file, 13 GB (2.0 GB hardlinked in several) · by path")


async def test_escape_goes_up_and_only_then_away() -> None:
    async with desk(_shelved()) as it:
        await _files(it, "photos")
        await it.press("t", "enter")
        await it.sees("photos/2019")
        await it.press("escape")
        await it.sees("photos/  2 folders")
        await it.press("escape")
        await it.sees("NEEDS YOU")


async def test_what_is_narrowed_is_found_below_the_folder() -> None:
    async with desk(_shelved()) as it:
        await _files(it, "photos")
        await it.press("t", "enter")
        await it.sees("photos/2019")
        await it.press("slash")
        await it.type("sea")
        await it.sees("3 files", "Sea/0.jpg", "contains “sea”")
        asked = it.engine.requests(media.LIST)[-1]
        assert (asked.under.data, asked.direct) == (b"2019", False)


def _line(it: Desk, text: str) -> str:
    return next((line for line in it.screen_text.split("\n") if text in line), "")


# --- facets ---------------------------------------------------------------------------------------


async def test_values_are_taken_and_left() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("f")
        await it.sees("NARROW", "KIND", "□  video", "706", "≥ 1.0 GB")
        await it.press("space")
        await it.sees("■  video", "· video", "706 files")
        assert it.engine.requests(media.LIST)[-1].kind == ("video",)
        await it.press("j", "enter")
        await it.sees("■  image", "1,059 files")
        assert it.engine.requests(media.LIST)[-1].kind == ("video", "image")
        await it.press("space")
        await it.sees("□  image", "706 files")
        await it.press("escape")
        await it.loses("NARROW")
        await it.sees("· video", "706 files")
        await it.press("escape")
        await it.sees("1,412 files")
        assert it.app.current_mode == "media"


async def test_headings_of_the_panel_take_no_cursor() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("f")
        await it.sees("KIND", "□  video", "≥ 1.0 GB")
        for keys, line in (
            (("g",), "□  video"), (("k",), "□  video"), (("G",), "≥ 1.0 MB"), (("j",), "≥ 1.0 MB"),
            (("k", "k"), "□  damaged"), (("j",), "≥ 1.0 GB"),
        ):  # fmt: skip
            await it.press(*keys)
            await it.until(lambda: "›" in _line(it, line))  # noqa: B023
        await it.press("g")
        await it.sees("KIND")


async def test_what_took_too_long_to_count_says_so() -> None:
    world = lived_in()
    world.shelves.counting = {"kind"}
    async with desk(world) as it:
        await _files(it)
        await it.press("f")
        await it.sees("KIND", "not counted", "STATE")


async def test_the_panel_gives_way_in_a_small_window() -> None:
    async with desk(size=(80, 24)) as it:
        await _files(it)
        await it.press("f")
        await it.sees("NARROW  1,412 files", "□  video", "Space takes")
        await it.loses("FILES")
        await it.press("space", "f")
        await it.sees("FILES  films", "706 files")
        await it.loses("NARROW")


async def test_an_error_stands_where_the_values_would() -> None:
    async with desk() as it:
        it.engine.broken["media.facets"] = NotFound("The catalogue is not there.", "S scans.")
        await _files(it)
        await it.press("f")
        await it.sees("✗ Not found:")


# --- closely --------------------------------------------------------------------------------------


async def test_a_file_is_read_closely_with_its_picture() -> None:
    world = lived_in()
    world.shelves.picture = pixels(12, 8)
    async with desk(world) as it:
        await _files(it)
        await it.press("j", "j", "enter")
        await it.sees("film-000002.mkv", "HOLDS", "1:52:11", "Heat [1995]", "tracker.example.org")
        await it.sees("series: misfiled/film-000000.mkv", "nothing happened", "▀" * 12)
        asked = it.engine.requests(media.THUMBNAIL)[0]
        assert asked.id == 3
        await it.press("escape")
        await it.loses("HOLDS")


async def test_no_picture_where_there_are_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    world = lived_in()
    world.shelves.picture = pixels(12, 8)
    async with desk(world) as it:
        await _files(it)
        await it.press("j", "j", "enter")
        await it.sees("HOLDS", "tracker.example.org")
        assert not it.engine.requests(media.THUMBNAIL)


async def test_a_file_that_cannot_be_shown_says_why() -> None:
    async with desk() as it:
        it.engine.broken["media.show"] = NotFound("The file is gone.", "S scans.")
        await _files(it)
        await it.press("enter")
        await it.sees("✗ Not found: The file is gone. S scans.")


# --- deeds ----------------------------------------------------------------------------------------


async def test_v_verifies_what_is_selected_and_tells_how_it_ended() -> None:
    async with desk(_shelved()) as it:
        await _files(it, "photos")
        await it.press("v")
        await it.sees("verifying 2019/Alps/0.jpg")
        asked = it.engine.requests(media.VERIFY)
        assert [path.data for path in asked[-1].paths] == [b"2019/Alps/0.jpg"]
        await it.press("t")
        await it.sees("2 folders")
        await it.press("v")
        await it.until(lambda: len(asked := it.engine.requests(media.VERIFY)) == 2 and asked)
        assert it.engine.requests(media.VERIFY)[-1].paths == (PathRef.of(b"2019"),)
        await it.press("shift+tab", "v")
        await it.until(lambda: len(it.engine.requests(media.VERIFY)) == 3)
        assert it.engine.requests(media.VERIFY)[-1].paths == ()
        result = {"checked": 13, "intact": 12, "rotten": 1, "unreadable": 0}
        it.world.change_job(1, state=JobState.DONE, result=result)
        await it.sees("12 of 13 files are intact, 1 damaged.")
        it.world.change_job(2, state=JobState.DONE, result=result | {"rotten": 0, "fresh": 1})
        await it.sees("12 of 13 files are intact, 1 too fresh to tell.")


async def test_e_writes_what_is_listed() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("s", "slash")
        await it.type("0001")
        await it.press("enter")
        await it.answer("e")
        await it.sees("Write what is listed", "films-2026-11-20.csv")
        await it.press("home", "ctrl+k")
        await it.type("/tmp/x.pdf")
        await it.answer("enter")
        await it.sees("End its name with")
        await it.press("home", "ctrl+k")
        await it.type("/tmp/x.jsonl")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(media.EXPORT))
        asked = it.engine.requests(media.EXPORT)[0]
        assert (asked.library, asked.filter, asked.sort) == ("films", "0001", "size")
        assert asked.path == PathRef.of("/tmp/x.jsonl")
        job = next(j for j in it.world.jobs.values() if j.operation == "media.export")
        result = {"files": 10, "path": {"display": "/tmp/x.jsonl"}}
        it.world.change_job(job.id, state=JobState.DONE, result=result)
        await it.sees("10 files are in /tmp/x.jsonl.")


async def test_an_export_that_is_refused_says_why_and_keeps_what_was_typed() -> None:
    async with desk() as it:
        it.engine.broken["media.export"] = Refused("x.csv is there already.", "Choose another.")
        await _files(it)
        await it.answer("e")
        await it.sees("Write what is listed")
        await it.answer("enter")
        await it.sees("Refused: x.csv is there already. Choose another.", "films-2026-11-20.csv")
        it.engine.broken.clear()
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(media.EXPORT)[1:])
        # The job finds out what the call could not know.
        number = max(it.world.jobs)
        why = ErrorInfo(code="refused", title="Refused", message="y.csv is there.", hint="Other!")
        it.world.change_job(number, state=JobState.FAILED, error=why, ended_at=it.world.now)
        await it.sees("✗ Refused: y.csv is there. Other!", "films-2026-11-20.csv")
        await it.loses("x.csv")
        assert isinstance(it.app.screen, AskDialog)
        await it.answer("enter")
        await it.until(lambda: max(it.world.jobs) > number)
        it.world.change_job(max(it.world.jobs), progress=Progress(done=10, total=20, unit="files"))
        await it.sees(f"● writing the list: job {max(it.world.jobs)}")
        await it.loses("Write what is listed")


async def test_a_window_that_is_left_leaves_the_job() -> None:
    async with desk() as it:
        await _files(it)
        await it.answer("e")
        await it.sees("Write what is listed")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(media.EXPORT))
        await it.answer("escape")
        await it.loses("Write what is listed")
        result = {"files": 10, "path": {"display": "/tmp/x.jsonl"}}
        it.world.change_job(max(it.world.jobs), state=JobState.DONE, result=result)
        await it.sees("10 files are in /tmp/x.jsonl.")


async def test_a_file_is_taken_to_agent_0() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("enter")
        await it.sees("HOLDS")
        await it.answer("at")
        await it.sees("AGENT-0", "film-000000.mkv")


# --- hostile names, help --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NASTY)
async def test_hostile_names_are_shown_and_nothing_more(name: str) -> None:
    raw = NASTY[name]
    world = World()
    world.shelves.names["films"] = [raw + b"/" + raw, raw, raw * 20]
    world.set_library("films", 3, 10)
    async with desk(world, size=(80, 24)) as it:
        await _files(it)
        for key, mark in (
            ("G", "FILES  films"), ("enter", "path  "), ("escape", "FILES"), ("t", "1 folder"),
            ("enter", "FILES  films/"), ("f", "NARROW"),
        ):  # fmt: skip
            await it.press(key)
            await it.sees(mark)
            text = it.screen_text
            assert all(c.isprintable() or c == "\n" for c in text), name
            assert len(text.split("\n")) == 24
        assert it.app.is_running


async def test_every_key_is_in_the_help() -> None:
    async with desk(size=(120, 60)) as it:
        await _files(it)
        await it.press("question_mark")
        await it.sees("Keys: media")
        for action in ACTIONS:
            if action.where == "media":
                assert all(f" {key_name(key)}" in it.screen_text for key in action.keys[:1])
                assert action.help[:30] in it.screen_text
