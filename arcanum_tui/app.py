"""The control center: one app, five screens, one engine reached through a factory.

Until the first frame is painted only Textual and the light modules of this package are imported;
then the bridge (and with it the contract's models) is loaded in a thread and the engine reached.

``ARCANUM_FIRST_PAINT``: a path; ``time.monotonic()`` at the first painted frame is written there
(for a benchmark that started the clock itself).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import BindingType
from textual.events import Event, Key, Paste
from textual.filter import Monochrome
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen

from arcanum_tui import actions, looks
from arcanum_tui.colourless import Colourless
from arcanum_tui.driver import PatientDriver
from arcanum_tui.everywhere import Everywhere
from arcanum_tui.keys import KeyTimes
from arcanum_tui.screens.base import View
from arcanum_tui.screens.overview import Overview
from arcanum_tui.state.model import State
from arcanum_tui.wishes import Wishes
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from arcanum_tui.bridge import Bridge
    from arcanum_tui.conversation import Conversation
    from engine.contract.client import EngineClient
    from engine.contract.discovery import Found

LATER = {
    "agent": ("arcanum_tui.screens.agent", "Agent"),
    "media": ("arcanum_tui.screens.media", "Media"),
    "approvals": ("arcanum_tui.screens.approvals", "Approvals"),
    "memory": ("arcanum_tui.screens.memory", "Memories"),
}
"""Screens that are imported after the first paint, or on a visit before that was done."""


TICK_S = 2.0
"""The title's clock shows minutes: it is looked at so often."""
PATIENCE_S = 0.5
"""A key that was not heard of again for so long does not hold up the next one."""


def _later(name: str) -> Screen[Any]:
    module, cls = LATER[name]
    return cast("Screen[Any]", getattr(import_module(module), cls)())


def _present() -> datetime:
    return datetime.now(UTC)


class StateChanged(Message):
    """A batch of events was folded in."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state


class ArcanumApp(Everywhere, inherit_bindings=False):
    """``connect`` makes a client, and a new one after each loss; the app never knows which kind.

    ``theme`` names a file of ``themes/``; ``animations`` False keeps everything still; ``clock``
    is the present in UTC, ``stopwatch`` gives seconds that only move forward; ``pictures`` is
    how they are wanted.
    """

    TITLE = "Arcanum"
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = "overview"
    MODES: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {  # type: ignore[assignment]
        "overview": Overview,
        "agent": partial(_later, "agent"),
        "media": partial(_later, "media"),
        "approvals": partial(_later, "approvals"),
        "memory": partial(_later, "memory"),
    }
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("app")]
    CSS_PATH = [  # noqa: RUF012 - what the first paint needs; other screens bring their own
        "widgets/paint.tcss",
        "widgets/bars.tcss",
        "widgets/lines.tcss",
        "widgets/card.tcss",
        "screens/overview.tcss",
        "app.tcss",
    ]

    def __init__(
        self,
        connect: Callable[[], Awaitable[EngineClient]],
        *,
        theme: str = looks.DEFAULT,
        animations: bool = True,
        clock: Callable[[], datetime] = _present,
        stopwatch: Callable[[], float] = time.monotonic,
        pictures: str = "auto",
    ) -> None:
        super().__init__(driver_class=PatientDriver)
        self.register_theme(looks.load(theme))
        self.theme = theme
        self._heed_no_color()
        if not animations:
            self.animation_level = "none"
        self.clock, self.stopwatch = clock, stopwatch
        self.state = State()
        self.model_since = stopwatch()
        self.looked: datetime | None = None
        self.keys = KeyTimes()
        self.pictures = pictures
        self._connect = connect
        self._bridge: Bridge | None = None
        self._reaching: asyncio.Task[None] | None = None
        self._conversations: dict[str, Conversation] = {}
        self._session = "main"
        self._offer: Found | None = None
        self._painted = False
        self._typed: deque[Key | Paste] = deque()
        self._in_hand: asyncio.TimerHandle | None = None

    def _heed_no_color(self) -> None:
        """Textual would paint in grey, on a ground of its own, and for an empty value, too."""
        self.no_color = bool(os.environ.get("NO_COLOR"))
        plain = [each for each in self._filters if not isinstance(each, Monochrome)]
        without = [Colourless(lambda: self.theme_variables)]
        self._filters = [*without] if self.no_color else plain

    # --- start and end --------------------------------------------------------------------------

    def post_display_hook(self) -> None:
        """Called after every frame; the first one starts everything that takes time."""
        if not self.is_running or not self.screen_stack:
            return
        screen = self.screen
        if isinstance(screen, View):
            if not self._painted and screen.shown:
                self._painted = True
                self._after_first_paint()
            screen.painted(time.monotonic())

    def _after_first_paint(self) -> None:
        stamp = os.environ.get("ARCANUM_FIRST_PAINT")
        if stamp:
            Path(stamp).write_text(f"{time.monotonic():.6f}\n", encoding="ascii")
        self._reaching = asyncio.create_task(self._reach())
        self._reaching.add_done_callback(self._reached)
        self.set_interval(TICK_S, self._tick)

    async def _reach(self) -> None:
        await asyncio.to_thread(import_module, "arcanum_tui.bridge")
        offering = asyncio.create_task(self._prepare())
        try:
            await self.engine.run()
        finally:
            offering.cancel()
            with suppress(asyncio.CancelledError):
                await offering

    def _reached(self, task: asyncio.Task[None]) -> None:
        """The bridge never ends by itself: an error in it is a defect, and told as one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._handle_exception(error)  # type: ignore[arg-type]

    async def _prepare(self) -> None:
        """What can wait until the engine has answered: the other screens, the first run."""
        for module, _ in LATER.values():
            await asyncio.to_thread(import_module, module)
        deeds = await asyncio.to_thread(import_module, "arcanum_tui.deeds")
        await self.engine.connected()
        with suppress(ArcanumError):
            # What cannot be found out now is offered at the next start.
            self._offer = await deeds.look(self.engine)

    async def on_unmount(self) -> None:
        """Leaves the engine; one that runs in this process finishes what it has in hand."""
        for conversation in self._conversations.values():
            await conversation.close()
        if self._reaching is not None:
            self._reaching.cancel()
            with suppress(asyncio.CancelledError):
                await self._reaching

    def _tick(self) -> None:
        """The clock of the title line, and whatever waited for a quiet moment."""
        if isinstance(self.screen, View):
            self.screen.show_title()
        if self._offer is not None and isinstance(self.screen, Overview):
            self._ask_first_run(self._offer)

    @property
    def canvas(self) -> PatientDriver | None:
        """The way to a terminal that draws pictures, where that is wanted."""
        driver = self._driver
        if self.pictures == "auto" and isinstance(driver, PatientDriver) and driver.draws:
            return driver
        return None

    # --- the engine -----------------------------------------------------------------------------

    @property
    def engine(self) -> Bridge:
        """The way to the engine, whether it answers already or not."""
        if self._bridge is None:
            from arcanum_tui.bridge import Bridge

            self._bridge = Bridge(self._connect, self._deliver, self.clock)
        return self._bridge

    def _deliver(self, state: State) -> None:
        self.post_message(StateChanged(state))

    def on_state_changed(self, message: StateChanged) -> None:
        before, self.state = self.state, message.state
        if (
            before.model is None
            or self.state.model is None
            or (before.model.state != self.state.model.state)
        ):
            self.model_since = self.stopwatch()
        self._heed(before)
        for screen in self.screen_stack:
            if isinstance(screen, View):
                screen.update(self.state)

    @property
    def conversation(self) -> Conversation:
        """The conversation that is being held."""
        held = self._conversations.get(self._session)
        if held is None:
            from arcanum_tui.conversation import Conversation

            held = Conversation(self._session, self.engine, self._said, self.clock, self.stopwatch)
            self._conversations[self._session] = held
        return held

    @property
    def sessions_open(self) -> set[str]:
        """The conversations that were looked at here."""
        return set(self._conversations)

    def converse(self, session: str) -> None:
        """Goes on with another conversation; an answer in this one is written to its end."""
        self._session = session
        self.conversation.load()

    def _heed(self, before: State) -> None:
        """What happened to the conversations that are open here."""
        if self.state.renamed != before.renamed:
            _, old, new = self.state.renamed
            if (held := self._conversations.pop(old, None)) is not None:
                held.rename(new)
                self._conversations[new] = held
            self._session = new if self._session == old else self._session
        for conversation in self._conversations.values():
            conversation.heed(self.state)

    def _said(self) -> None:
        from arcanum_tui.screens.agent import Agent

        # Also under a window that is open.
        for screen in self.screen_stack:
            if isinstance(screen, Agent):
                screen.show_chat()

    # --- keys -----------------------------------------------------------------------------------

    async def on_event(self, event: Event) -> None:
        if not isinstance(event, Key | Paste) or event.is_forwarded:
            # A key that comes back from a widget when the screens are gone is for nobody.
            if self.screen_stack or not isinstance(event, Key):
                await super().on_event(event)
            return
        if isinstance(event, Key):
            self.keys.note(event.time)
        else:
            self.keys.note_paste(event.time)
        self._typed.append(event)
        await self._next_key()

    def release_keys(self) -> None:
        """A screen is ready: what was typed ahead of it arrives there, and nowhere else."""
        self.call_next(self._next_key)

    async def _next_key(self) -> None:
        """Hands on the next key, when the one before has done all that it does.

        A key travels through the queues of widgets: without this, text typed right after the key
        that opens a line to write on would still be taken for keys of the screen before.
        """
        if self._in_hand is not None or not self._typed or not self._listens():
            return
        loop = asyncio.get_running_loop()
        # Should a widget go before it can tell, the keys go on without it.
        self._in_hand = loop.call_later(PATIENCE_S, self._key_done)
        await super().on_event(self._typed.popleft())
        if self.screen_stack:
            self._climb(self.focused or self.screen)

    def _listens(self) -> bool:
        """Whether there is a screen whose widgets are there; at the end there is none."""
        return bool(self.screen_stack) and getattr(self.screen, "ready", True)

    def _climb(self, node: MessagePump | None) -> None:
        """Follows a key up: what is queued behind it is reached when it has been dealt with."""
        while node is not None and node is not self:
            if node.is_running and node.call_later(self._climb, node._parent):  # noqa: SLF001
                return
            node = node._parent  # noqa: SLF001
        self.call_later(self._key_done)

    def _key_done(self) -> None:
        if self._in_hand is not None:
            self._in_hand.cancel()
            self._in_hand = None
        self.call_next(self._next_key)

    async def _on_key(self, event: Key) -> None:
        # Textual calls its own handler, which runs the bindings, after this one.
        self.keys.current = event.time

    # --- going places ---------------------------------------------------------------------------

    def follow(self, link: str) -> None:
        """Goes where a line leads: ``approvals/43``, ``media/films``."""
        screen, _, thing = link.partition("/")
        self.go_to(screen, thing)

    def go_to(self, name: str, thing: str = "") -> None:
        """Shows a screen, imported on its first visit; ``thing`` is selected there."""
        if name not in actions.SCREENS:
            return
        if self.current_mode == "overview" != name:
            self.looked = self.clock()
        self.switch_mode(name)
        screen = self.screen
        if isinstance(screen, View):
            screen.arrive()
            if thing:
                screen.call_after_refresh(screen.select, thing)

    def action_open_overview(self) -> None:
        self.go_to("overview")

    def action_open_agent(self) -> None:
        self.go_to("agent")

    def action_open_media(self) -> None:
        self.go_to("media")

    def action_open_approvals(self) -> None:
        self.go_to("approvals")

    def action_open_memory(self) -> None:
        self.go_to("memory")

    async def action_back(self) -> None:
        if isinstance(self.screen, View):
            self.screen.back()

    def action_next_pane(self) -> None:
        self.screen.focus_next()

    def action_previous_pane(self) -> None:
        self.screen.focus_previous()


def run(connect: Callable[[], Awaitable[EngineClient]], wishes: Wishes) -> int:
    """Opens the control center and stays until it is left. Returns the exit code."""
    app = ArcanumApp(
        connect, theme=wishes.theme, animations=wishes.animations, pictures=wishes.pictures
    )
    app.run()
    return app.return_code or 0
