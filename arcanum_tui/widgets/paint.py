"""The base of every widget that paints lines of toned text: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.theme import Theme
from textual.widget import Widget

from arcanum_tui.state.grid import Piece
from arcanum_tui.state.text import clean

_BOLD = frozenset({"strong", "title", "key"})
_GROUNDS = {"": "background", "cursor": "tone-cursor", "quiet": "tone-quiet-cursor"}


@lru_cache(maxsize=512)
def _style(color: str, ground: str, bold: bool, look: str) -> Style:
    return Style(
        color=color,
        bgcolor=ground,
        bold=bold or "b" in look,
        italic="i" in look,
        underline="u" in look,
        strike="s" in look,
    )


class Painted(Widget):
    """Turns pieces into strips. A ``ground`` (cursor, quiet) lies under the whole line.

    Tones are no component classes: fourteen style lookups a widget would be half of the first
    paint, and of every change of focus.
    """

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._repaint_in)

    def _repaint_in(self, _theme: Theme) -> None:
        self.refresh()

    def tone(self, name: str, ground: str = "", look: str = "") -> Style:
        """The style of a tone on a ground, in the present theme, with the look of a piece."""
        colors = self.app.theme_variables
        under = "quiet" if "c" in look and not ground else ground
        return _style(colors[f"tone-{name}"], colors[_GROUNDS[under]], name in _BOLD, look)

    def strip(self, pieces: Iterable[Piece], width: int, ground: str = "") -> Strip:
        """One line of exactly ``width`` cells."""
        segments = [Segment(clean(p.text), self.tone(p.tone, ground, p.look)) for p in pieces]
        return Strip(segments).adjust_cell_length(width, self.tone("plain", ground))

    def rule(self, left: Iterable[Piece], right: Iterable[Piece], width: int) -> Strip:
        """A heading: ``─ NEEDS YOU  3 ──────────── a open ─``."""
        line = self.tone("rule")
        head = [Segment("─ ", line)]
        head += [Segment(clean(p.text), self.tone(p.tone)) for p in left]
        head.append(Segment(" ", line))
        tail = [Segment(clean(p.text), self.tone(p.tone)) for p in right]
        if tail:
            tail = [Segment(" ", line), *tail, Segment(" ─", line)]
        used = sum(cell_len(s.text) for s in (*head, *tail))
        if used > width and tail:
            tail, used = [], sum(cell_len(s.text) for s in head)
        if used > width > 0:
            cut = Strip(head).crop(0, width - 1)
            return Strip([*cut, Segment("…", line)]).adjust_cell_length(width, line)
        fill = [Segment("─" * max(0, width - used), line)]
        return Strip([*head, *fill, *tail]).adjust_cell_length(width, line)
