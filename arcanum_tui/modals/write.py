"""A text of more than one line, asked for."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from arcanum_tui.modals.base import Dialog
from arcanum_tui.widgets.prompt import Prompt


class WriteDialog(Dialog[str]):
    """Dismissed with the text, which is not empty. Enter accepts, as it asks Agent-0: what is
    pasted keeps its line breaks."""

    CSS_PATH = ["dialog.tcss", "../widgets/prompt.tcss"]  # noqa: RUF012

    def __init__(self, title: str, text: str, *, value: str = "", placeholder: str = "") -> None:
        super().__init__(title, ("Enter", "accept"), ("Ctrl+J", "new line"))
        self._text, self._value = text, value
        self._line = Prompt(id="prompt", placeholder=placeholder)

    def body(self) -> Iterable[Widget]:
        yield Static(Content(self._text), id="box-text")
        yield self._line

    def on_mount(self) -> None:
        self._line.put(self._value)

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        if not self.answers():
            # The line was cleared; what was pasted stays to be read.
            self._line.put(message.text)
        else:
            self.close(message.text)
