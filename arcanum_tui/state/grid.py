"""Rows of cells fitted to a width: what every list on the screen is made of. Pure; no Textual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rich.cells import cell_len, get_character_cell_size, set_cell_size

from arcanum_tui.state.text import clean

Tone = Literal[
    "plain",
    "strong",
    "muted",
    "title",
    "key",
    "accent",
    "ok",
    "warn",
    "bad",
    "unknown",
    "info",
    "rule",
]
"""What a text means. The theme gives the colour; a glyph or a word beside it says it too."""

TONES: tuple[Tone, ...] = get_args(Tone)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text in one tone.

    ``look`` holds letters for what its writer wanted: b(old), i(talic), u(nderlined), s(truck
    out), and c for the ground of code.
    """

    text: str
    tone: Tone = "plain"
    look: str = ""


def muted(text: str) -> Piece:
    """A piece that stands back."""
    return Piece(text, "muted")


def strong(text: str) -> Piece:
    """A piece that stands out."""
    return Piece(text, "strong")


NOTHING = Piece("")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of laid-out text. Its first ``lead`` characters belong to the layout, not to the
    text; ``joint`` is what stands between it and the line before in the text: a line break, or
    the space (or nothing) where a long line was broken."""

    pieces: tuple[Piece, ...] = ()
    lead: int = 0
    joint: str = "\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: a text per column. ``key`` names the thing, so that a cursor can follow
    it when lines come and go; ``link`` names where Enter leads; ``marked`` ticks it."""

    cells: tuple[Piece, ...]
    key: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` 0: as wide as its widest cell, at most ``most``. The column that ``grow``s takes
    what is left and is cut with ``…``. Where room is short, the highest ``rank`` is dropped first;
    rank 0 always stays. ``middle``: what is cut is cut there, as a path's two ends say most."""

    width: int = 0
    most: int = 60
    grow: bool = False
    right: bool = False
    rank: int = 0
    least: int = 8
    middle: bool = False


def widths(columns: Sequence[Column], rows: Sequence[Row], room: int) -> tuple[int, ...]:
    """The width of each column in ``room`` cells; 0 for one that is dropped. A gap of two cells
    stands between columns."""
    found = [_natural(index, column, rows) for index, column in enumerate(columns)]
    dropped: set[int] = set()
    while _needed(columns, found, dropped) > room:
        candidates = [i for i, c in enumerate(columns) if c.rank and i not in dropped]
        if not candidates:
            break
        dropped.add(max(candidates, key=lambda i: (columns[i].rank, i)))
    shown = [0 if i in dropped else width for i, width in enumerate(found)]
    spare = room - sum(shown) - 2 * max(0, sum(1 for w in shown if w) - 1)
    for index, column in enumerate(columns):
        if column.grow and shown[index]:
            shown[index] = max(1, shown[index] + spare)
            break
    return tuple(shown)


def _natural(index: int, column: Column, rows: Sequence[Row]) -> int:
    if column.width:
        return column.width
    widest = max(
        (cell_len(clean(r.cells[index].text)) for r in rows if index < len(r.cells)), default=0
    )
    return min(column.most, widest)


def _needed(columns: Sequence[Column], found: Sequence[int], dropped: set[int]) -> int:
    kept = [i for i in range(len(columns)) if i not in dropped and found[i]]
    least = (min(found[i], columns[i].least) if columns[i].grow else found[i] for i in kept)
    return sum(least) + 2 * max(0, len(kept) - 1)


def draw(row: Row, columns: Sequence[Column], sizes: Sequence[int]) -> list[Piece]:
    """The row's pieces, each padded or cut to its column."""
    pieces: list[Piece] = []
    for cell, column, width in zip(row.cells, columns, sizes, strict=False):
        if not width:
            continue
        if pieces:
            pieces.append(Piece("  "))
        text = middle(cell.text, width) if column.middle else cell.text
        pieces.append(Piece(fit(text, width, right=column.right), cell.tone))
    return pieces


def fit(text: str, width: int, *, right: bool = False) -> str:
    """``text`` in exactly ``width`` cells: padded, or cut with ``…``."""
    text = clean(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else "…"[:width]
    return " " * (width - length) + text if right else text + " " * (width - length)


def middle(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells: what is too much is left out before its last part."""
    text = clean(text)
    if width < 8 or cell_len(text) <= width:
        return text
    head = set_cell_size(text, (width - 1) // 3).rstrip()
    used, start = cell_len(head) + 1, len(text)
    while used + get_character_cell_size(text[start - 1]) <= width:
        start -= 1
        used += get_character_cell_size(text[start])
    return f"{head}…{text[start:]}"


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken at spaces where there are any.

    Line breaks in ``text`` are kept; other control characters become visible.
    """
    return [
        line
        for part in text.split("\n")
        for line in _wrap_line(clean(part.replace("\t", "    ")), width)
    ]


def _wrap_line(text: str, width: int) -> list[str]:
    return [text[start:end] for start, end in breaks(text, width)]


def breaks(text: str, width: int) -> list[tuple[int, int]]:
    """Where each line of at most ``width`` cells begins and ends in ``text``, which is clean; the
    space at which a line was broken is in none."""
    lines: list[tuple[int, int]] = []
    start = 0
    while (end := _reach(text, start, width)) < len(text):
        space = end if text[end] == " " else text.rfind(" ", start + 1, end)
        cut = space if space > start else end
        lines.append((start, cut))
        start = cut + (1 if cut == space else 0)
    lines.append((start, len(text)))
    return lines


def _reach(text: str, start: int, width: int) -> int:
    """The end of the longest stretch from ``start`` that fits, at least one character."""
    if text.isascii():
        return min(len(text), start + width)
    used, end = 0, start
    while end < len(text):
        used += get_character_cell_size(text[end])
        if used > width and end > start:
            break
        end += 1
    return end
