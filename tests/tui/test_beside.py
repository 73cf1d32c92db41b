"""At a broad terminal what is known of the file stands beside the list, and follows the cursor."""

from __future__ import annotations

import pytest

from arcanum_tui.screens import beside
from engine.contract import media
from engine.contract.errors import NotFound
from tests.fakes.fake_shelves import pixels
from tests.fakes.sample import lived_in
from tests.tui.desk import desk
from tests.tui.test_media_files import _files as files
from tests.tui.test_media_files import _shelved as shelved


async def test_beside_the_list_stands_what_the_cursor_is_on() -> None:
    world = lived_in()
    world.shelves.picture = pixels(12, 8)
    async with desk(world, size=(160, 40)) as it:
        await files(it)
        await it.sees("DETAILS", "film-000000.mkv", "HOLDS", "tracker.example.org")
        await it.press(*["j"] * 30)
        await it.until(lambda: it.engine.requests(media.SHOW)[-1].id == 31)
        await it.sees("path         Film 000030 (1980)/film-000030.mkv", "▀" * 12)
        await it.press("tab", "v")
        await it.sees("verifying Film 000030 (1980)/film-000030.mkv")
        it.engine.broken["media.show"] = NotFound("The file is gone.", "S scans.")
        await it.press("shift+tab", "j")
        await it.sees("✗ Not found: The file is gone.")
        await it.loses("▀" * 12)


async def test_a_file_that_the_cursor_only_passes_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beside, "FOLLOW_S", 3600.0)
    async with desk(size=(160, 40)) as it:
        await files(it)
        await it.press("j", "j", "k", "G")
        await it.sees("film-001411.mkv")
        assert not it.engine.requests(media.SHOW)


async def test_beside_the_list_stands_a_folder_or_a_group() -> None:
    world = shelved()
    world.shelves.add_group(40_000_000, "2019/Alps/0.jpg", "2020/Sea/2.jpg")
    async with desk(world, size=(160, 40)) as it:
        await files(it, "photos")
        await it.press("t")
        await it.sees("folder       2019", "files        6")
        await it.press("d")
        await it.sees("DUPLICATES", "✓ keep", "○ spare")


async def test_nothing_stands_beside_a_list_that_is_narrow() -> None:
    async with desk(size=(159, 40)) as it:
        await files(it)
        await it.sees("film-000000.mkv")
        assert "DETAILS" not in it.screen_text
        assert not it.engine.requests(media.SHOW)
