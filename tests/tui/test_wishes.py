"""What config.toml wishes of the screen is so from the first paint on."""

from __future__ import annotations

from pathlib import Path

import pytest

from arcanum_tui import wishes
from arcanum_tui.wishes import PICTURES, Wishes
from engine.config import ScreenConfig


def test_without_a_file_it_is_as_the_configuration_says() -> None:
    usual = ScreenConfig()
    assert wishes.read(Path("/nowhere")) == Wishes(usual.theme, False, usual.pictures)
    assert usual.animations == "none"
    assert ScreenConfig.model_json_schema()["properties"]["pictures"]["enum"] == [*PICTURES]


def test_what_is_wished_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[screen]\ntheme = "light"\nanimations = "basic"\npictures = "off"\n')
    assert wishes.read(path) == Wishes("light", True, "off")


@pytest.mark.parametrize(
    "text",
    [
        "no toml [",
        "screen = 1",
        '[screen]\ntheme = "../../etc/passwd"\nanimations = []\npictures = {}',
        "[screen]\ntheme = []",
        "x = " + "[" * 100_000,
    ],
    ids=["no toml", "no table", "unknown", "a list", "deep"],
)
def test_what_cannot_be_had_is_as_if_it_had_not_been_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert wishes.read(path) == Wishes()
