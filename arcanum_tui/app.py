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
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.screen import Screen

from arcanum_tui import actions, looks
from arcanum_tui.actions import Action
from arcanum_tui.keys import KeyTimes
from arcanum_tui.screens.base import View
from arcanum_tui.screens.overview import Overview
from arcanum_tui.state.model import State
from arcanum_tui.state.text import clean
from arcanum_tui.work import restart, start
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
}
"""Screens that are imported after the first paint, or on a visit before that was done."""


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


class ArcanumApp(App[None], inherit_bindings=False):
    """``connect`` makes a client, and a new one after each loss; the app never knows which kind.

    ``theme`` names a file of ``themes/``; ``animations`` False keeps everything still; ``clock``
    is the present in UTC.
    """

    TITLE = "Arcanum"
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = "overview"
    MODES: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {  # type: ignore[assignment]
        "overview": Overview,
        "agent": partial(_later, "agent"),
        "media": partial(_later, "media"),
        "approvals": partial(_later, "approvals"),
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
        self._reaching: asyncio.Task[None] | None = None
        self._conversations: dict[str, Conversation] = {}
        self._session = "main"
        self._offer: Found | None = None
        self._painted = False

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
        self.set_interval(1.0, self._tick)

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
        self.state = message.state
        for screen in self.screen_stack:
            if isinstance(screen, View):
                screen.update(self.state)

    @property
    def conversation(self) -> Conversation:
        """The conversation that is being held."""
        held = self._conversations.get(self._session)
        if held is None:
            from arcanum_tui.conversation import Conversation

            held = Conversation(self._session, self.engine, self._said)
            self._conversations[self._session] = held
        return held

    def converse(self, session: str) -> None:
        """Goes on with another conversation; an answer in this one is written to its end."""
        self._session = session
        self.conversation.load()

    def _said(self) -> None:
        from arcanum_tui.screens.agent import Agent

        if isinstance(self.screen, Agent):
            self.screen.show_chat()

    # --- keys -----------------------------------------------------------------------------------

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and not event.is_forwarded:
            self.keys.note(event.time)
        elif isinstance(event, Paste) and not event.is_forwarded:
            self.keys.note_paste(event.time)
        await super().on_event(event)

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

    async def action_back(self) -> None:
        if isinstance(self.screen, View):
            self.screen.back()

    def action_next_pane(self) -> None:
        self.screen.focus_next()

    def action_previous_pane(self) -> None:
        self.screen.focus_previous()

    # --- what keys do everywhere ----------------------------------------------------------------

    def action_reconnect(self) -> None:
        self.engine.reconnect()

    def action_theme(self) -> None:
        """The next theme."""
        names = looks.names()
        name = names[(names.index(self.theme) + 1) % len(names)]
        self.register_theme(looks.load(name))
        self.theme = name

    def _here(self) -> tuple[Action, ...]:
        return actions.of(*self.screen.places) if isinstance(self.screen, View) else ()

    def action_help(self) -> None:
        from arcanum_tui.modals.help import HelpDialog

        if isinstance(self.screen, View):
            self.push_screen(HelpDialog(self.screen.NAME, self._here()))

    def action_palette(self) -> None:
        from arcanum_tui.modals.palette import PaletteDialog

        if isinstance(self.screen, View):
            self.push_screen(PaletteDialog(self._here()), self._do)

    async def _do(self, action: Action | None) -> None:
        """Does what the palette chose. An answer is a key on a painted card, and only that."""
        if action is None:
            return
        if action.answer:
            key = actions.key_name(action.keys[0])
            self.tell(f"Read the card, then press {key}: that alone is an answer.", action.label)
            return
        holder = self.screen.focused if action.where in {"list", "queue"} else self.screen
        await self.run_action(action.id, self if action.where == "app" else holder)

    def action_copy(self) -> None:
        """Copies what is selected; leaves where nothing is, as Ctrl+C does in a terminal."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.tell("Copied.")
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Leaves; where something runs it says so first."""
        from arcanum_tui.modals.leave import LeaveDialog, what_runs

        if running := what_runs(self.state):
            self.push_screen(LeaveDialog(running))
        else:
            self.exit()

    def action_undo(self) -> None:
        """Takes back the latest act that can be taken back."""
        last = self.state.undoable(self.clock())
        if last is None:
            self.tell("There is nothing that could be taken back.", "Undo")
        elif self.keys.alone(self.keys.current):
            self.undo(last.id)

    def undo(self, approval_id: int) -> None:
        """Takes back what this approval did."""
        restart(self, f"undo {approval_id}", self._undo, approval_id)

    async def _undo(self, approval_id: int) -> None:
        from arcanum_tui.deeds import take_back

        try:
            text = await take_back(self.engine, approval_id, self.clock())
        except ArcanumError as error:
            self.tell_error(error)
        else:
            self.tell(text, f"↶ #{approval_id}")

    def job(self, job_id: int, what: str) -> None:
        """Pauses a job, carries it on (``resume``), or stops it for good (``cancel``)."""
        start(self, f"job {job_id}", self._job, job_id, what)

    async def _job(self, job_id: int, what: str) -> None:
        from arcanum_tui.deeds import change_job

        try:
            await change_job(self.engine, job_id, what)
        except ArcanumError as error:
            self.tell_error(error)

    # --- the first run --------------------------------------------------------------------------

    def _ask_first_run(self, found: Found) -> None:
        from arcanum_tui.modals.first_run import FirstRunDialog

        def answered(keys: tuple[str, ...] | None) -> None:
            start(self, "first run", self._use, found, keys or ())

        self._offer = None
        self.push_screen(FirstRunDialog(found), answered)

    async def _use(self, found: Found, keys: tuple[str, ...]) -> None:
        from arcanum_tui.deeds import use

        try:
            names = await use(self.engine, found, keys)
        except ArcanumError as error:
            self.tell_error(error)
        else:
            if names:
                self.tell(f"In use: {', '.join(names)}.", "First run")

    # --- telling --------------------------------------------------------------------------------

    def tell(self, text: str, title: str = "") -> None:
        """A short notice."""
        self.notify(clean(text), title=clean(title), markup=False)

    def tell_error(self, error: ArcanumError) -> None:
        """What happened, to what, and what to do next."""
        text = f"{clean(error.message)}\n{clean(error.hint)}".strip()
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
