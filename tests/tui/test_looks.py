"""Themes can be read by everybody, and colour never says anything alone."""

from __future__ import annotations

import pytest
from textual.color import Color

from arcanum_tui import looks
from arcanum_tui.state import frame, memories, memory
from tests.tui.desk import desk

TEXTS = (
    "plain",
    "strong",
    "muted",
    "title",
    "key",
    "accent",
    "ok",
    "warn",
    "bad",
    "unknown",
    "info",
)
GROUNDS = ("background", "surface", "panel")


def _contrast(one: Color, other: Color) -> float:
    """The ratio of WCAG 2, 1 to 21."""

    def light(color: Color) -> float:
        parts = (c / 255 for c in color.rgb)
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", looks.names())
def test_every_tone_is_readable_on_every_ground(name: str) -> None:
    theme = looks.load(name)
    grounds = [Color.parse(getattr(theme, g)) for g in GROUNDS]
    grounds += [Color.parse(theme.variables[f"tone-{g}"]) for g in ("cursor", "quiet-cursor")]
    for tone in TEXTS:
        color = Color.parse(theme.variables[f"tone-{tone}"])
        for ground in grounds:
            ratio = _contrast(color, ground)
            assert ratio >= 4.5, f"{name}: {tone} on {ground.hex} is {ratio:.2f}"


def test_there_is_a_dark_and_a_light_theme() -> None:
    assert {"dark", "light"} <= set(looks.names())
    assert looks.load("dark").dark
    assert not looks.load("light").dark


@pytest.mark.parametrize(
    "words",
    [
        frame.APPROVAL_STATES,
        frame.JOB_STATES,
        frame.LIBRARY_STATES,
        frame.WATCH_STATES,
        frame.MODEL_STATES,
        memories.MARKS,
        memories.FOLDER_STATES,
        memory.INDEX_STATES,
        memory.ARCHIVE_STATES,
    ],
)
def test_every_state_is_a_glyph_and_a_word(words: dict[str, tuple[str, str]]) -> None:
    texts = [text for text, _ in words.values()]
    assert len(set(texts)) == len(texts)
    for text in texts:
        glyph, _, word = text.partition(" ")
        assert len(glyph) == 1
        assert not glyph.isalnum()
        assert word


async def test_the_theme_is_switched_with_a_key() -> None:
    async with desk() as it:
        dark = it.app.screen.styles.background
        await it.answer("t")
        await it.until(lambda: it.app.theme == "light")
        assert it.app.screen.styles.background != dark
        await it.answer("t")
        await it.until(lambda: it.app.theme == "dark")


async def test_without_colour_everything_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with desk() as it:
        assert it.app.no_color
        await it.sees("✗ BROKEN", "? UNKNOWN", "! 190 GB over", "✓ ok", "● running")
        await it.press("down")
        await it.sees(" › #3")
