"""A list: a heading and rows, of which only the visible ones are ever asked for and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from arcanum_tui.actions import bindings
from arcanum_tui.state.grid import Column, Piece, Row, Tone, draw, widths, wrap
from arcanum_tui.state.text import number
from arcanum_tui.widgets.paint import Painted

RULED = 7
"""Cells of a heading's line that are no text, where it has something at its end."""
BARE = 3
"""And where it has not."""

GUTTER = 4
"""Cells for the cursor's mark, and one at the end."""

MEASURED = 200
"""Columns are as wide as the widest of at most so many rows."""


@runtime_checkable
class Rows(Protocol):
    """Rows by number. ``row`` answers at once: a row that is not there yet is a placeholder."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> Row: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows that are all in memory."""

    rows: tuple[Row, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Row:
        return self.rows[index]


class Lines(Painted, can_focus=True):
    """Rows under a heading, with a cursor that stays on its thing when rows come and go.

    ``flows``: at an end the cursor leaves the list (``Edge``) instead of stopping there.
    ``marked``: the cursor shows without the focus, too. ``skips``: rows without a key are headings,
    and take no cursor.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    class Moved(Message):
        """The cursor is on another row, or on none (``row`` None)."""

        def __init__(self, lines: Lines, row: Row | None) -> None:
            super().__init__()
            self.lines, self.row = lines, row

        @property
        def control(self) -> Lines:
            return self.lines

    class Chosen(Moved):
        """Enter, or a second click, on a row."""

    class Edge(Message):
        """The cursor wants to leave: ``step`` is 1 downwards, -1 upwards."""

        def __init__(self, lines: Lines, step: int) -> None:
            super().__init__()
            self.lines, self.step = lines, step

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - Textual's name
        columns: Sequence[Column],
        title: str = "",
        hint: str = "",
        flows: bool = False,
        marked: bool = False,
        skips: bool = False,
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.title, self.hint, self.flows, self.marked = title, hint, flows, marked
        self.skips = skips
        self.note: tuple[Piece, ...] = ()
        self.giving = 0
        self.empty: Piece | None = None
        self.rows: Rows = Listed()
        self.cursor = -1
        self.top = 0
        self.drawn = False
        self._key = self._wish = ""
        self._sizes: tuple[int, ...] = ()

    # --- what is shown --------------------------------------------------------------------------

    def show(
        self,
        rows: Rows | Sequence[Row],
        *,
        note: Sequence[Piece] = (),
        giving: int = 0,
        empty: Piece | None = None,
        select: bool = True,
    ) -> None:
        """Replaces the rows. ``note`` follows the title, and its last ``giving`` pieces give way to
        where one is; ``empty`` stands where there are no rows.

        The cursor follows its row's key. ``select`` False leaves a list without a cursor so.
        """
        held = self.current
        self.giving = giving
        rows = rows if isinstance(rows, Rows) else Listed(tuple(rows))
        same = isinstance(rows, Listed) and not self._wish and self.cursor >= 0
        if same and (rows, tuple(note), empty) == (self.rows, self.note, self.empty):
            return
        before, at = (self.rows, self.note, self.empty, self._sizes), (self.cursor, self.top)
        self.rows, self.note, self.empty = rows, tuple(note), empty
        self.cursor = self._find(select)
        self._scroll_to_cursor()
        if (self.cursor, self.top) == at:
            self._repaint_changed(*before)
        else:
            self._repaint()
        if self.styles.auto_dimensions:
            self.refresh(layout=True)
        if self.current != held:
            self._tell()

    def follow(self, key: str) -> None:
        """Puts the cursor on the row with this key, now or as soon as there is one."""
        self._wish = key
        self.show(self.rows, note=self.note, giving=self.giving, empty=self.empty)

    def _find(self, select: bool) -> int:
        """Where the cursor belongs now: on what was wished for, on its own thing, or near it."""
        if isinstance(self.rows, Listed):
            keys = [row.key for row in self.rows.rows]
            if self._wish and self._wish in keys:
                wish, self._wish = self._wish, ""
                return keys.index(wish)
            if self._key and self._key in keys:
                return keys.index(self._key)
        if not select and (self.cursor < 0 or self._key):
            return -1
        return self._beside_headings(min(max(self.cursor, 0), len(self.rows) - 1), 1)

    def _beside_headings(self, index: int, step: int) -> int:
        """The row, or the next one on the way that is no heading, or the one before."""
        if not self.skips or index < 0:
            return index
        ways = (range(index, len(self.rows)), range(index, -1, -1))
        seen = (at for way in (ways if step > 0 else ways[::-1]) for at in way)
        return next((at for at in seen if self.rows.row(at).key), index)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows.row(self.cursor) if 0 <= self.cursor < len(self.rows) else None

    @property
    def _head(self) -> int:
        return 1 if self.title else 0

    @property
    def room(self) -> int:
        """How many rows fit."""
        return max(0, self.size.height - self._head)

    # --- the cursor -----------------------------------------------------------------------------

    def go(self, index: int) -> None:
        """Puts the cursor on a row, as far as there is one."""
        held, step = self.current, 1 if index >= self.cursor else -1
        self.cursor = self._beside_headings(min(max(index, 0), len(self.rows) - 1), step)
        row = self.current
        self._key = row.key if row else ""
        self._scroll_to_cursor()
        self._repaint()
        if row != held:
            self._tell()

    def _tell(self) -> None:
        row = self.current
        self._key = row.key if row else ""
        self.post_message(self.Moved(self, row))

    def _scroll_to_cursor(self) -> None:
        last = max(0, len(self.rows) - max(1, self.room))
        top = min(self.top, max(self.cursor, 0))
        if self.skips and not any(self.rows.row(at).key for at in range(max(self.cursor, 0))):
            top = 0  # With the heading above it.
        self.top = min(max(top, self.cursor - max(1, self.room) + 1), last)

    def _step(self, step: int) -> None:
        goal = self.cursor + step
        if self.flows and not 0 <= goal < len(self.rows):
            self.post_message(self.Edge(self, step))
        else:
            self.go(goal)

    def action_down(self) -> None:
        self._step(1)

    def action_up(self) -> None:
        self._step(-1)

    def action_page_down(self) -> None:
        self.go(self.cursor + max(1, self.room - 1))

    def action_page_up(self) -> None:
        self.go(self.cursor - max(1, self.room - 1))

    def action_first(self) -> None:
        self.go(0)

    def action_last(self) -> None:
        self.go(len(self.rows) - 1)

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def on_click(self, event: events.Click) -> None:
        index = self.top + event.y - self._head
        if event.y >= self._head and 0 <= index < len(self.rows):
            if index == self.cursor and event.chain > 1:
                self.action_choose()
            self.go(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(-3)

    def _wheel(self, step: int) -> None:
        last = max(0, len(self.rows) - max(1, self.room))
        self.top = min(max(self.top + step, 0), last)
        self._repaint()

    def on_resize(self) -> None:
        self._scroll_to_cursor()
        self._repaint()

    def _repaint(self) -> None:
        self._sizes = ()
        self.refresh()

    def _repaint_changed(
        self, rows: Rows, note: tuple[Piece, ...], empty: Piece | None, sizes: tuple[int, ...]
    ) -> None:
        """Paints the lines alone that are not as they were: gauges move, their names do not."""
        width = self.size.width
        told = isinstance(rows, Listed) and isinstance(self.rows, Listed) and len(rows) > 0
        alike = told and len(rows) == len(self.rows) and empty == self.empty
        if not alike or self._measured(width) != sizes:
            self._repaint()
            return
        lines = [0] if self._head and note != self.note else []
        end = min(len(rows), self.top + self.room)
        lines += [
            index - self.top + self._head
            for index in range(self.top, end)
            if rows.row(index) != self.rows.row(index)
        ]
        if lines:
            self.refresh(*(Region(0, y, width, 1) for y in lines))

    # --- painting -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        self.drawn = True
        width = self.size.width
        self._sizes = self._sizes or self._measured(width)
        if self._head and y == 0:
            return self._heading(width)
        index = self.top + y - self._head
        if not len(self.rows):
            return self.strip(self._nothing(index, width), width)
        if index >= len(self.rows):
            return self.strip((), width)
        here = index == self.cursor and (self.has_focus or self.marked)
        ground = "cursor" if here else ""
        mark = Piece(" › " if here else "   ", "key")
        row = self.rows.row(index)
        return self.strip((mark, *draw(row, self.columns, self._sizes)), width, ground)

    def _nothing(self, index: int, width: int) -> tuple[Piece, ...]:
        """A line of what stands where there are no rows."""
        lines = wrap(self.empty.text, max(8, width - GUTTER)) if self.empty else []
        if self.empty is None or index >= len(lines):
            return ()
        return Piece("   "), Piece(lines[index], self.empty.tone)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._head + max(1, len(self.rows))

    def _measured(self, width: int) -> tuple[int, ...]:
        """How wide each column is."""
        end = min(len(self.rows), self.top + max(self.room, 1))
        start = 0 if end <= MEASURED else self.top
        seen = [self.rows.row(index) for index in range(start, end)]
        return widths(self.columns, seen, width - GUTTER)

    def _heading(self, width: int) -> Strip:
        tone: Tone = "accent" if self.has_focus else "title"
        title, note = Piece(self.title, tone), [*self.note]
        tails = self._tails()
        for _ in range(self.giving):
            if self._fits((title, Piece("  "), *note), tails[-1], width):
                break
            note.pop()
        left = [title, *((Piece("  "), *note) if note else ())]
        tail = next((one for one in tails if self._fits(left, one, width)), "")
        return self.rule(left, [Piece(tail, "muted")] if tail else [], width)

    def _fits(self, left: Sequence[Piece], tail: str, width: int) -> bool:
        rule = RULED if tail else BARE
        return sum(cell_len(p.text) for p in left) + cell_len(tail) + rule <= width

    def _tails(self) -> list[str]:
        """Which rows are in sight, where not all are, and the hint: the longest that fits is
        shown."""
        count, shown, hint = len(self.rows), self.room, [self.hint] if self.hint else []
        if not count > shown > 0:
            return [*hint, ""]
        last = min(count, self.top + shown)
        rows = f"{number(self.top + 1)}–{number(last)}"
        of = f"{rows} of {number(count)}"
        share = f"{last / count:.0%}".replace("%", " %")
        short = [share] if len(share) < len(rows) else []
        return [*(" · ".join([one, *hint]) for one in (of, rows)), of, rows, *short]
