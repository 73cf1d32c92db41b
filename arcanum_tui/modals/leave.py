"""Leaving while something runs: what runs, and what will become of it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from arcanum_tui.actions import bindings
from arcanum_tui.modals.sheet import SheetDialog
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.model import State
from arcanum_tui.state.news import verb


def what_runs(state: State) -> list[tuple[Piece, ...]]:
    """What runs, and what happens to it when this terminal is left; empty where nothing does."""
    lines: list[tuple[Piece, ...]] = [
        (Piece(f"● {a.verb} #{a.id}", "info"), Piece(f"{a.subject}: {a.headline}"))
        for a in state.executing
    ]
    lines += [
        (Piece(f"● {verb(j.operation)}", "info"), Piece(f"{j.subject}, {j.state}"))
        for j in state.running
    ]
    if not lines:
        return []
    here = state.status is not None and state.status.host == "terminal"
    fate = (
        (
            "This terminal runs the engine. What is in hand is finished, then it stops;",
            "it is listed as interrupted and says how far it got. Nothing is lost.",
        )
        if here
        else ("The engine runs elsewhere and goes on without this terminal.",)
    )
    return [*lines, (Piece(""),), *[(Piece(""), Piece(text, "muted")) for text in fate]]


class LeaveDialog(SheetDialog):
    """Dismissed with ``leave`` by a second ``q``."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("leaving")]

    def __init__(self, lines: list[tuple[Piece, ...]]) -> None:
        super().__init__("Leave while this runs?", lines, ("q", "leave"), escape="stay")

    def action_leave(self) -> None:
        self.control_center.exit()
