"""What every screen has: the title line, a body, the keys line, and the state it shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import Widget

from arcanum_tui import actions
from arcanum_tui.state import frame
from arcanum_tui.state.model import State
from arcanum_tui.widgets.bars import EndsLine, KeysLine

if TYPE_CHECKING:
    from arcanum_tui.app import ArcanumApp


class View(Screen[None], inherit_bindings=False):
    """A screen that shows a ``State``. ``NAME`` is its place in the list of actions, ``WITHOUT``
    what leads nowhere from here."""

    NAME: ClassVar[str]
    WITHOUT: ClassVar[tuple[str, ...]] = ()
    AUTO_FOCUS = ""

    ready = False
    """Whether keys find what they are meant for; until then the app holds them."""

    def on_mount(self) -> None:
        self.ready = True
        self.control_center.release_keys()

    def compose(self) -> ComposeResult:
        yield EndsLine(id="title")
        yield from self.body()
        yield KeysLine(actions.of(*self.places), without=self.WITHOUT)

    @property
    def composed(self) -> bool:
        """Whether the widgets are there."""
        try:
            self.get_child_by_id("keys")
        except NoMatches:
            return False
        return True

    @property
    def shown(self) -> bool:
        """Whether the body was drawn."""
        return self.composed

    def painted(self, at: float) -> None:
        """A frame reached the terminal at that time (on the clock of ``time.monotonic``)."""

    def body(self) -> Iterable[Widget]:
        """The widgets between the title and the keys."""
        raise NotImplementedError

    def show(self, state: State) -> None:
        """Brings the body up to date; cheap where nothing changed."""
        raise NotImplementedError

    def arrive(self) -> None:
        """A person asked for this screen (which may not be composed yet)."""

    def back(self) -> None:
        """Esc: the innermost thing that is open here is closed; then the screen is left."""
        self.control_center.go_to("overview")

    def select(self, thing: str) -> None:
        """Puts the cursor on the thing that a link named."""

    @property
    def places(self) -> tuple[str, ...]:
        """Whose actions hold here, nearest first."""
        return (self.NAME, "list", "app")

    @property
    def control_center(self) -> ArcanumApp:
        return cast("ArcanumApp", self.app)

    def on_descendant_focus(self) -> None:
        if self.composed:
            self.query_one("#keys").refresh()

    def update(self, state: State) -> None:
        """Title and body."""
        if not self.composed:
            return
        self.show_title()
        self.show(state)

    def show_title(self) -> None:
        """The title alone: the clock moved."""
        if not self.composed:
            return
        center = self.control_center
        left, right = frame.title(center.state, self.NAME, center.clock())
        self.query_one("#title", EndsLine).show(left, right)

    def on_screen_resume(self) -> None:
        self.update(self.control_center.state)
