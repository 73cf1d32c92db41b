"""Agent-0: a conversation, its answers as they are written, and the line for the next question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import TextArea

from arcanum_tui.actions import bindings
from arcanum_tui.screens.turns import Turns
from arcanum_tui.state import sessions, waiting
from arcanum_tui.state.chat import RUNNING, WAITING, Exchange, Wish, names_of
from arcanum_tui.state.grid import Piece, fit
from arcanum_tui.state.model import State
from arcanum_tui.state.pace import context_use, live
from arcanum_tui.state.text import number, plural
from arcanum_tui.widgets.bars import EndsLine
from arcanum_tui.widgets.chips import Chips
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.widgets.prompt import Prompt
from arcanum_tui.widgets.transcript import Transcript
from arcanum_tui.work import restart
from engine.contract import model
from engine.contract.agent0 import MAX_ATTACHED, Attachment
from engine.contract.errors import ArcanumError

TICK_S = 0.1
"""Seconds that are counted on the screen move so often."""

MOST_ATTACHED = 8

RULED = 7
"""Cells of a heading's line that are no text."""

WIDE = 160
"""From so many cells on the other conversations stand beside this one."""


class Agent(Turns):
    """Typing never waits: a question goes off at once and is asked when the engine is there.

    A model that is not loaded is loaded while the screen is looked at, so that the first answer
    comes at once.
    """

    NAME = "agent"
    WITHOUT = ("open_agent",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("agent")]
    CSS_PATH = [  # noqa: RUF012
        "../widgets/transcript.tcss",
        "../widgets/chips.tcss",
        "../widgets/prompt.tcss",
        "agent.tcss",
    ]

    def __init__(self) -> None:
        super().__init__()
        self._trouble = ""
        self._warming = False
        self._ticking: Timer | None = None

    @property
    def places(self) -> tuple[str, ...]:
        return ("prompt", "turns", "agent", "app")

    def body(self) -> Iterable[Widget]:
        talk = Vertical(
            EndsLine(id="session", ruled=True),
            Transcript(id="transcript"),
            EndsLine(id="numbers"),
            Chips(id="chips"),
            Prompt(
                id="prompt",
                asked=lambda: self.conversation.chat.questions,
                stop=self.stop_answer,
            ),
            id="talk",
        )
        beside = Lines(id="beside", title="CONVERSATIONS", columns=sessions.BESIDE)
        yield Horizontal(talk, beside)

    def on_mount(self) -> None:
        self._ticking = self.set_interval(TICK_S, self.show_chat, pause=True)
        self.set_focus(self.prompt)

    def on_screen_resume(self) -> None:
        self.conversation.load()
        self._warm()

    def arrive(self) -> None:
        if self.composed:
            self.set_focus(self.prompt)

    # --- the model, ahead of the first question -------------------------------------------------

    def _warm(self) -> None:
        if not self._warming:
            self._warming = True
            restart(self, "warm", self._load_model)

    async def _load_model(self) -> None:
        """Loads a local model that is not loaded; a failure is said in the heading alone."""
        engine = self.control_center.engine
        try:
            await engine.connected()
            info = engine.state.model
            if info is not None and info.local and not info.simulated and info.state == "unloaded":
                self._trouble = ""
                await engine.ask(model.LOAD, model.AnyModel())
        except ArcanumError as error:
            self._trouble = error.message
            self.show_chat()
        finally:
            self._warming = False

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """A question begins: a model that was unloaded meanwhile is loaded while it is typed."""
        if len(event.text_area.text) == 1 and not self._trouble:
            self._warm()

    # --- showing --------------------------------------------------------------------------------

    def show(self, state: State) -> None:
        self.show_chat()

    def show_chat(self) -> None:
        if not self.composed:
            return
        center, chat = self.control_center, self.conversation.chat
        now = center.stopwatch()
        loading_s = now - center.model_since
        state = center.state
        left = self._heading()
        room = self.query_one("#talk").size.width - sum(cell_len(p.text) for p in left) - RULED
        right = waiting.head(state, loading_s, self._trouble, room)
        self.query_one("#session", EndsLine).show(left, right)

        def says(index: int, exchange: Exchange) -> tuple[Piece, ...]:
            ahead = sum(1 for e in chat.exchanges[:index] if e.status in WAITING)
            return waiting.waits_for(exchange, ahead, state, loading_s, now)

        self.transcript.show(chat, self._empty(), says)
        self._show_beside()
        self._show_numbers(now)
        self._show_chips()
        waits = any(e.status in WAITING for e in chat.exchanges)
        loads = state.model is not None and state.model.state == "loading"
        if self._ticking is not None:
            (self._ticking.resume if waits or loads else self._ticking.pause)()

    def _heading(self) -> list[Piece]:
        chat = self.conversation.chat
        known = self.control_center.state.sessions
        title = next((s.title for s in known if s.name == chat.session), "")
        # A title that is only the beginning of the first question tells nothing.
        begins = not chat.exchanges or chat.exchanges[0].question.startswith(title.rstrip("…"))
        left = [Piece("AGENT-0", "title"), Piece(f"  {chat.session}", "strong")]
        if chat.exchanges:
            count = plural(len(chat.exchanges), "turn")
            left.append(Piece(f"  {'over ' if chat.more else ''}{count}", "muted"))
        if chat.busy:
            left.append(Piece("  ● answering", "info"))
        elif self.size.width >= 100 and title != chat.session and not begins:
            left.append(Piece(f"  {fit(title, min(cell_len(title), 40))}", "muted"))
        return left

    def _show_beside(self) -> None:
        """The other conversations, where there is room for them."""
        lines, center = self.query_one("#beside", Lines), self.control_center
        lines.display = self.size.width >= WIDE
        if lines.display:
            current = self.conversation.chat.session
            lines.show(sessions.beside(center.state.sessions, current, center.clock()))

    def on_resize(self) -> None:
        self.show_chat()

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        if message.row is not None:
            self._converse(message.row.key)
            self.action_write()

    def _empty(self) -> tuple[Piece, ...]:
        chat = self.conversation.chat
        if chat.trouble:
            return (Piece(f"✗ {chat.trouble}", "bad"),)
        if not chat.loaded:
            return (Piece("○ connecting … you can type already", "muted"),)
        return (Piece("Nothing was said yet. Ask about this machine, or anything else.", "muted"),)

    def _show_numbers(self, now: float) -> None:
        """How fast the answer comes, and how much of the model's context is used."""
        chat = self.conversation.chat
        used, context = chat.context
        info = self.control_center.state.model
        context = context or (info.context if info is not None and not info.simulated else 0)
        width = self.query_one("#talk").size.width
        right = context_use(used, context, max(24, width // 2))
        room = width - sum(cell_len(p.text) for p in right) - 4
        running = next((e.pace for e in chat.exchanges if e.status in RUNNING), None)
        words: list[str] = live(running, now) if running else []
        while words and cell_len(" · ".join(words)) > room:
            words.pop()
        line = Piece(" · ".join(words), "info")
        self.query_one("#numbers", EndsLine).show([line], right)

    def _show_chips(self) -> None:
        note = ""
        if self.editing is not None:
            at = f" of {self.editing.at}" if self.editing.at else ""
            note = f"another wording of the question{at}; Esc leaves it as it was"
        self.query_one("#chips", Chips).show([self._chip(a) for a in self.attached], note)

    # --- asking ---------------------------------------------------------------------------------

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        edited, attached = self.editing, self.attached
        self.editing, self.attached = None, ()
        if edited is not None:
            self.conversation.instead(edited, message.text, attached)
        else:
            self.conversation.ask(message.text, Wish(attached))
        self._to_the_end()
        self.show_chat()

    def action_stop_answer(self) -> None:
        self.stop_answer()

    def stop_answer(self) -> bool:
        """Stops the answer; False where none is written."""
        return self.conversation.stop()

    def on_transcript_chosen(self) -> None:
        here = self._here()
        if here is not None and here[1].approval_id is not None:
            self.control_center.go_to("approvals", str(here[1].approval_id))
        else:
            self.action_write()

    def on_transcript_top(self) -> None:
        self.conversation.earlier()

    def on_prompt_read(self, message: Prompt.Read) -> None:
        self.transcript.page(message.step)

    def action_write(self) -> None:
        self.set_focus(self.prompt)

    def back(self) -> None:
        """An edit is left, an answer stopped, the line gone to; only then the screen goes."""
        if self.leave_edit() or self.conversation.stop():
            return
        if not self.prompt.has_focus:
            self.action_write()
        else:
            super().back()

    # --- what goes along ------------------------------------------------------------------------

    def action_attach(self) -> None:
        from arcanum_tui.modals.attach import AttachDialog

        self.app.push_screen(AttachDialog(), self._chosen)

    def _chosen(self, attachment: Attachment | None) -> None:
        if attachment is not None:
            self.attach(attachment)

    def _chip(self, attachment: Attachment) -> str:
        if attachment.kind == "text":
            return f"{attachment.name}, {number(len(attachment.text))} characters"
        if attachment.kind == "turn":
            return ", ".join(names_of(self.conversation.chat, attachment))
        return attachment.path.display.rpartition("/")[2]

    def attach(self, attachment: Attachment) -> None:
        """This goes along with the next question."""
        tell = self.control_center.tell
        texts = [a.text for a in (*self.attached, attachment) if a.kind == "text"]
        if attachment in self.attached:
            return
        if len(self.attached) >= MOST_ATTACHED:
            tell(f"At most {MOST_ATTACHED} go along with a question: take one off first.")
        elif sum(map(len, texts)) > MAX_ATTACHED:
            tell(f"Together at most {number(MAX_ATTACHED)} characters go along with a question.")
        else:
            self.attached = (*self.attached, attachment)
            self.show_chat()

    def on_prompt_take_off(self) -> None:
        self._take_off(len(self.attached) - 1)

    def on_chips_taken_off(self, message: Chips.TakenOff) -> None:
        self._take_off(message.index)

    def _take_off(self, index: int) -> None:
        if 0 <= index < len(self.attached):
            self.attached = (*self.attached[:index], *self.attached[index + 1 :])
            self.show_chat()

    # --- conversations and models ---------------------------------------------------------------

    def action_sessions(self) -> None:
        from arcanum_tui.modals.sessions import SessionsDialog

        center = self.control_center
        current = self.conversation.chat.session
        self.app.push_screen(SessionsDialog(center.state.sessions, current), self._converse)

    def _converse(self, name: str | None) -> None:
        if name:
            self.leave_edit()
            self.control_center.converse(name)
            self.show_chat()

    def action_new_session(self) -> None:
        from arcanum_tui.modals.sessions import new_name

        center = self.control_center
        taken = {s.name for s in center.state.sessions} | center.sessions_open
        self._converse(new_name(taken, f"{center.clock().astimezone():%d %b}".lstrip("0")))
        self.action_write()

    def action_model(self) -> None:
        from arcanum_tui.modals.models import ModelsDialog

        self._trouble = ""
        self.app.push_screen(ModelsDialog(), lambda _name: self.show_chat())
