"""Agent-0: a conversation, its answers as they are written, and the line for the next question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.modals.sessions import SessionsDialog
from arcanum_tui.screens.base import View
from arcanum_tui.state import frame
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.model import State
from arcanum_tui.state.text import plural
from arcanum_tui.widgets.bars import EndsLine
from arcanum_tui.widgets.prompt import Prompt
from arcanum_tui.widgets.transcript import Transcript


class Agent(View):
    """Typing never waits: a question goes off at once and is asked when the engine is there."""

    NAME = "agent"
    WITHOUT = ("open_agent",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("agent")]
    CSS_PATH = ["../widgets/transcript.tcss", "../widgets/prompt.tcss", "agent.tcss"]  # noqa: RUF012

    @property
    def places(self) -> tuple[str, ...]:
        return ("prompt", "agent", "list", "app")

    def body(self) -> Iterable[Widget]:
        yield EndsLine(id="session", ruled=True)
        yield Transcript(id="transcript")
        yield Prompt(id="prompt")

    def on_mount(self) -> None:
        self.set_focus(self.query_one("#prompt"))

    def on_screen_resume(self) -> None:
        self.control_center.conversation.load()

    def arrive(self) -> None:
        if self.composed:
            self.set_focus(self.query_one("#prompt"))

    # --- showing --------------------------------------------------------------------------------

    def show(self, state: State) -> None:
        self.show_chat()

    def show_chat(self) -> None:
        """The conversation moved on."""
        center = self.control_center
        chat = center.conversation.chat
        left = [Piece("AGENT-0", "title"), Piece(f"  {chat.session}", "strong")]
        if chat.exchanges:
            left.append(Piece(f"  {plural(len(chat.exchanges), 'turn')}", "muted"))
        if chat.busy:
            left.append(Piece("  ● answering, Esc stops", "info"))
        self.query_one("#session", EndsLine).show(left, frame.model_line(center.state))
        self.query_one("#transcript", Transcript).show(chat, self._empty())

    def _empty(self) -> tuple[Piece, ...]:
        chat = self.control_center.conversation.chat
        if chat.trouble:
            return (Piece(f"✗ {chat.trouble}", "bad"),)
        if not chat.loaded:
            return (Piece("○ connecting … you can type already", "muted"),)
        return (Piece("Nothing was said yet. Ask about this machine, or anything else.", "muted"),)

    # --- asking ---------------------------------------------------------------------------------

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        self.control_center.conversation.ask(message.text)
        self.query_one("#transcript", Transcript).scroll_end(animate=False)

    def action_stop_answer(self) -> None:
        self.control_center.conversation.stop()

    def on_transcript_left(self) -> None:
        self.action_write()

    def action_write(self) -> None:
        self.set_focus(self.query_one("#prompt"))

    def back(self) -> None:
        """An answer is stopped first; then the screen goes."""
        if not self.control_center.conversation.stop():
            super().back()

    def action_sessions(self) -> None:
        center = self.control_center

        def chosen(name: str | None) -> None:
            if name:
                center.converse(name)
                self.show_chat()

        known = [s.name for s in center.state.sessions]
        self.app.push_screen(SessionsDialog(known, center.conversation.chat.session), chosen)
