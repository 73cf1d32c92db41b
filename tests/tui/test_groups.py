"""Groups in the place of the files: duplicates, and apart from them pictures that look alike."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from arcanum_tui.widgets.lines import Lines
from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.copies import ComparePictures
from engine.contract.errors import NotFound
from engine.contract.jobs import JobState
from tests.fakes.fake_shelves import pixels
from tests.fakes.fake_world import World
from tests.fakes.sample import GB, lived_in
from tests.tui.desk import Desk, desk
from tests.tui.test_hostile import NASTY
from tests.tui.test_media_files import _files


async def test_duplicates_stand_in_the_place_of_the_files() -> None:
    world = lived_in()
    for n in range(120):
        world.shelves.add_group(1000 * (120 - n), f"a/{n}.jpg", f"copies/{n}.jpg")
    async with desk(world) as it:
        await _files(it)
        await it.press("d")
        await it.sees("DUPLICATES  films  120 groups", "nothing goes from here", "films: a/0.jpg")
        await it.press("G")
        await it.sees("films: a/119.jpg")
        await it.answer("enter")
        await it.sees("The same bytes", "✓ keep", "the oldest", "○ spare", "copies/119.jpg")
        await it.answer("escape")
        await it.press("escape")
        await it.sees("FILES  films  1,412 files")


async def test_a_jump_reads_what_is_looked_at_and_nothing_on_the_way_there() -> None:
    world = lived_in()
    for n in range(3000):
        world.shelves.add_group(1000, f"a/{n}.jpg", f"copies/{n}.jpg")
        world.shelves.add_alike(f"b/{n}.jpg", f"small/{n}.jpg")
    async with desk(world) as it:
        await _files(it)
        for key, operation, folder in (("d", media.DUPLICATES, "a"), ("D", media.NEAR, "b")):
            await it.press(key)
            await it.sees("3,000 groups", f"films: {folder}/0.jpg")
            await it.press("G")
            await it.sees(f"films: {folder}/2999.jpg")
            it.app.screen.query_one("#files", Lines).go(1234)
            await it.sees(f"films: {folder}/1234.jpg")
            assert len(it.engine.requests(operation)) <= 4


async def test_what_was_shown_stays_until_what_is_new_is_there() -> None:
    world = lived_in()
    for n in range(120):
        world.shelves.add_group(1000, f"a/{n}.jpg", f"copies/{n}.jpg")
    async with desk(world, size=(120, 60)) as it:
        await _files(it)
        await it.press("d", "G")
        await it.sees("120 groups", "films: a/119.jpg")
        await it.loses("…  ")
        listed = it.screen_text
        it.engine.held[media.DUPLICATES.name] = turnstile = Turnstile()
        del world.shelves.groups[0]
        asked = len(it.engine.requests(media.DUPLICATES))
        world.set_library("films", 1410, 700 * GB)
        for page in (1, 2):  # Both are in sight.
            await it.until(lambda: len(it.engine.requests(media.DUPLICATES)) == asked + page)  # noqa: B023
            await it.pilot.pause()
            assert _groups(it.screen_text) == _groups(listed)
            turnstile.set()
        await it.sees("119 groups", "films: a/119.jpg")


class Turnstile(asyncio.Event):
    """Lets one through each time."""

    async def wait(self) -> Literal[True]:
        await super().wait()
        self.clear()
        return True


def _groups(text: str) -> list[str]:
    return [line for line in text.split("\n") if " × " in line]


async def test_where_the_engine_has_counted_anew_meanwhile_the_list_is_read_again() -> None:
    world = lived_in()
    for n in range(120):
        world.shelves.add_group(1000, f"a/{n}.jpg", f"copies/{n}.jpg")
    async with desk(world) as it:
        await _files(it)
        await it.press("d")
        await it.sees("120 groups", "films: a/0.jpg")
        world.shelves.groups.insert(0, world.shelves.groups.pop())
        world.shelves.add_group(1000, "z.jpg", "copies/z.jpg")
        await it.press("G")
        await it.sees("121 groups", "films: a/118.jpg")
        await it.press("g")
        await it.sees("films: a/119.jpg", "films: a/0.jpg")


async def test_a_group_that_is_none_any_more_says_so() -> None:
    world = lived_in()
    for n in range(3):
        world.shelves.add_group(1000, f"a/{n}.jpg", f"copies/{n}.jpg")
    world.shelves.left_out = 1
    async with desk(world) as it:
        await _files(it)
        await it.press("d")
        await it.sees("3 groups", "films: a/1.jpg", "no duplicates any more")
        await it.press("G", "enter")
        await it.loses("The same bytes")


async def test_groups_have_orders_of_their_own_and_the_list_behind_them_keeps_its_own() -> None:
    world = lived_in()
    world.shelves.add_group(1000, "a.jpg", "copies/a.jpg")
    async with desk(world) as it:
        await _files(it)
        await it.press("d")
        await it.sees("DUPLICATES  films  1 group")
        lists = len(it.engine.requests(media.LIST))
        await it.press("s")
        await it.sees("1 group by copies")
        assert it.engine.requests(media.DUPLICATES)[-1].sort == "count"
        await it.press("s")
        await it.sees("1 group by path")
        await it.press("R")
        await it.sees("no other way round")
        assert len(it.engine.requests(media.LIST)) == lists
        await it.press("t")
        await it.sees("FILES  films/", "Film 000019 (1969)/")


def _keys(it: Desk) -> str:
    return it.screen_text.rstrip("\n").split("\n")[-1]


async def test_in_a_small_window_the_keys_are_those_of_groups() -> None:
    world = lived_in()
    world.shelves.add_group(1000, "a.jpg", "copies/a.jpg")
    async with desk(world, size=(80, 24)) as it:
        await _files(it)
        files = _keys(it)
        await it.press("d")
        await it.sees("1 group")
        for told in ("Enter open", "d duplicates", "D alike", "e export", "? help"):
            assert told in _keys(it)
        await it.press("escape")
        await it.sees("FILES  films  1,412 files")
        await it.until(lambda: _keys(it) == files)


async def test_in_a_small_window_the_heading_says_that_nothing_goes_and_where_one_is() -> None:
    world = lived_in()
    for n in range(27_000):
        world.shelves.add_group(1000, f"a/{n}.jpg", f"copies/{n}.jpg")
    async with desk(world, size=(80, 24)) as it:
        await _files(it)
        await it.press("d")
        told = "DUPLICATES  films  27,000 groups · nothing goes from here"
        await it.sees(told, "1–16 of 27,000")
        await it.press("s", "G")
        await it.sees(told.replace(" ·", " by copies ·"), "100 %", "films: a/26999.jpg")
    async with desk(world, size=(120, 24)) as it:
        await _files(it)
        await it.press("d")
        await it.sees(f"{told} · at most 27 MB free", "1–")


async def test_a_heading_that_is_cut_says_so() -> None:
    world = lived_in()
    world.shelves.add_group(1000, "a.jpg", "copies/a.jpg")
    async with desk(world, size=(50, 24)) as it:
        await _files(it)
        await it.press("d")
        await it.sees("DUPLICATES  films  1 group")
        [heading] = [line for line in it.screen_text.split("\n") if "DUPLICATES" in line]
        assert heading.rstrip().endswith("…")


async def test_e_writes_the_duplicates_that_are_listed() -> None:
    world = lived_in()
    world.shelves.add_group(1000, "a.jpg", "copies/a.jpg")
    async with desk(world) as it:
        await _files(it)
        await it.press("d")
        await it.sees("1 group", "films: a.jpg")
        await it.answer("e")
        await it.sees("Write what is listed", "films-duplicates-2026-11-20.csv")
        await it.press("home", "ctrl+k")
        await it.type("/tmp/x.md")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(media.EXPORT_DUPLICATES))
        asked = it.engine.requests(media.EXPORT_DUPLICATES)[0]
        assert (asked.path, asked.libraries, asked.near) == (
            PathRef.of("/tmp/x.md"), ("films",), False,
        )  # fmt: skip
        job = next(j for j in it.world.jobs.values() if j.operation == "media.export_duplicates")
        result = {"files": 2, "groups": 1, "untold": 0, "path": {"display": "/tmp/x.md"}}
        it.world.change_job(job.id, state=JobState.DONE, result=result)
        await it.sees("2 files in 1 group: /tmp/x.md.")


async def test_no_duplicates_say_so() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("d")
        await it.sees("no two files here have the same bytes")


# --- pictures that look alike ---------------------------------------------------------------------


def _alike(groups: int = 120) -> World:
    world = lived_in()
    for n in range(groups):
        world.shelves.add_alike(f"a/{n}.jpg", f"small/{n}.jpg", f"tiny/{n}.jpg")
    return world


async def test_pictures_that_look_alike_stand_apart_and_none_is_chosen() -> None:
    world = _alike()
    world.shelves.add_group(1000, "same.jpg", "copies/same.jpg")
    async with desk(world) as it:
        await _files(it)
        await it.press("d")
        await it.sees("DUPLICATES  films  1 group", "films: same.jpg", "D alike")
        await it.press("D")
        await it.sees("ALIKE  films  120 groups · nothing goes from here · 353 pictures compared")
        await it.sees("3 ×  4 bits", "films: a/0.jpg")
        await it.loses("same.jpg")
        await it.press("G")
        await it.sees("films: a/119.jpg")
        await it.answer("enter")
        await it.sees("Pictures that look alike", "the first", "2 bits", "small/119.jpg")
        await it.sees("2000 × 1500", "in 3 copies", "which to keep is for you to say")
        await it.loses("spare")
        await it.answer("escape")
        await it.press("d")
        await it.sees("DUPLICATES  films  1 group")
        await it.press("D", "D")
        await it.sees("FILES  films  1,412 files")


async def test_enter_reads_a_member_closely_and_what_is_done_there_is_done() -> None:
    world = _alike(2)
    world.shelves.add_group(1000, "same.jpg", "copies/same.jpg")
    async with desk(world) as it:
        await _files(it)
        await it.press("D")
        await it.sees("ALIKE  films  2 groups")
        await it.answer("enter")
        await it.sees("Pictures that look alike", "Enter open")
        await it.press("down", "down", "enter")
        await it.sees("HOLDS", "v verify")
        assert it.engine.requests(media.SHOW)[-1].id == 2
        await it.answer("escape")
        await it.sees("Pictures that look alike")
        await it.press("enter")
        await it.sees("HOLDS")
        await it.answer("v")
        await it.loses("Pictures that look alike")
        await it.sees("verifying small/0.jpg")
        assert [one.paths for one in it.engine.requests(media.VERIFY)] == [
            (PathRef.of("small/0.jpg"),)
        ]
        await it.press("d")
        await it.sees("films: same.jpg")
        await it.answer("enter")
        await it.sees("The same bytes")
        await it.press("end", "enter")
        await it.pilot.pause()
        await it.press("home", "enter")
        await it.sees("HOLDS")
        assert it.engine.requests(media.SHOW)[-1].id == 1
        await it.answer("at")
        await it.sees("AGENT-0", "same.jpg")


async def test_beside_pictures_that_look_alike_stand_the_first_and_the_one_at_the_cursor() -> None:
    world = _alike(1)
    world.shelves.picture = pixels(12, 8)
    async with desk(world) as it:
        await _files(it)
        await it.press("D")
        await it.sees("ALIKE  films  1 group")
        await it.answer("enter")
        await it.sees("Pictures that look alike", "▀" * 12)
        await it.press("down", "down", "down", "down")
        await it.until(lambda: it.screen_text.count("▀" * 12) == 8)
        asked = [one.id for one in it.engine.requests(media.THUMBNAIL)]
        assert (asked[0], asked[-1]) == (1, 3)


async def test_escape_leaves_them_and_another_library_has_its_own() -> None:
    async with desk(_alike(1)) as it:
        await _files(it)
        await it.press("D")
        await it.sees("ALIKE  films  1 group")
        await it.press("shift+tab", "down")
        await it.sees("ALIKE  photos")
        assert it.engine.requests(media.NEAR)[-1].libraries == ("photos",)
        await it.press("G")
        await it.sees("ALIKE  all libraries")
        assert it.engine.requests(media.NEAR)[-1].libraries == ()
        await it.press("escape")
        await it.sees("FILES  all libraries")


async def test_what_was_not_compared_says_which_key_does_and_is_shown_once_it_is() -> None:
    world = lived_in()
    world.shelves.uncompared = 353
    async with desk(world) as it:
        await _files(it)
        await it.press("D")
        await it.sees("353 files to look at: C compares the pictures of all libraries")
        await it.press("C")
        await it.sees("comparing pictures: job")
        assert it.engine.requests(media.COMPARE_PICTURES) == [ComparePictures()]
        job = next(j for j in world.jobs.values() if j.operation == "media.compare_pictures")
        world.shelves.uncompared = 0
        world.shelves.add_alike("a.jpg", "b.jpg")
        result = {"near": 2, "groups": 1}
        world.change_job(job.id, state=JobState.DONE, result=result)
        await it.sees("2 pictures in 1 group look alike")
        await it.sees("ALIKE  films  1 group", "films: a.jpg")


async def test_what_is_new_since_is_told_beside_what_was_found() -> None:
    world = _alike(1)
    world.shelves.uncompared = 12
    async with desk(world, size=(80, 24)) as it:
        await _files(it)
        await it.press("D")
        await it.sees("films: a/0.jpg", "C compares 12 more")


async def test_where_pictures_cannot_be_compared_it_says_what_to_install() -> None:
    world = lived_in()
    world.shelves.uncompared = 353
    world.shelves.problem = "Pillow is not installed. pip install 'arcanum[media]'"
    async with desk(world, size=(80, 24)) as it:
        await _files(it)
        await it.press("D")
        await it.sees("✗ Pillow is not installed. pip install 'arcanum[media]'")
        await it.loses("C compares")


async def test_pictures_without_a_like_say_so() -> None:
    async with desk() as it:
        await _files(it)
        await it.press("D")
        await it.sees("no pictures here look alike; C compares those of all libraries again")


async def test_an_error_stands_where_they_would() -> None:
    async with desk() as it:
        it.engine.broken["media.near"] = NotFound("The catalogue is not there.", "S scans.")
        await _files(it)
        await it.press("D")
        await it.sees("ALIKE", "✗ Not found: The catalogue is not there. S scans.")


async def test_e_writes_the_pictures_that_are_listed() -> None:
    async with desk(_alike(1)) as it:
        await _files(it)
        await it.press("D")
        await it.sees("ALIKE  films  1 group")
        await it.answer("e")
        await it.sees("Write what is listed", "films-alike-2026-11-20.csv")
        await it.answer("enter")
        await it.until(lambda: it.engine.requests(media.EXPORT_DUPLICATES))
        asked = it.engine.requests(media.EXPORT_DUPLICATES)[0]
        assert (asked.libraries, asked.near) == (("films",), True)


async def test_beside_the_list_stands_the_group() -> None:
    async with desk(_alike(1), size=(160, 40)) as it:
        await _files(it)
        await it.press("D")
        await it.sees("DETAILS", "the first", "films: tiny/0.jpg", "4 bits")


@pytest.mark.parametrize("name", NASTY)
async def test_hostile_names_are_shown_and_nothing_more(name: str) -> None:
    world = lived_in()
    raw = NASTY[name]
    world.shelves.add_alike("a.jpg", "b.jpg")
    group = world.shelves.alike[0]
    path = PathRef.of(raw * 5)
    pictures = tuple(p.model_copy(update={"path": path}) for p in group.pictures)
    world.shelves.alike[0] = group.model_copy(update={"pictures": pictures})
    async with desk(world, size=(80, 24)) as it:
        await _files(it)
        for key, mark in (("D", "ALIKE  films"), ("enter", "look alike"), ("escape", "ALIKE")):
            await it.press(key)
            await it.sees(mark)
            text = it.screen_text
            assert all(c.isprintable() or c == "\n" for c in text), name
            assert len(text.split("\n")) == 24
