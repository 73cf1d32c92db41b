"""The control center: one app, four screens, one engine reached through a factory.

Until the first frame is painted only Textual and the light modules of this package are imported;
then the bridge (and with it the contract's models) is loaded in a thread and the engine reached.

``ARCANUM_FIRST_PAINT``: a path; ``time.monotonic()`` at the first painted frame is written there
(for a benchmark that started the clock itself).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.screen import Screen

from arcanum_tui import looks
from arcanum_tui.actions import bindings
from arcanum_tui.keys import KeyTimes
from arcanum_tui.screens.base import View
from arcanum_tui.screens.overview import Overview
from arcanum_tui.state.model import State
from engine.contract.errors import ArcanumError, Unavailable

if TYPE_CHECKING:
    from arcanum_tui.bridge import Bridge
    from engine.contract.client import EngineClient


SCREENS: dict[str, str] = {
    "overview": "arcanum_tui.screens.overview:Overview",
}


def _present() -> datetime:
    return datetime.now(UTC)


class StateChanged(Message):
    """A batch of events was folded in."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state


class ArcanumApp(App[None], inherit_bindings=False):
    """``connect`` makes a client, and a new one after each loss; the app never knows which kind.

    ``theme`` names a file of ``themes/``; ``animations`` False keeps everything still; ``clock``
    is the present in UTC.
    """

    TITLE = "Arcanum"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = [  # noqa: RUF012 - what the first paint needs; other screens bring their own
        "widgets/paint.tcss",
        "widgets/bars.tcss",
        "widgets/lines.tcss",
        "screens/overview.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(
        self,
        connect: Callable[[], Awaitable[EngineClient]],
        *,
        theme: str = looks.DEFAULT,
        animations: bool = True,
        clock: Callable[[], datetime] = _present,
    ) -> None:
        super().__init__()
        self.register_theme(looks.load(theme))
        self.theme = theme
        if not animations:
            self.animation_level = "none"
        self.clock = clock
        self.state = State()
        self.looked: datetime | None = None
        self.keys = KeyTimes()
        self._connect = connect
        self._bridge: Bridge | None = None
        self._painted = False

    # --- start ----------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[Any]:
        overview = Overview()
        self.install_screen(overview, "overview")
        return overview

    def post_display_hook(self) -> None:
        """Called after every frame; the first one starts everything that takes time."""
        if not self._painted and self._shows_overview():
            self._painted = True
            stamp = os.environ.get("ARCANUM_FIRST_PAINT")
            if stamp:
                Path(stamp).write_text(f"{time.monotonic():.6f}\n", encoding="ascii")
            self.run_worker(self._reach(), name="bridge")
            self.set_interval(1.0, self._tick)

    def _shows_overview(self) -> bool:
        return self.is_running and bool(self.screen.query("#panels")) and self.screen.size.width > 0

    async def _reach(self) -> None:
        await asyncio.to_thread(import_module, "arcanum_tui.bridge")
        from arcanum_tui.bridge import Bridge

        self._bridge = Bridge(
            self._connect, self._deliver, self.clock
        )
        await self._bridge.run()

    def _deliver(self, state: State) -> None:
        self.post_message(StateChanged(state))

    def _tick(self) -> None:
        """The clock of the title line, and the ages of a lost engine."""
        if isinstance(self.screen, View):
            self.screen.show_title()

    # --- the engine -----------------------------------------------------------------------------

    @property
    def engine(self) -> Bridge:
        """The way to the engine. Raises Unavailable before it was ever tried."""
        if self._bridge is None:
            raise Unavailable("The engine is still starting.", "It is tried by itself.")
        return self._bridge

    def on_state_changed(self, message: StateChanged) -> None:
        self.state = message.state
        for screen in self.screen_stack:
            if isinstance(screen, View):
                screen.update(self.state)

    # --- keys -----------------------------------------------------------------------------------

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and not event.is_forwarded:
            self.keys.note(event.time)
        elif isinstance(event, Paste) and not event.is_forwarded:
            self.keys.note_paste(event.time)
        await super().on_event(event)

    async def _on_key(self, event: Key) -> None:
        self.keys.current = event.time
        await super()._on_key(event)

    # --- going places ---------------------------------------------------------------------------

    def follow(self, link: str) -> None:
        """Goes where a line leads: ``approvals/43``, ``media/films``."""
        screen, _, thing = link.partition("/")
        self.go_to(screen, thing)

    def go_to(self, name: str, thing: str = "") -> None:
        """Shows a screen, imported on its first visit; ``thing`` is selected there."""
        if name not in SCREENS:
            return
        self.switch_screen(name)
        screen = self.get_screen(name)
        if thing and isinstance(screen, View):
            screen.select(thing)

    def action_open_overview(self) -> None:
        self.go_to("overview")

    def action_open_agent(self) -> None:
        self.go_to("agent")

    def action_open_media(self) -> None:
        self.go_to("media")

    def action_open_approvals(self) -> None:
        self.go_to("approvals")

    def action_back(self) -> None:
        self.go_to("overview")

    def action_next_pane(self) -> None:
        self.screen.focus_next()

    def action_previous_pane(self) -> None:
        self.screen.focus_previous()

    def action_reconnect(self) -> None:
        if self._bridge is not None:
            self._bridge.reconnect()

    def action_theme(self) -> None:
        """The next theme."""
        names = looks.names()
        name = names[(names.index(self.theme) + 1) % len(names)]
        self.register_theme(looks.load(name))
        self.theme = name

    def action_leave(self) -> None:
        self.exit()

    # --- telling --------------------------------------------------------------------------------

    def tell(self, text: str, title: str = "") -> None:
        """A short notice."""
        self.notify(text, title=title, markup=False)

    def tell_error(self, error: ArcanumError) -> None:
        """What happened, to what, and what to do next."""
        text = f"{error.message}\n{error.hint}".strip()
        self.notify(text, title=f"✗ {error.title}", severity="error", timeout=10, markup=False)


def run(
    connect: Callable[[], Awaitable[EngineClient]],
    *,
    theme: str = looks.DEFAULT,
    animations: bool = True,
) -> int:
    """Opens the control center and stays until it is left. Returns the exit code."""
    app = ArcanumApp(connect, theme=theme, animations=animations)
    app.run()
    return app.return_code or 0
