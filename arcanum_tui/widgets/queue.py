"""The queue of approvals: a list that leaves the letters to the card beside it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from arcanum_tui.actions import bindings
from arcanum_tui.widgets.lines import Lines


class Queue(Lines, inherit_bindings=False):
    """Arrows only: ``k`` keeps some and Enter shows all items; neither may move a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("queue")]
