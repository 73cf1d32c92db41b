"""A real picture on a terminal that says it draws, and on those that do not say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.terminal import Terminal
from engine.home import Home
from tests.e2e.shell import ARCANUM, told

pytestmark = [pytest.mark.slow, pytest.mark.binding("PIL", "make setup")]

PLACEHOLDER, BLOCKS = "\U0010eeee\u0305\u0305", "▀▀"
CAN, CANNOT = "\x1b[?2048;2$y", "\x1b[?2048;0$y"


@pytest.mark.parametrize(
    ("term", "says", "wanted"),
    [
        ("xterm-kitty", CAN, "auto"),
        ("xterm-kitty", CAN, "blocks"),
        ("xterm-kitty", CANNOT, "auto"),
        ("xterm-kitty", "", "auto"),
        ("xterm-256color", CAN, "auto"),
    ],
    ids=["kitty", "blocks are wanted", "an old kitty", "no answer", "another terminal"],
)
def test_pixels_are_drawn_where_the_terminal_can(
    home: Home, tmp_path: Path, term: str, says: str, wanted: str
) -> None:
    from PIL import Image

    able = (term, says, wanted) == ("xterm-kitty", CAN, "auto")
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text(f'[screen]\npictures = "{wanted}"\n')
    Image.new("RGB", (400, 300), (200, 90, 30)).save(tmp_path / "a.png")
    told("media", "add", str(tmp_path), "--name", "photos")
    told("media", "scan", "photos")
    with Terminal([ARCANUM], env=os.environ, columns=170, rows=40, term=term) as terminal:
        terminal.wait_for("● live", within_s=30.0)
        terminal.type(says)  # Late, as over a slow line.
        terminal.settle()
        terminal.type("3")
        terminal.wait_for("▸3 media", "a.png", "DETAILS", PLACEHOLDER if able else BLOCKS)
        assert terminal.text.has(PLACEHOLDER) is able
