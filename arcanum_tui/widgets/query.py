"""The line that a search is typed on."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input

from arcanum_tui.actions import bindings


class Query(Input):
    """What is typed is looked for at once: Enter and Down only go to what was found."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("query")]

    class Left(Message):
        """The list is to be gone to."""

    def __init__(self, *, id: str, placeholder: str, limit: int) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, placeholder=placeholder, max_length=limit, select_on_focus=False)

    def on_mount(self) -> None:
        # A cursor that blinks paints twice a second for nothing.
        self.cursor_blink = False

    def action_to_list(self) -> None:
        self.post_message(self.Left())
