"""The line that a question is typed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Key
from textual.message import Message
from textual.timer import Timer
from textual.widgets import TextArea

from arcanum_tui.actions import bindings
from arcanum_tui.keys import ALONE_S
from engine.contract.memory import MAX_QUESTION


class Prompt(TextArea):
    """Enter sends; a line break inside of what was pasted, bracketed or not, stays a line break.

    ``asked`` are the questions so far, the latest last: Up on an empty line brings them back.
    ``stop`` stops an answer; False where none is written.

    Without brackets a paste is a burst of keys: an Enter within one sends only where nothing
    follows it, as when a program types a line for somebody.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("prompt")]

    class Sent(Message):
        """A question. ``text`` is not empty."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class TakeOff(Message):
        """Backspace on an empty line: the last attachment goes."""

    class Turns(Message):
        """The turns are to be gone to."""

    class Read(Message):
        """The conversation is to be scrolled by screenfuls."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - Textual's name
        asked: Callable[[], Sequence[str]] = tuple,
        stop: Callable[[], bool] = bool,
        placeholder: str = "Ask Agent-0 …",
    ) -> None:
        super().__init__(
            id=id,
            compact=True,
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            tab_behavior="focus",
            placeholder=placeholder,
        )
        self._asked, self._stop = asked, stop
        self._recalled: int | None = None
        self._last = float("-inf")
        self._held: Timer | None = None

    def on_mount(self) -> None:
        # A cursor that blinks paints twice a second for nothing.
        self.cursor_blink = False

    async def _on_key(self, event: Key) -> None:
        burst = event.time - self._last < ALONE_S / 4
        self._last = event.time
        if self._held is not None:
            self._held.stop()
            self._held = None
            self.insert("\n")
        if event.key == "enter":
            # Not a line break; the binding of the key sends, unless it came in a burst.
            event.prevent_default()
            if burst:
                event.stop()
                self._held = self.set_timer(ALONE_S, self.action_send)

    def action_send(self) -> None:
        self._held = self._recalled = None
        text = self.text.strip()[:MAX_QUESTION]
        if text:
            self.post_message(self.Sent(text))
            self.clear()

    def action_break_line(self) -> None:
        self.insert("\n")

    def put(self, text: str) -> None:
        """Writes this on the line, in the place of what is there."""
        self.text = text
        self.move_cursor(self.document.end)

    # --- the questions before -------------------------------------------------------------------

    def action_older(self) -> None:
        self._turn_over(-1)

    def action_newer(self) -> None:
        self._turn_over(1)

    def _turn_over(self, step: int) -> None:
        """Another question that was asked, where the line holds one as it was, or nothing."""
        asked = self._asked()
        held = self._recalled
        untouched = held is not None and held < len(asked) and self.text == asked[held]
        lines = self.navigator
        edge = lines.is_first_wrapped_line if step < 0 else lines.is_last_wrapped_line
        if not edge(self.cursor_location) or not (untouched or not self.text):
            (self.action_cursor_up if step < 0 else self.action_cursor_down)()
            return
        now = (held if untouched and held is not None else len(asked)) + step
        if 0 <= now < len(asked):
            self._recalled = now
            self.put(asked[now])
        elif now >= len(asked):
            self._recalled = None
            self.clear()

    # --- keys that do more on an empty line -----------------------------------------------------

    def action_take_off(self) -> None:
        if self.text:
            self.action_delete_left()
        else:
            self.post_message(self.TakeOff())

    def action_turns(self) -> None:
        self.post_message(self.Turns())

    def action_read_back(self) -> None:
        self.post_message(self.Read(-1))

    def action_read_on(self) -> None:
        self.post_message(self.Read(1))

    def action_cut(self) -> None:
        """Ctrl+X cuts what is selected; where nothing is, it stops an answer that is written."""
        if self.selected_text or not self._stop():
            super().action_cut()
