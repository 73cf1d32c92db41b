"""Lines to read, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual.widget import Widget

from arcanum_tui.modals.base import BORDERS, WIDEST, Dialog
from arcanum_tui.state.grid import NOTHING, Column, Piece, Row, wrap
from arcanum_tui.widgets.lines import GUTTER, Lines


class SheetDialog(Dialog[None]):
    """Pieces in columns, of which the last is wrapped. Scrolled with the keys of a list."""

    def __init__(
        self,
        title: str,
        lines: Sequence[Sequence[Piece]],
        *keys: tuple[str, str],
        escape: str = "back",
    ) -> None:
        super().__init__(title, *(keys or (("↑ ↓", "scroll"),)), escape=escape)
        self._count = max((len(line) for line in lines), default=1)
        self._texts = [(*line, *[NOTHING] * (self._count - len(line))) for line in lines]
        columns = (*[Column() for _ in range(self._count - 1)], Column(grow=True))
        self._lines = Lines(id="box-lines", columns=columns)

    def body(self) -> Iterable[Widget]:
        yield self._lines

    def on_mount(self) -> None:
        self._lines.show(self._rows(min(WIDEST, self.app.size.width * 9 // 10)))

    def _rows(self, box: int) -> list[Row]:
        fixed = [
            max((cell_len(t[i].text) for t in self._texts), default=0)
            for i in range(self._count - 1)
        ]
        room = box - BORDERS - GUTTER - sum(width + 2 for width in fixed if width)
        rows = []
        for *first, last in self._texts:
            for index, part in enumerate(wrap(last.text, max(12, room))):
                left = first if index == 0 else [NOTHING] * len(first)
                rows.append(Row((*left, Piece(part, last.tone))))
        return rows
