"""The overview: what needs me, what is broken or unknown, what changed, what fills up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.worker import Worker

from arcanum_tui.actions import bindings
from arcanum_tui.screens.base import View
from arcanum_tui.state import arrange, frame
from arcanum_tui.state import overview as blocks
from arcanum_tui.state.grid import Column, Piece, muted
from arcanum_tui.state.model import State
from arcanum_tui.state.news import verb
from arcanum_tui.widgets.bars import EndsLine
from arcanum_tui.widgets.card import CardView
from arcanum_tui.widgets.lines import Lines
from arcanum_tui.work import restart, start
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from engine.contract.approvals import ApprovalSummary
    from engine.contract.jobs import Job
    from engine.contract.telemetry import Gauges

SAMPLES = 60

OTHER_LINES = 4
"""The title, the undo line, the line to ask on, the keys."""

RETRY_S = 3.0
"""A stream of gauges that broke is opened again after so long."""

GAUGES_S = 2.0
"""Between samples: each costs a reading and a painting, for as long as somebody looks."""

PANELS: tuple[tuple[str, str, str, tuple[Column, ...]], ...] = (
    ("needs", "NEEDS YOU", "a answer", blocks.NEEDS),
    ("broken", "BROKEN OR UNKNOWN", "", blocks.BROKEN),
    ("since", "SINCE YOU LOOKED", "", blocks.SINCE),
    ("storage", "STORAGE", "m media", blocks.STORAGE),
    ("jobs", "JOBS", "", blocks.JOBS),
    ("machines", "MACHINES", "", blocks.MACHINES),
)


class Overview(View):
    """Six panels whose places follow from the size and from what there is to say."""

    NAME = "overview"
    WITHOUT = ("open_overview", "back")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("overview")]

    def __init__(self) -> None:
        super().__init__()
        self._samples: deque[Gauges] = deque(maxlen=SAMPLES)
        self._trouble = ""
        self._heights: dict[str, int] = {}
        self._previewed: ApprovalSummary | None = None
        self._watching: Worker[None] | None = None

    def body(self) -> Iterable[Widget]:
        panels = [
            Lines(id=name, title=title, hint=hint, columns=columns, flows=True)
            for name, title, hint, columns in PANELS
        ]
        yield Container(*panels, CardView(id="card"), id="panels")
        yield EndsLine(id="undo", ruled=True)
        yield EndsLine(id="ask")

    # --- showing --------------------------------------------------------------------------------

    def show(self, state: State) -> None:
        now = self.control_center.clock()
        self._fill("needs", blocks.needs_you(state, now))
        self._fill("broken", blocks.broken(state, now))
        self._fill("since", blocks.since(state, self.control_center.looked, now))
        self._fill("storage", blocks.storage(state))
        self._fill("jobs", blocks.work(state, now))
        undo = blocks.undo_line(state, now)
        line = [Piece("UNDO", "title"), Piece("  "), *undo] if undo else []
        self.query_one("#undo", EndsLine).show(line, [Piece("u", "key")])
        self.query_one("#ask", EndsLine).show(
            [Piece("> ", "key"), Piece("c", "key"), muted(" to ask Agent-0")],
            frame.model_line(state),
        )
        self._show_machines()
        self._preview()
        self._focus_first()
        if state.link.state == "live" and self.is_current:
            self._watch_gauges()

    def _focus_first(self) -> None:
        """The cursor begins at what is most urgent."""
        if self.focused is None and self.is_current:
            panels = (self.query_one(f"#{name}", Lines) for name, *_ in PANELS[:-1])
            first = next((panel for panel in panels if panel.can_focus), None)
            if first is not None:
                first.focus()

    def _show_machines(self) -> None:
        if not self.composed:
            return  # A gauge that came while the screen goes.
        now = self.control_center.clock()
        self._fill("machines", blocks.machines(tuple(self._samples), now, self._trouble))
        self._arrange()

    def _fill(self, name: str, block: blocks.Block) -> None:
        panel = self.query_one(f"#{name}", Lines)
        panel.show(block.rows, note=block.note, empty=block.empty)
        panel.can_focus = bool(block.rows)
        self._heights[name] = block.height

    def _arrange(self) -> None:
        """Puts every panel where it belongs at this size, with what it has to say."""
        width, height = self.app.size
        boxes = arrange.overview(width, height - OTHER_LINES, self._heights)
        for name, box in boxes.items():
            panel = self.query_one(f"#{name}")
            panel.styles.offset = (box.x, box.y)
            panel.styles.width, panel.styles.height = box.width, box.height
            panel.display = box.height > 0
        self.query_one("#card").display = "card" in boxes

    def on_resize(self) -> None:
        self._arrange()

    @property
    def shown(self) -> bool:
        return self.composed and self.query_one("#needs", Lines).drawn

    # --- the card of a huge window --------------------------------------------------------------

    def on_lines_moved(self, message: Lines.Moved) -> None:
        if message.lines.id == "needs":
            self._preview()

    def _preview(self) -> None:
        """Shows the card of the selected line, to be read; it is answered on its own screen."""
        if self.app.size.width < arrange.HUGE:
            return
        row = self.query_one("#needs", Lines).current
        pending = self.control_center.state.pending
        summary = next((a for a in pending if row and row.link == f"approvals/{a.id}"), None)
        if summary is None:
            self.query_one("#card", CardView).show_empty(muted("No card is selected."))
        elif summary != self._previewed:
            restart(self, "card", self._read_card, summary.id)
        self._previewed = summary

    async def _read_card(self, number: int) -> None:
        from arcanum_tui.state.card import CardFace, face
        from engine.contract import approvals

        view = self.query_one("#card", CardView)
        try:
            request = approvals.ApprovalId(id=number)
            approval = await self.control_center.engine.ask(approvals.SHOW, request)
        except ArcanumError as error:
            view.show_empty(Piece(f"✗ {error.message}", "bad"))
            return

        def draw(width: int) -> CardFace:
            return face(approval, width, self.control_center.clock(), preview=True)

        view.show(draw)

    # --- moving ---------------------------------------------------------------------------------

    def on_lines_edge(self, message: Lines.Edge) -> None:
        """The cursor goes on in the next panel that has lines."""
        names = [name for name, *_ in PANELS]
        at = names.index(message.lines.id or "") + message.step
        while 0 <= at < len(names):
            panel = self.query_one(f"#{names[at]}", Lines)
            if panel.rows and panel.display:
                panel.go(0 if message.step > 0 else len(panel.rows) - 1)
                panel.focus()
                return
            at += message.step

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        if message.row is not None and message.row.link:
            self.control_center.follow(message.row.link)

    # --- gauges ---------------------------------------------------------------------------------

    def on_screen_suspend(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    def _watch_gauges(self) -> None:
        """Opens the stream of gauges, as long as this screen is looked at."""
        if self._watching is None or self._watching.is_finished:
            self._watching = start(self, "gauges", self._watch)

    async def _watch(self) -> None:
        from engine.contract import telemetry

        request = telemetry.WatchGauges(every_s=GAUGES_S)
        try:
            async with self.control_center.engine.stream(telemetry.WATCH, request) as samples:
                async for sample in samples:
                    self._samples.append(sample)
                    self._trouble = ""
                    self._show_machines()
            self._trouble = "the gauges stopped"
        except ArcanumError as error:
            self._trouble = error.message
        self._show_machines()
        await asyncio.sleep(RETRY_S)

    # --- jobs -----------------------------------------------------------------------------------

    def _job(self) -> Job | None:
        """The job with the mark; where none is drawn, the only one that runs. Says so where there
        is neither."""
        from engine.contract.jobs import ENDED

        lines, state = self.query_one("#jobs", Lines), self.control_center.state
        if self.focused is lines and lines.display and lines.current is not None:
            key = lines.current.key
            marked = next((job for job in state.jobs if f"j{job.id}" == key), None)
            if marked is None:
                self.control_center.tell("An approval is carried out to its end.")
            elif marked.state in ENDED:
                told = f"Job {marked.id} ({verb(marked.operation)} {marked.subject}) has ended."
                self.control_center.tell(f"{told} Choose one that runs.")
            else:
                return marked
        elif len(state.running) == 1:
            return state.running[0]
        elif state.running:
            told = f"{len(state.running)} jobs run: Tab goes to JOBS, where one is chosen."
            self.control_center.tell(told)
        else:
            self.control_center.tell("No job runs.")
        return None

    def action_pause_job(self) -> None:
        job = self._job()
        if job is not None:
            self.control_center.job(job.id, "resume" if job.state == "paused" else "pause")

    def action_cancel_job(self) -> None:
        """Asks first where something would be lost."""
        from arcanum_tui.modals.stop import LOST, StopDialog

        job, center = self._job(), self.control_center
        if job is not None and job.operation in LOST:
            self.app.push_screen(StopDialog(job))
        elif job is not None:
            center.when_alone(partial(center.job, job.id, "cancel"), center.tell)
