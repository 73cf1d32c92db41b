"""The present, as the screens know it. Frozen; nothing here imports pydantic when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.contract.approvals import ApprovalProgressed, ApprovalSummary
    from engine.contract.assets import Library
    from engine.contract.base import ErrorInfo
    from engine.contract.engine import Status
    from engine.contract.events import Event
    from engine.contract.jobs import Job
    from engine.contract.memory import SessionSummary
    from engine.contract.model import ModelInfo
    from engine.contract.quota import Gauge
    from engine.contract.recall import IndexMoved


@dataclass(frozen=True, slots=True)
class Link:
    """The way to the engine. ``why``: what is missing, in words; ``since``: when it became so.
    ``silent``: it is there, and has neither answered nor told anything since then."""

    state: Literal["connecting", "live", "silent", "lost"] = "connecting"
    why: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A snapshot of the engine with all events since folded in.

    ``failures``: by operation name, why a topic could not be read; what was known before stays.
    ``recent``: durable events, newest first. ``progress``: of executing approvals, by id.
    ``talk``: by conversation, the number of the latest event in it. ``renamed``: the latest
    renaming of one: its number, the old name, the new one. ``remembered``: the number of the
    latest change to a memory; ``index``: how far their index is, None where nobody told yet.
    ``snapshots``: how often everything was read, as when the engine is another one: what a screen
    read by itself may be another thing, too.
    """

    link: Link = field(default_factory=Link)
    seq: int = 0
    snapshots: int = 0
    read_at: datetime | None = None
    status: Status | None = None
    libraries: tuple[Library, ...] = ()
    gauges: tuple[Gauge, ...] = ()
    approvals: tuple[ApprovalSummary, ...] = ()
    jobs: tuple[Job, ...] = ()
    model: ModelInfo | None = None
    sessions: tuple[SessionSummary, ...] = ()
    failures: Mapping[str, ErrorInfo] = field(default_factory=dict)
    recent: tuple[Event, ...] = ()
    progress: Mapping[int, ApprovalProgressed] = field(default_factory=dict)
    talk: Mapping[str, int] = field(default_factory=dict)
    renamed: tuple[int, str, str] = (0, "", "")
    remembered: int = 0
    index: IndexMoved | None = None

    @property
    def known(self) -> bool:
        """True once anything was read from the engine."""
        return self.read_at is not None

    @property
    def pending(self) -> tuple[ApprovalSummary, ...]:
        """The approvals that wait for an answer, as the engine orders them."""
        return tuple(a for a in self.approvals if a.state == "pending")

    @property
    def executing(self) -> tuple[ApprovalSummary, ...]:
        return tuple(a for a in self.approvals if a.state in {"approved", "executing"})

    @property
    def running(self) -> tuple[Job, ...]:
        """The jobs that have not ended."""
        return tuple(j for j in self.jobs if j.state in {"queued", "running", "paused"})

    def undoable(self, now: datetime) -> ApprovalSummary | None:
        """The latest act that can still be taken back."""
        able = (
            a for a in self.approvals if a.undoable and (a.undo_until is None or a.undo_until > now)
        )
        return max(able, key=lambda a: a.id, default=None)
