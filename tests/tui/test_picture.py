"""Small pictures: of pixels where the terminal draws them, of half blocks elsewhere, or none."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field

import pytest

from arcanum_tui.app import ArcanumApp
from arcanum_tui.widgets.picture import Picture
from arcanum_tui.widgets.pixels import placeholder
from engine.contract import media
from tests.fakes.fake_shelves import pixels
from tests.fakes.fake_world import World
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk, desk
from tests.tui.test_media_files import _files as files

_MESSAGE = re.compile(r"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")


@dataclass
class Canvas:
    """A terminal that draws, unless it is ``behind``; it keeps what it was sent."""

    behind: bool = False
    sent: list[tuple[dict[str, str], str]] = field(default_factory=list)

    def offer(self, data: str) -> bool:
        assert not _MESSAGE.sub("", data)
        for keys, payload in _MESSAGE.findall(data):
            self.sent.append((dict(key.split("=") for key in keys.split(",")), payload))
        return not self.behind


@pytest.fixture
def canvas(monkeypatch: pytest.MonkeyPatch) -> Canvas:
    found = Canvas()
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", "truecolor")
    monkeypatch.setattr(ArcanumApp, "canvas", property(lambda _app: found))
    return found


def pictured(width: int, height: int) -> World:
    world = lived_in()
    world.shelves.picture = pixels(width, height)
    return world


def row(width: int, y: int) -> str:
    return "".join(placeholder(x, y) for x in range(width))


async def look(it: Desk) -> None:
    await files(it)
    await it.press("j", "j", "enter")
    await it.sees("HOLDS")


@pytest.mark.parametrize("colors", ["truecolor", "256"])
async def test_a_terminal_that_draws_gets_the_pixels_and_where_they_go(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch, colors: str
) -> None:
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", colors)
    world = pictured(100, 80)
    async with desk(world) as it:
        await look(it)
        await it.sees(row(17, 0), row(17, 6))
        asked = it.engine.requests(media.THUMBNAIL)[-1]
        assert (asked.width % 6, asked.height % 12) == (0, 0)
        first = canvas.sent[0][0]
        assert {key: first[key] for key in "asvcrUq"} == {
            "a": "T",
            "s": "100",
            "v": "80",
            "c": "17",
            "r": "7",
            "U": "1",
            "q": "2",
        }
        assert [keys["m"] for keys, _ in canvas.sent] == ["1"] * (len(canvas.sent) - 1) + ["0"]
        assert all(len(payload) <= 4096 and keys["q"] == "2" for keys, payload in canvas.sent)
        whole = b64decode("".join(payload for _, payload in canvas.sent))
        assert whole == b64decode(world.shelves.picture.pixels)

        strip = it.app.screen.query_one(Picture).render_line(0)
        style = next(iter(strip)).style
        assert style is not None
        assert style.color is not None
        as_bits = int(style.color.get_truecolor().hex[1:], 16)
        assert int(first["i"]) == (as_bits if colors == "truecolor" else style.color.number)
        await it.press("escape")
        await it.loses(row(17, 0))
        await it.until(lambda: canvas.sent[-1][0].get("a") == "d")
        assert canvas.sent[-1][0]["i"] == first["i"]


async def test_a_terminal_that_is_behind_gets_half_blocks(canvas: Canvas) -> None:
    canvas.behind = True
    async with desk(pictured(60, 48)) as it:
        await look(it)
        await it.sees("▀" * 10)
        assert canvas.sent
        assert placeholder(0, 0) not in it.screen_text


async def test_what_is_shown_stays_when_the_terminal_says_late_that_it_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", "truecolor")
    async with desk(pictured(12, 8)) as it:
        await look(it)
        await it.sees("▀" * 12)
        monkeypatch.setattr(ArcanumApp, "canvas", property(lambda _app: Canvas()))
        picture = it.app.screen.query_one(Picture)
        assert picture.ask(1, 44, 18).width == 264
        assert "▀" * 12 in picture.render_line(0).text


async def test_no_picture_is_asked_for_where_none_is_wanted() -> None:
    async with desk(pictured(12, 8)) as it:
        it.app.pictures = "off"
        await look(it)
        assert not it.engine.requests(media.THUMBNAIL)
