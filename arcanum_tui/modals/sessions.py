"""Which conversation: those there are, or a new one by its name."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from arcanum_tui.modals.picker import Picker
from arcanum_tui.state.grid import Column, Piece, Row
from engine.contract.base import Name

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class SessionsDialog(Picker[str]):
    """Dismissed with a name. What is typed filters, and names a new one where none fits."""

    def __init__(self, names: Sequence[str], current: str) -> None:
        columns = (Column(width=24), Column(grow=True))
        super().__init__("Which conversation?", columns, "A name, or a new one", "go there")
        self._names, self._current = list(dict.fromkeys([current, *names])), current

    def rows(self, text: str) -> list[Row]:
        found = [n for n in self._names if text.lower() in n.lower()]
        rows = [
            Row((Piece(n), Piece("▸ this one" if n == self._current else "", "muted")), n)
            for n in found
        ]
        if text and text not in found:
            rows.append(Row((Piece(text, "strong"), Piece("+ begin a new one", "info")), text))
        return rows

    def pick(self, row: Row) -> None:
        try:
            self.close(_NAME.validate_python(row.key))
        except ValidationError:
            self.show_keys("That is no name: visible characters, no /, not beginning with -.")
