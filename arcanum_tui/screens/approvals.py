"""Approvals: the queue, and the card of the selected one. Here, and only here, is answered."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from arcanum_tui.actions import bindings
from arcanum_tui.keys import ALONE_S, EARLY
from arcanum_tui.modals.ask import AskDialog, CountDialog
from arcanum_tui.modals.listing import ListDialog, TickDialog
from arcanum_tui.modals.sheet import SheetDialog
from arcanum_tui.screens.base import View
from arcanum_tui.state import card as cards
from arcanum_tui.state.card import CardFace, undo_of
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.model import State
from arcanum_tui.state.overview import failed, waiting
from arcanum_tui.widgets.bars import EndsLine, KeysLine
from arcanum_tui.widgets.card import CardView
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.widgets.queue import Queue
from arcanum_tui.work import restart, start
from engine.contract import approvals as words
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.contract.approvals import Approval, ApprovalSummary


ASKED_S = 2.0
"""Who asked for the queue is shown its first card, also where it comes a moment later."""

OTHER_LINES = 3
"""The title, the keys, and the line above the card that says what a key did not do."""


class Approvals(View):
    """A key answers only the card that stands painted on this screen, and only a key alone."""

    NAME = "approvals"
    WITHOUT = ("open_approvals",)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("approvals")]
    CSS_PATH = ["approvals.tcss"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.approval: Approval | None = None
        self._wanted = 0
        self._read_as: tuple[int, ApprovalSummary | None] | None = None
        self._asked_at = time.monotonic()
        self._answering: set[int] = set()

    @property
    def places(self) -> tuple[str, ...]:
        return ("approvals", "queue", "app")

    def body(self) -> Iterable[Widget]:
        queue = Queue(id="queue", title="APPROVALS", columns=cards.QUEUE)
        items = Lines(id="items", title="ITEMS", hint="Enter all", columns=cards.ITEMS)
        items.can_focus = False
        yield Container(queue, EndsLine(id="said"), CardView(id="card"), items, id="desk")

    def painted(self, at: float) -> None:
        if self.composed:
            self._card.painted(at)

    # --- showing --------------------------------------------------------------------------------

    @property
    def _queue(self) -> Queue:
        return self.query_one("#queue", Queue)

    @property
    def _card(self) -> CardView:
        return self.query_one("#card", CardView)

    def arrive(self) -> None:
        self._asked_at = time.monotonic()

    def on_mount(self) -> None:
        self.set_focus(self._queue)

    def show(self, state: State) -> None:
        now = self.control_center.clock()
        rows = [cards.queue_row(a, now) for a in state.approvals]
        trouble = failed(state, "approvals.list")
        count = len(state.pending)
        note = [trouble] if trouble else [Piece(f"▲ {count} wait", "warn")] if count else []
        empty = trouble or waiting(state, good="✓ nothing waits for you")
        # A card never opens by itself: what arrives while the queue is looked at is only listed.
        select = time.monotonic() < self._asked_at + ASKED_S
        self._queue.show(rows, note=note, empty=empty, select=select)
        self._refresh_card()

    def _arrange(self) -> None:
        """The card in full where that is possible; what is left shows the first of its items."""
        width, height = self.app.size
        queue = max(2, min(len(self._queue.rows) + 1, height // 3))
        lines = len(self._face(width - 2).lines) if self.approval else 1
        room = height - OTHER_LINES - queue
        items = self.query_one("#items", Lines)
        self._queue.styles.height = queue
        self._card.styles.height = min(lines, room)
        left = room - lines - 1
        count = len(self.approval.card.items) if self.approval else 0
        items.display = count > 0 and left > 2
        items.styles.height = max(0, min(left, count + 1))
        if self.approval is not None:
            items.show(cards.Items(self.approval.card.items))
        one_thing = self.approval is not None and not self.approval.card.keepable
        self.query_one("#keys", KeysLine).leave_out(frozenset({"keep"} if one_thing else ()))

    def on_resize(self) -> None:
        self._arrange()

    def select(self, thing: str) -> None:
        """Selects the approval with this number, now or as soon as it is listed."""
        self._queue.follow(thing)

    def on_lines_moved(self, message: Lines.Moved) -> None:
        if message.lines is not self._queue:
            return
        self._say("")
        self._wanted = int(message.row.key) if message.row else 0
        self._refresh_card()

    def _refresh_card(self) -> None:
        """Draws the card again, and reads it where its line in the queue says something else."""
        if not self._wanted:
            hint = "↑ ↓ select an approval to read its card" if len(self._queue.rows) else ""
            self._card.show_empty(Piece(hint, "muted"))
            self.approval, self._read_as = None, None
            self._arrange()
            return
        if self.approval is None or self.approval.id != self._wanted:
            self.approval = None
            self._card.show_empty(Piece(f"○ reading #{self._wanted} …", "muted"))
        else:
            self._card.show(self._face)
        self._arrange()
        listed = self.control_center.state.approvals
        summary = next((a for a in listed if a.id == self._wanted), None)
        if self._read_as != (self._wanted, summary):
            self._read_as = (self._wanted, summary)
            restart(self, "card", self._read, self._wanted)

    def _face(self, width: int) -> CardFace:
        assert self.approval is not None
        center = self.control_center
        progress = center.state.progress.get(self.approval.id)
        return cards.face(self.approval, width, center.clock(), progress=progress)

    async def _read(self, id_: int) -> None:
        try:
            approval = await self.control_center.engine.ask(words.SHOW, words.ApprovalId(id=id_))
        except ArcanumError as error:
            self._read_as = None
            if self._wanted == id_:
                self._card.show_empty(Piece(f"✗ #{id_}: {error.message} {error.hint}", "bad"))
            return
        self._put(approval)

    def _put(self, approval: Approval) -> None:
        if self._wanted == approval.id:
            self.approval = approval
            self._card.show(self._face)
            self._arrange()

    def _say(self, text: str) -> None:
        """A line for the person, just above the card."""
        self.query_one("#said", EndsLine).show([Piece(text, "warn")] if text else [], [])

    # --- answers --------------------------------------------------------------------------------

    def _answer(self, act: Callable[[Approval], None]) -> None:
        """Acts, if the key that was pressed is an answer to this very card (see ``keys``)."""
        card, approval = self._card, self.approval
        at, painted_at = self.control_center.keys.current, card.painted_at

        def settle() -> None:
            if not self.is_current or approval is None:
                return
            same = self.approval is not None and self.approval.digest == approval.digest
            if not (same and card.painted_at == painted_at):
                self._say(EARLY)  # Another card came in between.
            elif objection := self._objection(at):
                self._say(objection)
            else:
                self._say("")
                act(approval)

        if objection := self._objection(at):
            self._say(objection)
        else:
            # What follows a key tells whether it was pasted, too.
            self.set_timer(ALONE_S * 1.2, settle)

    def _objection(self, at: float) -> str:
        """Why the key of that time is no answer to the card that is shown; "" if it is."""
        card = self._card
        if card.cut:
            return "Part of the card is not on the screen: read it with J, then answer."
        return self.control_center.keys.objection(at, card.painted_at if card.whole else None)

    def _pending(self, approval: Approval) -> bool:
        if approval.id in self._answering:
            self._say(f"#{approval.id} is already being answered.")
        elif approval.state != "pending":
            self._say(f"#{approval.id} is {approval.state}: it cannot be answered again.")
        else:
            return True
        return False

    def action_approve(self) -> None:
        self._answer(self._approve)

    def _approve(self, approval: Approval) -> None:
        if not self._pending(approval):
            return
        count = approval.card.confirm_count
        if count is None:
            self._send(approval, words.Approve(id=approval.id, digest=approval.digest))
            return

        def counted(text: str | None) -> None:
            if text is not None and self._pending(approval):
                request = words.Approve(id=approval.id, digest=approval.digest, count=int(text))
                self._send(approval, request)

        self.app.push_screen(CountDialog(approval.card.headline, count), counted)

    def _send(self, approval: Approval, request: words.Approve) -> None:
        self._run(approval, partial(self.control_center.engine.ask, words.APPROVE, request))

    def action_deny(self) -> None:
        self._answer(self._deny)

    def _deny(self, approval: Approval) -> None:
        if not self._pending(approval):
            return

        def reasoned(reason: str | None) -> None:
            if reason is not None and self._pending(approval):
                request = words.Deny(id=approval.id, reason=reason)
                self._run(approval, partial(self.control_center.engine.ask, words.DENY, request))

        self.app.push_screen(
            AskDialog(
                f"Deny #{approval.id} {approval.card.verb} {approval.card.subject}",
                "Why not? Enter denies, with the reason or without one.",
                limit=500,
            ),
            reasoned,
        )

    def _run(self, approval: Approval, answer: Callable[[], Awaitable[Approval]]) -> None:
        """Sends an answer, once, and shows what came of it."""
        self._answering.add(approval.id)
        start(self, "answers", self._answered, approval, answer)

    async def _answered(
        self, approval: Approval, answer: Callable[[], Awaitable[Approval]]
    ) -> None:
        try:
            ended = await answer()
        except ArcanumError as error:
            self._failed(approval, error)
        else:
            self._put(ended)
            if not self.is_current and ended.outcome is not None:
                self.control_center.tell(ended.outcome.summary, f"#{ended.id} {ended.state}")
        finally:
            self._answering.discard(approval.id)

    def _failed(self, approval: Approval, error: ArcanumError) -> None:
        if self._wanted == approval.id and self.is_current:
            self._say(f"✗ {error.title}: {error.message} {error.hint}".rstrip())
        else:
            self.control_center.tell_error(error)
        self._read_as = None
        self._refresh_card()

    def action_keep(self) -> None:
        self._answer(self._keep)

    def _keep(self, approval: Approval) -> None:
        if not self._pending(approval):
            return
        if not approval.card.keepable:
            self._say(f"Nothing can be left out of #{approval.id}.")
            return

        def ticked(keys: tuple[str, ...] | None) -> None:
            if keys and self._pending(approval):
                self._answering.add(approval.id)
                start(self, "answers", self._leave_out, approval, keys)

        title = f"Keep some of #{approval.id}: tick what must stay"
        rows = cards.Items(tuple(item for item in approval.card.items if not item.fixed))
        hint = "new plan without what is ticked"
        self.app.push_screen(TickDialog(title, cards.ITEMS, rows, hint), ticked)

    async def _leave_out(self, approval: Approval, keys: tuple[str, ...]) -> None:
        try:
            request = words.Keep(id=approval.id, keep=keys)
            kept = await self.control_center.engine.ask(words.KEEP, request)
        except ArcanumError as error:
            self._failed(approval, error)
        else:
            self.control_center.tell(f"#{kept.approval_id} is the new plan.", "Kept some")
            self._follow(kept.approval_id)
        finally:
            self._answering.discard(approval.id)

    def _follow(self, id_: int) -> None:
        """Selects the plan that replaces the selected one, now or as soon as it is listed."""
        self._queue.follow(str(id_))

    def action_undo(self) -> None:
        """Undoing never overwrites: a key of its own is enough, on a card just painted, too."""
        approval, center = self.approval, self.control_center
        if approval is None:
            return
        if undo_of(approval, center.clock()) is None:
            self._say(f"#{approval.id} has nothing that could be taken back.")
        else:
            center.when_alone(partial(center.undo, approval.id), self._say)

    # --- reading --------------------------------------------------------------------------------

    def action_items(self) -> None:
        if self.approval is not None and self.approval.card.items:
            rows = cards.Items(self.approval.card.items)
            title = cards.items_title(self.approval)
            self.app.push_screen(ListDialog(title, cards.ITEMS, rows))

    def action_why(self) -> None:
        if self.approval is not None:
            now = self.control_center.clock()
            title = (
                f"Why #{self.approval.id} {self.approval.card.verb} {self.approval.card.subject}?"
            )
            self.app.push_screen(SheetDialog(title, cards.why(self.approval, now)))

    def action_card_down(self) -> None:
        self._card.move(max(1, self._card.size.height - 2))

    def action_card_up(self) -> None:
        self._card.move(-max(1, self._card.size.height - 2))
