"""Lines to read, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from arcanum_tui.modals.base import Dialog
from arcanum_tui.state.grid import Column, Piece, Row
from arcanum_tui.widgets.lines import Lines


class SheetDialog(Dialog[None]):
    """Scrolled with the keys of a list; long lines are cut at the box."""

    def __init__(
        self,
        title: str,
        lines: Sequence[Sequence[Piece]],
        *keys: tuple[str, str],
        escape: str = "back",
    ) -> None:
        super().__init__(title, *(keys or (("↑ ↓", "scroll"),)), escape=escape)
        width = max((len(line) for line in lines), default=1)
        columns = (*[Column() for _ in range(width - 1)], Column(grow=True))
        self._rows = [Row(tuple(line) + (Piece(""),) * (width - len(line))) for line in lines]
        self._lines = Lines(id="box-lines", columns=columns)

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._lines.show(self._rows)
