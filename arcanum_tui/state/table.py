"""A table of Markdown as lines: columns as wide as they need, cells wrapped where room is short."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

from arcanum_tui.state.grid import Line, Piece
from arcanum_tui.state.inline import flow, inline

MOST_COLUMNS = 24
NARROWEST = 4

_DELIMITER = re.compile(r" *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$")
_BAR = re.compile(r"(?<!\\)\|")


def cells(row: str) -> list[str]:
    """The texts between the bars."""
    found = _BAR.split(row.strip())
    if found and not found[0].strip():
        found = found[1:]
    if found and not found[-1].strip():
        found = found[:-1]
    return [cell.replace("\\|", "|").strip() for cell in found]


def is_delimiter(line: str, header: str) -> bool:
    """Whether the line under ``header`` makes a table of the two."""
    if "|" not in header or "-" not in line or not _DELIMITER.match(line):
        return False
    count = len(cells(header))
    return 0 < count <= MOST_COLUMNS and len(cells(line)) == count


def table(rows: Sequence[str], room: int) -> list[Line]:
    """The header, a line, and the rows; as it was written where not even that fits."""
    header, delimiter, *others = rows
    count = len(cells(header))
    sizes = _sizes([cells(r)[:count] for r in (header, *others)], count, room - 3 * (count - 1))
    if not sizes:
        return [line for row in rows for line in flow([Piece(row)], room)]
    right = [c.endswith(":") and not c.startswith(":") for c in cells(delimiter)]
    made = _row(cells(header), sizes, right, bold=True)
    made.append(Line((Piece("─┼─".join("─" * size for size in sizes), "rule"),)))
    for row in others:
        made += _row(cells(row)[:count], sizes, right)
    return made


def _sizes(rows: Sequence[Sequence[str]], count: int, room: int) -> list[int]:
    """The width of each column; empty where there is no room for all."""
    if room < NARROWEST * count:
        return []
    found = [1] * count
    for row in rows:
        for index, cell in enumerate(row):
            lines = flow(inline(cell), room)
            found[index] = max(found[index], *(_width(line) for line in lines))
    if sum(found) <= room:
        return found
    # The widest give way, all to the same width.
    spare, most = room, 0
    for left, size in zip(range(count, 0, -1), sorted(found), strict=True):
        most = spare // left
        if size > most:
            break
        spare -= size
    return [min(size, max(NARROWEST, most)) for size in found]


def _width(line: Line) -> int:
    return sum(cell_len(p.text) for p in line.pieces)


def _row(
    row: Sequence[str], sizes: Sequence[int], right: Sequence[bool], *, bold: bool = False
) -> list[Line]:
    texts = [*row, *[""] * (len(sizes) - len(row))]
    columns = [flow(inline(t), size) for t, size in zip(texts, sizes, strict=True)]
    made = []
    for index in range(max(len(column) for column in columns)):
        pieces: list[Piece] = []
        for column, size, to_right in zip(columns, sizes, right, strict=True):
            if pieces:
                pieces.append(Piece(" │ ", "rule"))
            parts = column[index].pieces if index < len(column) else ()
            parts = tuple(Piece(p.text, "strong", p.look + "b") for p in parts) if bold else parts
            gap = Piece(" " * (size - _width(Line(parts))))
            pieces += (gap, *parts) if to_right else (*parts, gap)
        made.append(Line(tuple(pieces)))
    return made
