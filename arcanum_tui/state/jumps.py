"""A long list of which any part can be read at once: by the number of its first row. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from arcanum_tui.state.grid import Piece, Row

Item = TypeVar("Item")

KEPT = 24
"""So many pages stay in memory."""


class Jumps(Generic[Item]):
    """``make`` draws an item when its row is in sight. ``wanted``: the page that somebody looked
    for last and that is not here, or None."""

    def __init__(self, size: int, columns: int, make: Callable[[Item], Row]) -> None:
        self.size = size
        self.total = 0
        self.wanted: int | None = None
        self._make = make
        self._blank = Row((Piece("…", "muted"), *[Piece("")] * (columns - 1)))
        self._pages: OrderedDict[int, Sequence[Item]] = OrderedDict()

    def __len__(self) -> int:
        return self.total

    def row(self, index: int) -> Row:
        """The row, or a placeholder while its page is read."""
        number, offset = divmod(index, self.size)
        page = self._pages.get(number)
        if page is None:
            self.wanted = number
            return self._blank
        self._pages.move_to_end(number)
        return self._make(page[offset]) if offset < len(page) else self._blank

    def item(self, index: int) -> Item | None:
        """What the row is of; None while its page is not here."""
        number, offset = divmod(index, self.size)
        page = self._pages.get(number, ())
        return page[offset] if 0 <= offset < len(page) else None

    def put(self, number: int, items: Sequence[Item], total: int) -> None:
        """A page was read; there are so many rows in all."""
        self.total = total
        self._pages[number] = items
        self._pages.move_to_end(number)
        while len(self._pages) > KEPT:
            self._pages.popitem(last=False)
        if self.wanted is not None and self.has(self.wanted):
            self.wanted = None

    def has(self, number: int) -> bool:
        """Whether the page is here, or beyond the end."""
        return number in self._pages or number * self.size >= self.total > 0


class Joined(Generic[Item]):
    """Two lists, one after the other: the folders, then the files. ``want`` is called where a row
    that is not here was looked for."""

    def __init__(self, parts: Sequence[Jumps[Item]], want: Callable[[], None]) -> None:
        self.parts, self._want = tuple(parts), want

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def _at(self, index: int) -> tuple[Jumps[Item], int]:
        for part in self.parts[:-1]:
            if index < len(part):
                return part, index
            index -= len(part)
        return self.parts[-1], index

    def row(self, index: int) -> Row:
        part, index = self._at(index)
        row = part.row(index)
        if part.wanted is not None:
            self._want()
        return row

    def item(self, index: int) -> Item | None:
        if index < 0:
            return None
        part, index = self._at(index)
        return part.item(index)
