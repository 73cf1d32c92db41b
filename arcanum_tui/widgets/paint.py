"""The base of every widget that paints lines of toned text: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from arcanum_tui.state.grid import TONES, Piece
from arcanum_tui.state.text import clean


class Painted(Widget):
    """Turns pieces into strips. A ``ground`` (cursor, quiet) lies under the whole line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"tone-{tone}" for tone in TONES),
        "ground-cursor",
        "ground-quiet",
    }

    def tone(self, name: str, ground: str = "") -> Style:
        """The style of a tone on a ground, in the present theme."""
        style = self.get_component_rich_style(f"tone-{name}")
        if ground:
            under = self.get_component_rich_style(f"ground-{ground}")
            style += Style(bgcolor=under.bgcolor)
        return style

    def strip(self, pieces: Iterable[Piece], width: int, ground: str = "") -> Strip:
        """One line of exactly ``width`` cells."""
        segments = [Segment(clean(p.text), self.tone(p.tone, ground)) for p in pieces]
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
        fill = [Segment("─" * max(0, width - used), line)]
        return Strip([*head, *fill, *tail]).adjust_cell_length(width, line)
