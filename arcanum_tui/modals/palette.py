"""Find an action by name: the list of actions, filtered as you type."""

from __future__ import annotations

from collections.abc import Sequence

from arcanum_tui.actions import Action, key_name
from arcanum_tui.modals.picker import Picker
from arcanum_tui.state.grid import Column, Piece, Row

COLUMNS = (Column(width=13), Column(width=9), Column(grow=True), Column(rank=1))


class PaletteDialog(Picker[Action]):
    """Dismissed with the chosen action."""

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__("Do what?", COLUMNS, "Type a word: scan, theme, undo …", "do it")
        self.add_class("-tall")
        self._actions = {f"{a.where}.{a.id}": a for a in actions}

    def rows(self, text: str) -> list[Row]:
        words = text.lower().split()
        return [
            Row(
                (
                    Piece(a.label, "strong"),
                    Piece(key_name(a.keys[0]), "key"),
                    Piece(a.help, "muted"),
                    Piece(a.operation, "muted"),
                ),
                name,
            )
            for name, a in self._actions.items()
            if all(w in f"{a.label} {a.help} {a.group} {a.operation}".lower() for w in words)
        ]

    def pick(self, row: Row) -> None:
        self.close(self._actions[row.key])
