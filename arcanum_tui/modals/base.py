"""What every window has: a box with a title, a line that says what its keys do, and Esc."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.keys import SETTLED_S
from arcanum_tui.state.grid import Piece
from arcanum_tui.widgets.bars import EndsLine

if TYPE_CHECKING:
    from arcanum_tui.app import ArcanumApp

Result = TypeVar("Result")


WIDEST = 110
"""A box has at most so many cells (``dialog.tcss``), nine tenths of a narrower screen."""

BORDERS = 4
"""The border and the padding, on both sides."""


class Dialog(ModalScreen[Result | None], inherit_bindings=False):
    """Dismissed with None by Esc. ``keys`` are pairs of a key and what it does."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    CSS_PATH = ["dialog.tcss"]  # noqa: RUF012
    AUTO_FOCUS = ""
    SETTLE_S: ClassVar[float] = SETTLED_S
    """The window must have been seen for so long before a key can answer it."""

    def __init__(self, title: str, *keys: tuple[str, str], escape: str = "back") -> None:
        super().__init__()
        self._title, self._keys = title, (*keys, ("Esc", escape))
        self._painted_at = float("inf")
        self.ready = False

    def compose(self) -> ComposeResult:
        with Container(id="box"):
            yield EndsLine(id="box-title", ruled=True)
            yield from self.body()
            yield EndsLine(id="box-keys")

    def body(self) -> Iterable[Widget]:
        """What is in the box."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.query_one("#box-title", EndsLine).show([Piece(self._title, "title")], [])
        self.show_keys()
        self.call_after_refresh(self._seen)
        first = (self.query(kind).results() for kind in ("Input", "Prompt", "Lines"))
        self.set_focus(next((widget for found in first for widget in found), None))
        self.ready = True
        self.control_center.release_keys()

    def _seen(self) -> None:
        self._painted_at = time.monotonic()

    def show_keys(self, said: str = "") -> None:
        """What the keys do, or what must be said first."""
        keys = [p for k, t in self._keys for p in (Piece(k, "key"), Piece(f" {t}   ", "muted"))]
        self.query_one("#box-keys", EndsLine).show([Piece(said, "warn")] if said else keys, [])

    @property
    def control_center(self) -> ArcanumApp:
        return cast("ArcanumApp", self.app)

    def answers(self) -> bool:
        """Whether the key that is acted on stands alone, on a window that was seen; says so
        where it does not."""
        keys = self.control_center.keys
        seen = keys.current >= self._painted_at + self.SETTLE_S
        alone = seen and keys.alone(keys.current)
        self.show_keys("" if alone else "That was pasted or typed very fast: press the key again.")
        return alone

    def close(self, result: Result | None) -> None:
        """Closes the window, once: of a burst of keys only the first one finds it open."""
        if self.is_current:
            self.dismiss(result)

    def action_back(self) -> None:
        self.close(None)

    def action_next_pane(self) -> None:
        self.focus_next()

    def action_previous_pane(self) -> None:
        self.focus_previous()
