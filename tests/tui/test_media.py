"""Media: numbers that move, files page by page, and deeds that say where they wait."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input

from engine.contract import media, quota
from engine.contract.base import PathRef
from engine.contract.errors import Invalid, NotFound
from tests.fakes.fake_world import World
from tests.fakes.sample import GB
from tests.tui.desk import Desk, desk


async def _media(it: Desk, library: str = "films") -> None:
    await it.press("3")
    await it.sees("LIBRARIES", f"FILES  {library}")


async def test_libraries_show_their_numbers_and_the_numbers_move() -> None:
    async with desk() as it:
        await _media(it)
        await it.sees(
            "films   ✓ ok", "1,412 files", "1.1 TB", "! 121 % of 900 GB", "● scanning", "31 %, ETA"
        )
        it.world.set_library("films", 1_413, 1_091 * GB)
        await it.sees("1,413 files")


async def test_the_selected_librarys_files_are_listed_and_follow_its_changes() -> None:
    async with desk() as it:
        await _media(it)
        await it.sees("film-000000.mkv", "1,412 files")
        it.world.assets["films"] = 1_500
        it.world.set_library("films", 1_500, 1_091 * GB)
        await it.sees("of 1,500")
        await it.press("down")
        await it.sees("FILES  photos", "of 61,044")


async def test_many_files_are_read_by_page_and_reached_to_the_end() -> None:
    world = World()
    world.set_library("films", 40_000, 1_090 * GB)
    async with desk(world) as it:
        await _media(it)
        await it.sees("of 40,000")
        assert len(it.engine.requests(media.LIST)) == 1
        it.app.screen.query_one("#files").focus()
        await it.press("G")
        await it.until(lambda: "film-039999.mkv" in it.screen_text)
        requests = it.engine.requests(media.LIST)
        # The first page, and the one at the end: nothing between.
        assert len(requests) == 2
        assert all(r.limit == 500 for r in requests)
        # Only some pages are kept; going back reads again.
        await it.press("g")
        await it.sees("film-000000.mkv")


async def test_slash_filters_and_escape_shows_all_again() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("slash")
        await it.type("00012")
        await it.sees("contains “00012”", "film-000120.mkv", "11 files")
        assert "film-000001.mkv" not in it.screen_text
        await it.press("enter", "down", "down")
        await it.answer("escape")
        await it.sees("film-000001.mkv", "1,412 files")
        assert it.app.current_mode == "media"


async def test_s_sorts() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("s")
        await it.sees("by size")
        assert it.engine.requests(media.LIST)[-1].sort == "size"


async def test_scan_starts_a_job_that_is_seen() -> None:
    async with desk() as it:
        await _media(it)
        await it.press("S")
        await it.until(lambda: it.engine.requests(media.SCAN))
        assert it.engine.requests(media.SCAN)[0].library == "films"
        await it.press("f1")
        await it.sees("2 running")


async def test_prune_makes_an_approval_and_says_where_it_waits() -> None:
    async with desk() as it:
        await _media(it)
        await it.answer("p")
        await it.sees("▲ #5 prune films waits for you", "press a to read #5 and answer")
        assert it.engine.requests(quota.PRUNE)[0].library == "films"
        await it.press("a")
        await it.sees("#5", "▲ 3 wait")


async def test_a_limit_is_written_as_people_write_it() -> None:
    async with desk() as it:
        await _media(it, "films")
        await it.press("down")
        await it.sees("FILES  photos")
        await it.answer("b")
        await it.sees("Limit of photos", "It holds 210 GB now.")
        await it.type("lots")
        await it.answer("enter")
        await it.sees("That is no size")
        await it.press("home", "ctrl+k")
        await it.type("20MiB")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(quota.SET))
        request = it.engine.requests(quota.SET)[0]
        assert (request.library, request.max_bytes) == ("photos", 20 * 2**20)
        await it.sees("of 21 MB")


async def test_a_folder_is_added_with_the_bytes_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "my films").mkdir()
    async with desk() as it:
        await _media(it)
        await it.answer("n")
        await it.sees("Watch a folder as a library")
        await it.press("home", "ctrl+k")
        await it.type("relative/path")
        await it.answer("enter")
        await it.sees("Give the whole path")
        await it.press("home", "ctrl+k")
        await it.paste(f"{tmp_path}/my f")
        await it.until(lambda: it.app.screen.query_one("#box-input")._suggestion)  # type: ignore[attr-defined]
        await it.press("right")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(media.ADD))
        assert it.engine.requests(media.ADD)[0].path == PathRef.of(tmp_path / "my films")
        await it.sees("my films")


async def test_a_folder_or_a_limit_that_is_refused_keeps_what_was_typed() -> None:
    async with desk() as it:
        await _media(it)
        it.engine.broken["media.add"] = Invalid("There is no folder /nowhere.", "Name one.")
        it.engine.broken["quota.set"] = NotFound("There is no library films.", "n adds it.")
        for key, title, typed, told in (
            ("n", "Watch a folder", "/nowhere", "There is no folder /nowhere. Name one."),
            ("b", "Limit of films", "7TB", "There is no library films. n adds it."),
        ):
            await it.answer(key)
            await it.sees(title)
            await it.press("home", "ctrl+k")
            await it.type(typed)
            await it.answer("enter")
            await it.sees(told, title)
            assert it.app.screen.query_one(Input).value == typed
            await it.answer("escape")
            await it.loses(title)


async def test_an_error_says_what_happened_and_what_to_do() -> None:
    async with desk() as it:
        it.engine.broken["quota.prune"] = NotFound("There is no limit for films.", "b sets one.")
        await _media(it)
        await it.answer("p")
        await it.sees("✗ Not found", "There is no limit for films.", "b sets one.")


async def test_no_library_says_what_to_do() -> None:
    async with desk(World()) as it:
        await it.press("3")
        await it.sees("no library yet: n watches a folder")
        await it.answer("S")
        await it.sees("There is no library yet: n watches a folder.")


async def test_a_list_that_cannot_be_read_says_why_in_its_place() -> None:
    async with desk() as it:
        it.engine.broken["media.list"] = NotFound("The catalogue is not there.", "S scans.")
        await it.press("3")
        await it.sees("FILES", "✗ Not found: The catalogue is not there. S scans.")
