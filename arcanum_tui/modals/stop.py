"""Stopping a job whose work is lost then: what runs, and what will become of it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from arcanum_tui.actions import bindings
from arcanum_tui.modals.sheet import SheetDialog
from arcanum_tui.state.grid import Piece
from arcanum_tui.state.news import verb
from engine.contract.jobs import Job

_WRITTEN = "What it wrote so far is removed."
_TOLD = "What it found is told at its end, and is lost."
LOST = {
    "media.export": _WRITTEN,
    "media.export_duplicates": _WRITTEN,
    "media.find_duplicates": _TOLD,
    "remotes.check": _TOLD,
    "remotes.inventory": _TOLD,
    "model.bench": _TOLD,
}
"""What is lost with a job that is stopped. What the others have done is kept."""


class StopDialog(SheetDialog):
    """A second ``x`` stops the job."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("stopping")]

    def __init__(self, job: Job) -> None:
        lines = [
            (Piece(f"● {verb(job.operation)}", "info"), Piece(f"{job.subject}, {job.state}")),
            (Piece(""),),
            (Piece(""), Piece(f"{LOST[job.operation]} p pauses it instead.", "muted")),
        ]
        super().__init__("Stop this for good?", lines, ("x", "stop"), escape="let it run")
        self._job = job

    def action_stop(self) -> None:
        if self.answers():
            self.control_center.job(self._job.id, "cancel")
            self.close(None)
