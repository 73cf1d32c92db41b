"""What keys do on every screen: help, palette, theme, undo, jobs, leaving; and how it is told."""

from __future__ import annotations

import asyncio
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from textual.actions import ActionParseResult
from textual.app import App
from textual.dom import DOMNode

from arcanum_tui import actions, looks
from arcanum_tui.actions import Action
from arcanum_tui.keys import ALONE_S, CROWD, KeyTimes
from arcanum_tui.screens.base import View
from arcanum_tui.state.model import State
from arcanum_tui.state.text import clean
from arcanum_tui.work import restart, start
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from arcanum_tui.bridge import Bridge
    from engine.contract.discovery import Found


class Everywhere(App[None], inherit_bindings=False):
    """The deeds of the app; ``ArcanumApp`` holds what they act on."""

    state: State
    keys: KeyTimes
    clock: Callable[[], datetime]
    _offer: Found | None

    @property
    @abstractmethod
    def engine(self) -> Bridge:
        """The way to the engine."""

    def action_reconnect(self) -> None:
        self.engine.reconnect()

    def action_theme(self) -> None:
        """The next theme."""
        names = looks.names()
        name = names[(names.index(self.theme) + 1) % len(names)]
        self.register_theme(looks.load(name))
        self.theme = name
        self.tell(f"Theme: {name}.")

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """As Textual does; what the engine is asked for while it is silent is said to wait."""
        silent = self.state.link.state == "silent"
        if silent and any(one.id == action and one.operation for one in self._here()):
            self.tell("The engine is silent; what it is asked waits until it answers.", "? waits")
        return await super().run_action(action, default_namespace, namespaces)

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
        await self.run_action(action.id, self._holder(action.where))

    def _holder(self, where: str) -> DOMNode | None:
        """What carries out the actions of a place."""
        match where:
            case "app":
                return self
            case "turns":
                return self.screen.query_one("#transcript")
            case "list" | "queue":
                return self.screen.focused
            case "prompt" | "query":
                return self.screen.query_one(where.capitalize())
        return self.screen

    def action_copy(self) -> None:
        """Copies what is selected; leaves where nothing is, as Ctrl+C does in a terminal."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.tell("Copied.")
        else:
            self._leave()

    def copy_to_clipboard(self, text: str) -> None:
        """Copies by OSC 52, which a terminal takes over SSH too; and by way of tmux, which by
        default takes none from a program within it but hands on what it is given itself."""
        super().copy_to_clipboard(text)
        if os.environ.get("TMUX"):
            start(self, "clipboard", self._to_tmux, text)

    async def _to_tmux(self, text: str) -> None:
        words = ("tmux", "load-buffer", "-w", "-")
        quiet = asyncio.subprocess.DEVNULL
        # One that is too old, or gone: what went to the terminal is all that can be done.
        with suppress(OSError):
            tmux = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet
            )
            await tmux.communicate(text.encode("utf-8", "backslashreplace"))

    def when_alone(self, act: Callable[[], None], objected: Callable[[str], None]) -> None:
        """Acts if the key that is acted on stands alone; what follows a key tells that, too.

        Pasted text (a terminal without bracketed paste sends it as keys) undoes and leaves nothing.
        """
        at = self.keys.current

        def settle() -> None:
            if self.keys.alone(at):
                act()
            else:
                objected(CROWD)

        self.set_timer(ALONE_S * 1.2, settle)

    def action_leave(self) -> None:
        """Leaves; where something runs it says so first."""
        self.when_alone(self._leave, self.tell)

    def _leave(self) -> None:
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
        else:
            self.when_alone(partial(self.undo, last.id), self.tell)

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
