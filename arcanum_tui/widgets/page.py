"""Something to read beside a list: lines laid out for their place, scrolled where they are more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.strip import Strip

from arcanum_tui.state.grid import Piece, wrap
from arcanum_tui.state.text import number
from arcanum_tui.widgets.paint import Painted

Make = Callable[[int, int], Sequence[tuple[Piece, ...]]]


class Page(Painted):
    """A heading and lines. It has no focus: who shows it moves it."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._title: tuple[Piece, ...] = ()
        self._key = ""
        self._make: Make | None = None
        self._lines: Sequence[tuple[Piece, ...]] = ()
        self._top = 0

    def show(self, key: str, title: Sequence[Piece], make: Make) -> None:
        """Shows the lines that ``make`` lays out for a width and a height. ``key`` names the
        thing: another one is read from its beginning."""
        if key != self._key:
            self._key, self._top = key, 0
        self._title, self._make = tuple(title), make
        self._lay_out()

    def show_empty(self, piece: Piece) -> None:
        """Nothing is selected: a line that says what to do."""

        def make(width: int, _height: int) -> list[tuple[Piece, ...]]:
            return [(Piece(f" {line}", piece.tone),) for line in wrap(piece.text, width - 2)]

        self.show("", (), make)

    def _lay_out(self) -> None:
        width, height = self.size.width, self.size.height - 1
        if self._make is not None and width > 8 and height > 0:
            self._lines = self._make(width, height)
            self._top = min(self._top, max(0, len(self._lines) - height))
        self.refresh()

    def on_resize(self) -> None:
        self._lay_out()

    def move(self, step: int) -> None:
        """Shows what lies ``step`` lines further."""
        last = max(0, len(self._lines) - self.size.height + 1)
        self._top = min(max(self._top + step, 0), last)
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-2)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0 and not self._title:
            return self.strip((Piece("─" * width, "rule"),), width)
        if y == 0:
            return self.rule(self._title, self._tail(), width)
        index = self._top + y - 1
        return self.strip(self._lines[index] if index < len(self._lines) else (), width)

    def _tail(self) -> list[Piece]:
        """Which lines are in sight, where not all are."""
        count, room = len(self._lines), self.size.height - 1
        if count <= room:
            return []
        last = min(count, self._top + room)
        where = f"{number(self._top + 1)}–{number(last)} of {number(count)}"
        return [Piece("J K", "key"), Piece(f" {where}", "muted")]
