"""A conversation as lines: only what changed is laid out again, only what is seen is drawn.

A long past is laid out in small steps from its end, so that no key waits for it.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from arcanum_tui.actions import bindings
from arcanum_tui.state.chat import WAITING, Chat, Exchange
from arcanum_tui.state.grid import Line, Piece
from arcanum_tui.state.turn import TurnLayout
from arcanum_tui.widgets.paint import Painted

Live = Callable[[int, Exchange], tuple[Piece, ...]]

STEP_S = 0.006
"""Laying out a past goes on for so long at a time."""

JUMP = 3
"""Lines that one key scrolls in a long turn."""


class Transcript(Painted, ScrollView, can_focus=True, inherit_bindings=False):
    """Stays at its end while it is there. One turn is ``selected``, by its index; text can be
    selected with the mouse and copied."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("turns")]

    class Chosen(Message):
        """Enter on the selected turn."""

    class Top(Message):
        """The first line is in sight: what was before it is wanted."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.selected = -1
        self._chat = Chat()
        self._live: Live = lambda _index, _exchange: ()
        self._empty: tuple[Piece, ...] = ()
        self._layouts: list[TurnLayout | None] = []
        self._starts: list[int] = [0]
        self._width = 0
        self._at_work = False
        self._bottom = 0

    # --- what is shown --------------------------------------------------------------------------

    def show(self, chat: Chat, empty: tuple[Piece, ...], live: Live) -> None:
        """Shows the conversation; ``empty`` stands where nothing was said yet, ``live`` says what
        an answer that is not there yet waits for."""
        width = self.scrollable_content_region.width
        other = chat.session != self._chat.session
        follows = other or self._at_end
        anchor = None if follows else self._anchor()
        if other or width != self._width:
            self._layouts, self._width = [], width
        self.selected = len(chat.exchanges) - 1 if other else self._still_selected(chat)
        repaint = not chat.exchanges or not self._chat.exchanges or other
        self._chat, self._empty, self._live = chat, empty, live
        first = self._match()
        self._place(0 if repaint else first, anchor, follows=follows)
        self._go_on()

    def _still_selected(self, chat: Chat) -> int:
        """Where the selected turn is now; others may have come before it."""
        held = self._chat.exchanges
        if 0 <= self.selected < len(held) and held[self.selected].turn_id is not None:
            number = held[self.selected].turn_id
            for index, exchange in enumerate(chat.exchanges):
                if exchange.turn_id == number:
                    return index
        return min(self.selected, len(chat.exchanges) - 1)

    @property
    def _at_end(self) -> bool:
        """Whether nobody scrolled away from the end: it may have moved on since it was shown."""
        return self.scroll_offset.y >= min(self._bottom, self.max_scroll_y)

    def _anchor(self) -> tuple[TurnLayout, int] | None:
        """What is on the first line in sight."""
        top = self.scroll_offset.y
        index = self._index(top)
        layout = self._layouts[index] if 0 <= index < len(self._layouts) else None
        return None if layout is None else (layout, top - self._starts[index])

    def _match(self) -> int:
        """Gives every exchange the layout that it had; the first line that may have changed."""
        old = self._layouts
        spare = {x.exchange.turn_id: x for x in old if x is not None and x.exchange.turn_id}
        found: list[TurnLayout | None] = []
        first = -1
        line = 0
        for index, exchange in enumerate(self._chat.exchanges):
            layout = spare.get(exchange.turn_id or 0)
            before = old[index] if index < len(old) else None
            if layout is None and before is not None and _same(before.exchange, exchange):
                layout = before
            if layout is not before and first < 0:
                first = line
            if layout is not None:
                changed = self._update(index, layout, exchange)
                if changed < len(layout) and first < 0:
                    first = line + changed
                line += len(layout)
            found.append(layout)
        self._layouts = found
        return first if first >= 0 else line

    def _update(self, index: int, layout: TurnLayout, exchange: Exchange) -> int:
        if exchange.status in WAITING:
            return layout.update(exchange, self._live(index, exchange))
        return len(layout) if layout.exchange is exchange else layout.update(exchange)

    def _place(self, first: int, anchor: tuple[TurnLayout, int] | None, *, follows: bool) -> None:
        """Finds out where each turn begins, keeps in sight what was, and repaints from there."""
        sizes = (0 if layout is None else len(layout) for layout in self._layouts)
        before, self._starts = self._starts[-1], [0, *accumulate(sizes)]
        total = self._starts[-1]
        top = self.scroll_offset.y
        if self.virtual_size != (size := Size(self._width, max(total, 2))):
            self.virtual_size = size
        if follows:
            self.scroll_end(animate=False, immediate=True, force=True)
            self._bottom = self.scroll_offset.y
        elif anchor is not None and anchor[0] in self._layouts:
            goal = self._starts[self._layouts.index(anchor[0])] + anchor[1]
            if goal != top:
                self.scroll_to(y=goal, animate=False, immediate=True, force=True)
        if self.scroll_offset.y != top or total < before:
            self.refresh()
        elif first < top + self.size.height:
            # A few lines at the end, not the whole screen a dozen times a second.
            start = max(0, first - top)
            self.refresh(Region(0, start, self.size.width, self.size.height - start))

    def watch_show_vertical_scrollbar(self, shows: bool) -> None:
        """The scrollbar heard nothing of the scrolling that was done before it was there."""
        if shows:
            self.vertical_scrollbar.position = self.scroll_y

    # --- laying out a past ----------------------------------------------------------------------

    def _go_on(self) -> None:
        """Lays out for a moment, from the end; comes back for the rest."""
        if self._at_work or not self._width:
            return
        until = time.perf_counter() + STEP_S
        follows = self._at_end
        anchor = None if follows else self._anchor()
        changed = False
        while (index := self._unfinished()) >= 0 and time.perf_counter() < until:
            layout, exchange = self._layouts[index], self._chat.exchanges[index]
            changed = True
            if layout is None:
                layout = self._layouts[index] = TurnLayout(exchange, self._width)
                self._update(index, layout, exchange)
            else:
                layout.step()
        if changed:
            self._place(0, anchor, follows=follows)
        if self._unfinished() >= 0:
            self._at_work = True
            self.set_timer(STEP_S, self._resume)

    def _resume(self) -> None:
        self._at_work = False
        self._go_on()

    def _unfinished(self) -> int:
        """The last turn that is not laid out whole."""
        for index in range(len(self._layouts) - 1, -1, -1):
            layout = self._layouts[index]
            if layout is None or not layout.whole:
                return index
        return -1

    def on_resize(self) -> None:
        self.show(self._chat, self._empty, self._live)

    # --- the selected turn ----------------------------------------------------------------------

    def _index(self, line: int) -> int:
        """The turn that a line belongs to."""
        return min(bisect_right(self._starts, line), len(self._layouts)) - 1

    def select(self, index: int) -> None:
        """Selects a turn and brings it into sight, its beginning first."""
        self.selected = min(max(index, 0), len(self._layouts) - 1)
        if self.selected >= 0:
            start, end = self._starts[self.selected], self._starts[self.selected + 1]
            room, top = self.size.height, self.scroll_offset.y
            if start < top or end - start > room:
                self.scroll_to(y=start, animate=False)
            elif end > top + room:
                self.scroll_to(y=end - room, animate=False)
            if start == 0:
                self.post_message(self.Top())
        self.refresh()

    def on_focus(self) -> None:
        """The last turn that is in sight is where one begins."""
        bottom = self.scroll_offset.y + self.size.height - 1
        if not self._in_sight():
            self.selected = self._index(bottom)
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _in_sight(self) -> bool:
        if not 0 <= self.selected < len(self._layouts):
            return False
        top = self.scroll_offset.y
        start, end = self._starts[self.selected], self._starts[self.selected + 1]
        return start < top + self.size.height and end > top

    def action_down(self) -> None:
        if not self._layouts:
            return
        hidden = self._starts[self.selected + 1] - self.scroll_offset.y - self.size.height
        if hidden > 0:
            self._scroll(min(JUMP, hidden))
        elif self.selected < len(self._layouts) - 1:
            self.select(self.selected + 1)

    def action_up(self) -> None:
        if not self._layouts:
            return
        hidden = self.scroll_offset.y - self._starts[max(0, self.selected)]
        if hidden > 0:
            self._scroll(-min(JUMP, hidden))
        elif self.selected > 0:
            self.selected -= 1
            size = self._starts[self.selected + 1] - self._starts[self.selected]
            if size > self.size.height:
                self._scroll(-JUMP)
                self.refresh()
            else:
                self.select(self.selected)
        else:
            self.select(0)

    def _scroll(self, lines: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False, immediate=True)

    def action_page_down(self) -> None:
        self.page(1)

    def action_page_up(self) -> None:
        self.page(-1)

    def page(self, step: int) -> None:
        """Scrolls a screenful; the selection comes along."""
        self._scroll(step * max(1, self.size.height - 2))
        if not self._in_sight():
            edge = self.scroll_offset.y + (0 if step > 0 else self.size.height - 1)
            self.selected = self._index(edge)
        if step < 0:
            self.on_mouse_scroll_up()
        self.refresh()

    def on_mouse_scroll_up(self) -> None:
        """What lies above the first line is wanted, if that is in sight."""
        if self.scroll_offset.y <= 0:
            self.post_message(self.Top())

    def action_first(self) -> None:
        self.select(0)

    def action_last(self) -> None:
        self.select(len(self._layouts) - 1)
        self.scroll_end(animate=False)

    def action_choose(self) -> None:
        self.post_message(self.Chosen())

    def on_click(self, event: events.Click) -> None:
        line = self.scroll_offset.y + event.y
        if line < self._starts[-1]:
            self.selected = self._index(line)
            self.refresh()

    # --- painting -------------------------------------------------------------------------------

    def _line(self, number: int) -> tuple[int, Line]:
        """The turn of a line, and the line; without a turn where nothing was said."""
        if not self._starts[-1]:
            return -1, Line((Piece(" "), *self._empty), 1) if number == 1 else Line()
        index = self._index(number)
        layout = self._layouts[index]
        if layout is None or number >= self._starts[-1]:
            return -1, Line()
        return index, layout.line(number - self._starts[index])

    def render_line(self, y: int) -> Strip:
        number, width = self.scroll_offset.y + y, self.size.width
        index, line = self._line(number)
        here = index >= 0 and index == self.selected and self.has_focus
        here = here and number > self._starts[index]
        mark = Piece("▌" if here else " ", "key")
        strip = self.strip((mark, *line.pieces), width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(number)) is not None:
            start, end = span
            end = width if end == -1 else end
            style = self.screen.get_component_rich_style("screen--selection")
            before, chosen, after = strip.divide([start, end, width])
            strip = Strip.join([before, chosen.apply_style(style), after])
        return strip.apply_offsets(0, number)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text under the selection as it was written: without margins, long lines whole."""
        start = selection.start or Offset(0, 0)
        end = selection.end or Offset(1 << 30, self._starts[-1] - 1)
        found: list[str] = []
        for number in range(start.y, min(end.y, self._starts[-1] - 1) + 1):
            _, line = self._line(number)
            text = " " + "".join(piece.text for piece in line.pieces)
            left = max(start.x if number == start.y else 0, line.lead + 1)
            part = text[left : end.x if number == end.y else len(text)]
            if found:
                found.append(line.joint)
            found.append(part.rstrip())
        return "".join(found), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()


def _same(one: Exchange, other: Exchange) -> bool:
    """Whether the two are one question at two times."""
    if one.turn_id is not None and other.turn_id is not None:
        return one.turn_id == other.turn_id
    return one.question == other.question
