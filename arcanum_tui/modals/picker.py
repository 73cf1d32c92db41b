"""Type to filter, choose with the arrows: what the palette and the list of sessions are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input

from arcanum_tui.actions import bindings
from arcanum_tui.modals.base import Dialog, Result
from arcanum_tui.state.grid import Column, Piece, Row, muted
from arcanum_tui.widgets.lines import Lines


class Picker(Dialog[Result]):
    """The line keeps the focus; the arrows move in the list below it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("picker")]

    def __init__(
        self,
        title: str,
        columns: Sequence[Column],
        placeholder: str,
        does: str,
        *keys: tuple[str, str],
        limit: int = 64,
    ) -> None:
        super().__init__(title, *(() if keys else (("↑ ↓", "choose"),)), ("Enter", does), *keys)
        self._input = Input(placeholder=placeholder, max_length=limit, id="box-input")
        self._lines = Lines(id="box-lines", columns=columns, marked=True)
        self._lines.can_focus = False

    def rows(self, text: str) -> Sequence[Row]:
        """What fits to what was typed, best first."""
        raise NotImplementedError

    def pick(self, row: Row) -> None:
        """A row was chosen."""
        raise NotImplementedError

    def body(self) -> Iterable[Widget]:
        yield self._input
        yield self._lines

    def on_mount(self) -> None:
        # A cursor that blinks paints twice a second for nothing.
        self._input.cursor_blink = False
        self._show("")

    def _show(self, text: str) -> None:
        self._lines.show(self.rows(text), empty=self.nothing(text))
        self._lines.go(0)

    def nothing(self, _text: str) -> Piece:
        """What stands where no row fits to what was typed."""
        return muted("nothing has that name")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def action_down(self) -> None:
        self._lines.action_down()

    def action_up(self) -> None:
        self._lines.action_up()

    def on_input_submitted(self) -> None:
        if self._lines.current is not None:
            self.pick(self._lines.current)

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        if message.row is not None:
            self.pick(message.row)
