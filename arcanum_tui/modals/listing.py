"""A list in a window: to read, or to tick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.modals.base import Dialog
from arcanum_tui.state.grid import Column, Piece, Row
from arcanum_tui.state.text import number
from arcanum_tui.widgets.lines import Lines, Rows


class ListDialog(Dialog[None]):
    """Every row, of which only those in sight are made. Enter closes: it never means yes."""

    def __init__(self, title: str, columns: Sequence[Column], rows: Rows) -> None:
        super().__init__(title, ("↑ ↓", "read"))
        self.add_class("-tall")
        self._rows = rows
        self._lines = Lines(id="box-lines", columns=columns, title="ALL")

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._lines.show(self._rows)

    def on_lines_chosen(self) -> None:
        self.close(None)


class Ticked:
    """Rows with a box before each. ``keys`` are those that are ticked."""

    def __init__(self, rows: Rows, keys: Iterable[str] = ()) -> None:
        self._rows = rows
        self.keys = set(keys)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Row:
        row = self._rows.row(index)
        box = Piece("[x]", "key") if row.key in self.keys else Piece("[ ]", "muted")
        return Row((box, *row.cells), row.key)

    def toggle(self, key: str) -> None:
        """Ticks, or unticks."""
        self.keys ^= {key}


class TickDialog(Dialog[tuple[str, ...]]):
    """Dismissed with the keys that are ticked, in the order of the rows."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ticks")]

    def __init__(
        self,
        title: str,
        columns: Sequence[Column],
        rows: Rows,
        hint: str,
        *,
        ticked: Iterable[str] = (),
        none_says: str = "Nothing is ticked: Space ticks a line, Esc leaves all as it was.",
        escape: str = "back",
    ) -> None:
        super().__init__(title, ("Space", "tick"), ("Enter", hint), escape=escape)
        self.add_class("-tall")
        self._rows = Ticked(rows, ticked)
        self._none_says = none_says
        self._lines = Lines(id="box-lines", columns=(Column(), *columns), title="TICKED")

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        count = f"{number(len(self._rows.keys))} of {number(len(self._rows))}"
        self._lines.show(self._rows, note=[Piece(count, "key")])

    def action_tick(self) -> None:
        if self._lines.current is not None:
            self._rows.toggle(self._lines.current.key)
            self._show()

    def on_lines_chosen(self) -> None:
        if not self._rows.keys:
            self.show_keys(self._none_says)
        elif self.answers():
            order = (self._rows.row(index).key for index in range(len(self._rows)))
            self.close(tuple(key for key in order if key in self._rows.keys))
