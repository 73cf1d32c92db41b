"""Which block of code of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from arcanum_tui.modals.picker import Picker
from arcanum_tui.state.grid import Column, Piece, Row, muted
from arcanum_tui.state.markdown import Code
from arcanum_tui.state.text import plural

COLUMNS = (Column(most=12), Column(grow=True), Column(right=True, rank=1))


class CodesDialog(Picker[str]):
    """Dismissed with the code, as it was written."""

    def __init__(self, codes: Sequence[Code]) -> None:
        super().__init__("Copy which block?", COLUMNS, "Words of it", "copy")
        self._codes = codes

    def rows(self, text: str) -> list[Row]:
        found = []
        for index, code in enumerate(self._codes):
            if text.lower() in f"{code.language}\n{code.text}".lower():
                lines = code.text.split("\n")
                first = next((line.strip() for line in lines if line.strip()), "")
                cells = (muted(code.language), Piece(first), muted(plural(len(lines), "line")))
                found.append(Row(cells, str(index)))
        return found

    def pick(self, row: Row) -> None:
        self.close(self._codes[int(row.key)].text)
