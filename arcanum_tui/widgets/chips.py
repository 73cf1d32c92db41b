"""What goes along with the next question: a chip each, and what is being edited."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.message import Message
from textual.strip import Strip

from arcanum_tui.state.grid import Piece, fit
from arcanum_tui.widgets.paint import Painted

WIDEST = 32


class Chips(Painted):
    """One line; gone where there is nothing to show. A click on a chip takes it off."""

    class TakenOff(Message):
        """A chip was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._chips: tuple[str, ...] = ()
        self._note = ""
        self.display = False

    def show(self, chips: Sequence[str], note: str = "") -> None:
        """Replaces the chips; ``note`` stands before them."""
        if (tuple(chips), note) != (self._chips, self._note):
            self._chips, self._note = tuple(chips), note
            self.display = bool(chips or note)
            self.refresh()

    def _spans(self) -> tuple[list[Piece], list[tuple[int, int]]]:
        """The pieces of the line, and which cells each chip takes."""
        pieces = [Piece(" ")]
        if self._note:
            pieces.append(Piece(f"✎ {self._note}  ", "info"))
        spans = []
        at = sum(cell_len(p.text) for p in pieces)
        for chip in self._chips:
            text = fit(chip, min(WIDEST, cell_len(chip))) if chip else ""
            made = [Piece("⊕ ", "info", "c"), Piece(text, "plain", "c"), Piece(" ✕", "muted", "c")]
            size = sum(cell_len(p.text) for p in made)
            spans.append((at, at + size))
            pieces += [*made, Piece("  ")]
            at += size + 2
        if self._chips:
            pieces.append(Piece("Backspace takes the last off", "muted"))
        return pieces, spans

    def render_line(self, y: int) -> Strip:
        return self.strip(self._spans()[0] if y == 0 else (), self.size.width)

    def on_click(self, event: events.Click) -> None:
        for index, (start, end) in enumerate(self._spans()[1]):
            if start <= event.x < end:
                self.post_message(self.TakenOff(index))
