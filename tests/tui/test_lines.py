"""A list paints what changed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from textual.app import App, ComposeResult
from textual.strip import Strip

from arcanum_tui import looks
from arcanum_tui.state.grid import Column, Piece, Row
from arcanum_tui.widgets.lines import Lines

COLUMNS = (Column(), Column(right=True))


def rows(*values: str) -> list[Row]:
    return [Row((Piece(f"row {n}"), Piece(value)), str(n)) for n, value in enumerate(values)]


class OneList(App[None]):
    def compose(self) -> ComposeResult:
        yield Lines(id="list", title="LIST", columns=COLUMNS)

    def on_mount(self) -> None:
        for name in looks.names():
            self.register_theme(looks.load(name))
        self.theme = "dark"


@contextmanager
def painted(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The lines that are drawn meanwhile."""
    seen: list[int] = []
    real = Lines.render_line

    def told(self: Lines, y: int) -> Strip:
        seen.append(y)
        return real(self, y)

    with monkeypatch.context() as patch:
        patch.setattr(Lines, "render_line", told)
        yield seen
    assert lines.is_mounted


def text(lines: Lines) -> list[str]:
    return [lines.render_line(y).text.rstrip() for y in range(lines.size.height)]


async def test_a_row_that_moved_is_painted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    app = OneList()
    async with app.run_test(size=(40, 8)) as pilot:
        lines = app.query_one(Lines)
        lines.show(rows("10", "20", "30"))
        await pilot.pause()
        with painted(lines, monkeypatch) as seen:
            lines.show(rows("10", "25", "30"))
            await pilot.pause()
        assert seen == [2]
        with painted(lines, monkeypatch) as seen:
            lines.show(rows("10", "25", "30"), note=[Piece("now")])
            await pilot.pause()
        assert seen == [0]
        screen = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert all(part in screen for part in ("now", "25", "30"))


@pytest.mark.parametrize("values", [("10", "2000", "30"), ("10", "20"), ("10", "20", "30", "40")])
async def test_what_moves_the_others_paints_them_too(
    values: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = OneList()
    async with app.run_test(size=(40, 8)) as pilot:
        lines = app.query_one(Lines)
        lines.show(rows("10", "20", "30"))
        await pilot.pause()
        with painted(lines, monkeypatch) as seen:
            lines.show(rows(*values))
            await pilot.pause()
        assert set(seen) == set(range(lines.size.height))
        shown = text(lines)
        await lines.remove()
        await app.mount(fresh := Lines(id="fresh", title="LIST", columns=COLUMNS))
        fresh.focus().show(rows(*values))
        await pilot.pause()
        assert shown == text(fresh)


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (60, "─ LIST  where · how many · spare ── 1–4 of 9 · Space takes ─"),
        (56, "─ LIST  where · how many · spare ─── 1–4 · Space takes ─"),
        (52, "─ LIST  where · how many · spare ──────── 1–4 of 9 ─"),
        (42, "─ LIST  where · how many · spare ─── 1–4 ─"),
        (36, "─ LIST  where · how many ───── 1–4 ─"),
        (28, "─ LIST  where · how many ───"),
        (24, "─ LIST  where · how man…"),
    ],
)
async def test_in_a_heading_the_least_gives_way_first(width: int, told: str) -> None:
    app = OneList()
    async with app.run_test(size=(width, 5)) as pilot:
        lines = app.query_one(Lines)
        lines.hint = "Space takes"
        note = [Piece("where"), Piece(" · how many"), Piece(" · spare")]
        lines.styles.height = 5
        lines.show(rows(*"123456789"), note=note, giving=1)
        await pilot.pause()
        assert text(lines)[0] == told
