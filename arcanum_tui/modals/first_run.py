"""The first run: what was found here, to be used or not. Asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from arcanum_tui.modals.listing import TickDialog
from arcanum_tui.state import found as finds
from arcanum_tui.widgets.lines import Listed

if TYPE_CHECKING:
    from engine.contract.discovery import Found


class FirstRunDialog(TickDialog):
    """Dismissed with the keys of what shall be used; with None where it was skipped."""

    SETTLE_S: ClassVar[float] = 0.5

    def __init__(self, found: Found) -> None:
        rows = finds.rows(found)
        super().__init__(
            "Found on this machine: use it? Folders are only read",
            finds.COLUMNS,
            Listed(rows),
            "uses what is ticked",
            ticked=finds.suggested(rows),
            none_says="Nothing is ticked: Space ticks a line, Esc skips.",
            escape="skip",
        )

    def action_back(self) -> None:
        """Skipping is an answer, too: it is asked only once."""
        if self.answers():
            self.close(None)
