"""What every key does here, from the list of actions."""

from __future__ import annotations

from collections.abc import Sequence

from arcanum_tui.actions import Action, key_name
from arcanum_tui.modals.sheet import SheetDialog
from arcanum_tui.state.grid import Piece

NOTES = (
    "Nothing that can hurt happens before you press y on its card.",
    "Enter never means yes. Pasted and typed-ahead keys are no answer.",
    "Select text with the mouse and copy it with Ctrl+C; Shift and the mouse asks your terminal.",
)


def help_lines(actions: Sequence[Action]) -> list[tuple[Piece, ...]]:
    """The actions under their groups, in the order of the list."""
    groups = list(dict.fromkeys(a.group for a in actions))
    lines: list[tuple[Piece, ...]] = []
    for group in groups:
        lines.append((Piece(group.upper(), "title"),))
        for action in actions:
            if action.group == group:
                keys = " ".join(key_name(key) for key in action.keys)
                lines.append(
                    (Piece(f"  {keys}", "key"), Piece(action.label), Piece(action.help, "muted"))
                )
        lines.append((Piece(""),))
    return lines + [(Piece(""), Piece(""), Piece(note, "muted")) for note in NOTES]


class HelpDialog(SheetDialog):
    """For the screen that it was opened from."""

    def __init__(self, where: str, actions: Sequence[Action]) -> None:
        super().__init__(f"Keys: {where}", help_lines(actions))
        self.add_class("-tall")
