"""A long list that is read page by page, each after the one before it (keyset paging). Pure.

Only the pages looked at lately are kept; of the others only where they begin.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from arcanum_tui.state.grid import Piece, Row

Item = TypeVar("Item")

KEPT = 24
"""So many pages stay in memory."""


class Pages(Generic[Item]):
    """``want`` is told the number of a page that somebody looked for and that is not here;
    ``make`` draws an item when its row is in sight."""

    def __init__(
        self,
        size: int,
        columns: int,
        want: Callable[[int], None],
        make: Callable[[Item], Row],
    ) -> None:
        self.size = size
        self.total = 0
        self._want, self._make = want, make
        self._blank = Row((Piece("…", "muted"), *[Piece("")] * (columns - 1)))
        self._pages: OrderedDict[int, Sequence[Item]] = OrderedDict()
        self._starts: list[str | None] = [None]

    def __len__(self) -> int:
        return self.total

    def row(self, index: int) -> Row:
        """The row, or a placeholder while its page is read."""
        number, offset = divmod(index, self.size)
        page = self._pages.get(number)
        if page is None:
            self._want(number)
            return self._blank
        self._pages.move_to_end(number)
        return self._make(page[offset]) if offset < len(page) else self._blank

    def item(self, index: int) -> Item | None:
        """What the row is of; None while its page is not here."""
        number, offset = divmod(index, self.size)
        page = self._pages.get(number, ())
        return page[offset] if 0 <= offset < len(page) else None

    def next_to_read(self, wanted: int) -> tuple[int, str | None]:
        """Which page to read on the way to ``wanted``, and after which mark it begins."""
        number = min(wanted, len(self._starts) - 1)
        return number, self._starts[number]

    def put(self, number: int, items: Sequence[Item], total: int, following: str | None) -> None:
        """A page was read; ``following`` is the mark after which the next one begins."""
        self.total = total
        self._pages[number] = items
        self._pages.move_to_end(number)
        if following is not None and number == len(self._starts) - 1:
            self._starts.append(following)
        while len(self._pages) > KEPT:
            self._pages.popitem(last=False)

    def has(self, number: int) -> bool:
        """Whether the page is here, or beyond the end."""
        return number in self._pages or number * self.size >= self.total > 0
