"""Themes can be read by everybody, and colour never says anything alone."""

from __future__ import annotations

from itertools import combinations

import pytest
from textual.color import Color

from arcanum_tui import looks
from arcanum_tui.state import frame, memories, memory
from tests.tui.desk import Desk, desk

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


# What is left of red, green and blue light for those who lack one kind of cone (Viénot, Brettel and
# Mollon 1999); the third is everybody else.
EYES = {
    "without green cones": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
    "without red cones": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "with all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


def _light(color: Color, eyes: str = "with all") -> float:
    """Relative luminance, 0 to 1, as it is seen."""
    parts = (c / 255 for c in color.rgb)
    rgb = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    seen = (sum(m * c for m, c in zip(row, rgb, strict=True)) for row in EYES[eyes])
    r, g, b = (min(1.0, max(0.0, c)) for c in seen)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _lightness(color: Color, eyes: str) -> float:
    """L* of CIELAB, 0 to 100: by how much a colour looks lighter, whatever its hue."""
    y = _light(color, eyes)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def _contrast(one: Color, other: Color) -> float:
    """The ratio of WCAG 2, 1 to 21."""
    low, high = sorted((_light(one), _light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", looks.names())
def test_every_tone_is_readable_on_every_ground(name: str) -> None:
    theme = looks.load(name)
    least = 7.0 if name.startswith("high-contrast") else 4.5
    grounds = [Color.parse(getattr(theme, g)) for g in GROUNDS]
    grounds += [Color.parse(theme.variables[f"tone-{g}"]) for g in ("cursor", "quiet-cursor")]
    for tone in TEXTS:
        color = Color.parse(theme.variables[f"tone-{tone}"])
        for ground in grounds:
            ratio = _contrast(color, ground)
            assert ratio >= least, f"{name}: {tone} on {ground.hex} is {ratio:.2f}"


def test_there_is_a_dark_and_a_light_theme() -> None:
    assert {"dark", "light"} <= set(looks.names())
    assert looks.load("dark").dark
    assert not looks.load("light").dark


def test_there_are_themes_of_high_contrast_and_for_the_colour_blind() -> None:
    assert looks.names()[:2] == ("dark", "light")
    for name in ("high-contrast", "colour-blind-safe"):
        assert looks.load(name).dark
        assert not looks.load(f"{name}-light").dark


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("name", [n for n in looks.names() if n.startswith("colour-blind-safe")])
def test_states_differ_in_more_than_their_hue(name: str, eyes: str) -> None:
    variables = looks.load(name).variables
    tones = {t: Color.parse(variables[f"tone-{t}"]) for t in ("ok", "warn", "bad", "unknown")}
    for one, other in combinations(tones, 2):
        apart = abs(_lightness(tones[one], eyes) - _lightness(tones[other], eyes))
        assert apart >= 7, f"{one} and {other} are {apart:.1f} apart {eyes}"


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
        for name in (*looks.names()[2:], "dark"):
            await it.answer("t")
            await it.sees(f"Theme: {name}.")
            assert it.app.theme == name


@pytest.mark.parametrize("screen", ["f1", "f2", "f3", "f4", "f5"])
async def test_the_theme_is_changed_by_its_name_on_every_screen(screen: str) -> None:
    """On Media t is the tree, on a line to write on it is text: there is the palette."""
    async with desk() as it:
        await it.press(screen)
        await it.answer("ctrl+p")
        await it.sees("Do what?")
        await it.type("theme")
        await it.answer("enter")
        await it.until(lambda: it.app.theme == "light")


async def test_without_colour_everything_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with desk() as it:
        await it.sees("✗ BROKEN", "? UNKNOWN", "! 190 GB over", "✓ ok", "● running")
        await it.press("down")
        await it.sees(" › #3")


def _coloured(it: Desk) -> list[str]:
    """What is painted in a colour, grey and the ground included."""
    strips = it.app.screen._compositor.render_strips()
    return [s.text for x in strips for s in x if s.style and (s.style.color or s.style.bgcolor)]


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_no_colour_is_sent_where_none_is_wanted(
    monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with desk(theme=theme) as it:
        assert _coloured(it) == []
        await it.press("3")
        await it.sees("LIBRARIES", "FILES  films")
        await it.press("slash")
        await it.type("film")
        assert _coloured(it) == []
        # What only a ground would say is said by turning it round: the line of the list, and where
        # the next letter goes.
        turned = [
            "".join(seg.text for seg in strip if seg.style and seg.style.reverse)
            for strip in it.app.screen._compositor.render_strips()
        ]
        assert [text.split()[:2] for text in turned if text] == [["›", "films"], []]
        await it.press("enter", "P")
        await it.sees("No job reads it now")
        assert _coloured(it) == []
        await it.answer("question_mark")
        await it.sees("Keys: ")
        assert _coloured(it) == []


async def test_an_empty_wish_for_no_colour_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    async with desk() as it:
        assert not it.app.no_color
        strips = it.app.screen._compositor.render_strips()
        colors = [seg.style.color for strip in strips for seg in strip if seg.style]
        shown = [color.triplet for color in colors if color and color.triplet]
        assert any(red != green for red, green, _blue in shown)
