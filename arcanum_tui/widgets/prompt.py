"""The line that a question is typed on."""

from __future__ import annotations

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

    Without brackets a paste is a burst of keys: an Enter within one sends only where nothing
    follows it, as when a program types a line for somebody.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("prompt")]

    class Sent(Message):
        """A question. ``text`` is not empty."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(
            id=id,
            compact=True,
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            tab_behavior="focus",
            placeholder="Ask Agent-0 …",
        )
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
        self._held = None
        text = self.text.strip()[:MAX_QUESTION]
        if text:
            self.post_message(self.Sent(text))
            self.clear()

    def action_break_line(self) -> None:
        self.insert("\n")
