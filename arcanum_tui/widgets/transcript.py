"""A conversation as wrapped lines: only what changed is wrapped again, only what is seen drawn."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from arcanum_tui.actions import bindings
from arcanum_tui.state.chat import Chat, Exchange, lines
from arcanum_tui.state.grid import Piece
from arcanum_tui.widgets.paint import Painted

Line = tuple[Piece, ...]


class Transcript(Painted, ScrollView, can_focus=True, inherit_bindings=False):
    """Stays at its end while it is there; text can be selected with the mouse and copied."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    class Left(Message):
        """Enter: back to the line for a question."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._chat = Chat()
        self._wrapped: list[tuple[Exchange, list[Line]]] = []
        self._lines: list[Line] = []
        self._width = 0

    def show(self, chat: Chat, empty: Line) -> None:
        """Shows the conversation; ``empty`` stands where nothing was said yet."""
        at_end = self.scroll_y >= self.max_scroll_y - 1 or chat.session != self._chat.session
        self._chat = chat
        self._wrap(empty)
        self.virtual_size = Size(self._width, len(self._lines))
        self.refresh()
        if at_end:
            self.scroll_end(animate=False)

    def _wrap(self, empty: Line) -> None:
        width = self.scrollable_content_region.width
        if width != self._width:
            self._width, self._wrapped = width, []
        room = max(16, min(width, 110))
        for index, exchange in enumerate(self._chat.exchanges):
            if index < len(self._wrapped):
                if self._wrapped[index][0] is exchange:
                    continue
                self._wrapped[index] = (exchange, lines(exchange, room))
            else:
                self._wrapped.append((exchange, lines(exchange, room)))
        del self._wrapped[len(self._chat.exchanges) :]
        self._lines = [line for _, made in self._wrapped for line in made] or [(), empty]

    def on_resize(self) -> None:
        self.show(self._chat, self._lines[-1] if self._lines else ())

    def action_down(self) -> None:
        self.scroll_relative(y=1, animate=False)

    def action_up(self) -> None:
        self.scroll_relative(y=-1, animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        self.scroll_page_up(animate=False)

    def action_first(self) -> None:
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        self.scroll_end(animate=False)

    def action_choose(self) -> None:
        self.post_message(self.Left())

    def render_line(self, y: int) -> Strip:
        index = self.scroll_offset.y + y
        width = self.size.width
        if index >= len(self._lines):
            return self.strip((), width)
        strip = self.strip(self._lines[index], width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(index)) is not None:
            start, end = span
            end = width if end == -1 else end
            style = self.screen.get_component_rich_style("screen--selection")
            before, chosen, after = strip.divide([start, end, width])
            strip = Strip.join([before, chosen.apply_style(style), after])
        return strip.apply_offsets(0, index)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        text = "\n".join("".join(p.text for p in line) for line in self._lines)
        return selection.extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
