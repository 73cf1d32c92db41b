"""Find an action by name: the list of actions, filtered as you type."""

from __future__ import annotations

from collections.abc import Sequence

from arcanum_tui.actions import Action, key_name
from arcanum_tui.modals.picker import Picker
from arcanum_tui.state.grid import Column, Piece, Row, muted, strong

COLUMNS = (Column(width=13), Column(width=9), Column(grow=True, least=50), Column(rank=1))
"""Where room is short, what an action does goes before what it calls."""


NOT_FOUND = 9


def _rank(action: Action, words: Sequence[str]) -> int:
    """How well all words fit: to the label best, then to the help, then to anything."""
    rank = 0
    for word in words:
        for better, text in enumerate((action.label, action.help, action.group, action.operation)):
            at = f" {text}".lower().find(word)
            if at >= 0:
                rank = max(rank, 2 * better + (0 if f" {text}".lower()[at - 1] == " " else 1))
                break
        else:
            return NOT_FOUND
    return rank


class PaletteDialog(Picker[Action]):
    """Dismissed with the chosen action."""

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__("Do what?", COLUMNS, "Type a word: help, theme, undo …", "do it")
        self.add_class("-tall")
        self._actions = {f"{a.where}.{a.id}": a for a in actions}

    def rows(self, text: str) -> list[Row]:
        words = text.lower().split()
        found = [(_rank(a, words), name, a) for name, a in self._actions.items()]
        return [
            Row(
                (
                    strong(a.label),
                    Piece(key_name(a.keys[0]) if a.keys else "", "key"),
                    muted(a.help),
                    muted(a.operation),
                ),
                name,
            )
            for rank, name, a in sorted(found, key=lambda f: f[0])
            if rank < NOT_FOUND
        ]

    def pick(self, row: Row) -> None:
        self.close(self._actions[row.key])
