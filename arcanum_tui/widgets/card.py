"""The approval card on the screen, and when it was painted: no key answers it before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.strip import Strip

from arcanum_tui.state.grid import Piece
from arcanum_tui.widgets.paint import Painted

if TYPE_CHECKING:
    from collections.abc import Callable

    from arcanum_tui.state.card import CardFace


class CardView(Painted):
    """Draws a card's face. ``painted_at`` is when this very card was first wholly on the screen,
    None while it was not: another card, another state, or a part that has not been scrolled to."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.painted_at: float | None = None
        self._make: Callable[[int], CardFace] | None = None
        self._face: CardFace | None = None
        self._substance: tuple[object, ...] = ()
        self._empty: tuple[Piece, ...] = ()
        self._top = 0
        self._seen = 0
        self._drawn = False

    def show(self, make: Callable[[int], CardFace]) -> None:
        """Shows the card that ``make`` draws for a width."""
        self._make = make
        self._draw()

    def show_empty(self, *pieces: Piece) -> None:
        """No card: a line that says why."""
        self._make, self._face, self._empty = None, None, pieces
        self._substance = ()
        self._forget()
        self.refresh()

    def _draw(self) -> None:
        if self._make is None or self.size.width < 20:
            return
        before = self._face
        self._face = self._make(self.size.width)
        if self._face.substance != self._substance:
            self._substance = self._face.substance
            self._forget()
        if self._face != before:
            self.refresh()

    def _forget(self) -> None:
        """Another card, or the same one saying something else: it was not painted yet."""
        self.painted_at = None
        self._top = self._seen = 0
        self._drawn = False

    def on_resize(self) -> None:
        """Another size is no other card; but what of it is in sight must be seen anew."""
        self._face = None
        self._top = self._seen = 0
        self._draw()

    # --- painting -------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether every line of the card has been on the screen."""
        return self._face is not None and self._seen >= len(self._face.lines)

    @property
    def cut(self) -> bool:
        """Whether the card is on the screen, and some of its lines have not been."""
        return self._seen > 0 and not self.whole

    def painted(self, at: float) -> None:
        """A frame reached the terminal."""
        if self._drawn and self._face is not None:
            end = self._top + self.size.height
            self._seen = max(self._seen, end if end >= len(self._face.lines) else end - 1)
            if self.painted_at is None and self.whole:
                self.painted_at = at

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._face is None:
            return self.strip((Piece("  "), *self._empty) if y == 0 else (), width)
        self._drawn = True
        index = self._top + y
        lines = self._face.lines
        if y == self.size.height - 1 and index < len(lines) - 1:
            more = f" ▼ {len(lines) - 1 - index} more lines: J "
            return self.strip((Piece(more, "warn"),), width)
        return self.strip(lines[index] if index < len(lines) else (), width)

    def move(self, step: int) -> None:
        """Shows what lies ``step`` lines further."""
        lines = len(self._face.lines) if self._face else 0
        self._top = min(max(self._top + step, 0), max(0, lines - self.size.height))
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-2)
