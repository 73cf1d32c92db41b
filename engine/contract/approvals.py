"""Approvals: a plan, its digest, and a person's answer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.contract.base import Json, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.operation import Limits, Operation, Risk


class ApprovalState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    EXECUTING = "executing"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


OPEN_STATES = frozenset({ApprovalState.PENDING, ApprovalState.APPROVED, ApprovalState.EXECUTING})


class Mark(StrEnum):
    """How a row of the card is marked; the screen adds the glyph and the colour."""

    NONE = "none"
    OK = "ok"
    WARN = "warn"


class CardRow(Wire):
    """One row: a fixed label (DO, FREES, WHY, SAFE, RISK, UNDO, COST, DOWN, SENDS) and its text."""

    label: str
    text: str
    mark: Mark = Mark.NONE


class CardItem(Wire):
    """One thing that would be touched. ``key`` names it in ``approvals.keep``. Size in bytes.

    ``fixed``: it cannot be left out, where others can.
    """

    key: str
    text: str
    size: int = 0
    note: str = ""
    fixed: bool = False


class Card(Wire):
    """What a person reads before the answer.

    ``confirm_count``: None means that ``y`` is enough; a number must be typed where the act cannot
    be undone. ``keepable``: items can be left out of the plan.
    """

    verb: str
    subject: str
    headline: str
    rows: tuple[CardRow, ...]
    items: tuple[CardItem, ...] = ()
    confirm_count: int | None = None
    keepable: bool = False


class Undo(Wire):
    """How to take it back: the operation to call, with what; ``until`` None means no end is set."""

    operation: str
    request: Json
    until: datetime | None = None


class TakenBack(Wire):
    """The base of an undo's result. Where it is complete, the approval is marked as undone."""

    @property
    def complete(self) -> bool:
        return True


class Outcome(Wire):
    """How an execution ended. ``state`` is done, partial, failed or interrupted.

    ``undo``: how to take it back. ``ends``: an undo of something earlier that this act made
    impossible, as a purge does with the undo of a prune.
    """

    state: ApprovalState
    done: int = 0
    total: int = 0
    summary: str = ""
    problems: tuple[str, ...] = ()
    result: Json = Field(default_factory=dict)
    undo: Undo | None = None
    ends: Undo | None = None


class Approval(Wire):
    """The durable record. ``digest`` is over request, payload and preconditions."""

    id: int
    operation: str
    state: ApprovalState
    digest: str
    machine: str
    requested_by: str
    created_at: datetime
    expires_at: datetime
    card: Card
    answered_by: str | None = None
    answered_at: datetime | None = None
    reason: str = ""
    outcome: Outcome | None = None
    undone: bool = False


class ApprovalSummary(Wire):
    """One line of the queue."""

    id: int
    operation: str
    state: ApprovalState
    machine: str
    verb: str
    subject: str
    headline: str
    created_at: datetime
    expires_at: datetime
    reason: str = ""
    undoable: bool = False
    undo_until: datetime | None = None
    undone: bool = False


class ListApprovals(Wire):
    state: Literal["open", "closed", "all"] = Field(
        "all", description="those that wait or run, those that ended, or both"
    )
    limit: Annotated[int, Field(ge=1, le=500, description="at most so many")] = 100


class ApprovalList(Wire):
    """Newest first, those that wait for an answer before all others."""

    approvals: tuple[ApprovalSummary, ...]
    pending: int


class ApprovalId(Wire):
    id: Annotated[int, Field(ge=1, description="the approval's number")]


class Approve(Wire):
    """``digest``: what was on the screen; refused if the record has another.

    ``count`` is asked for where the act cannot be undone.
    """

    id: Annotated[int, Field(ge=1, description="the approval's number")]
    digest: str | None = Field(None, description="the digest you read; refused if it is another")
    count: int | None = Field(
        None, description="the number of things, asked for where the act cannot be undone"
    )


class Deny(Wire):
    id: Annotated[int, Field(ge=1, description="the approval's number")]
    reason: Annotated[str, Field(max_length=500, description="why not")] = ""


class Keep(Wire):
    """Leave these items out: makes a new plan with a new digest, and closes this one."""

    id: Annotated[int, Field(ge=1, description="the approval's number")]
    keep: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=100_000, description="keys of the items to leave out"),
    ]


class Kept(Wire):
    """``approval_id`` of the plan that replaces the old one."""

    approval_id: int


class ApprovalRequested(Event):
    kind: Literal["approvals.requested"] = "approvals.requested"
    summary: ApprovalSummary


class ApprovalChanged(Event):
    """Answered, executing, ended, expired or undone: the summary as it is now."""

    kind: Literal["approvals.changed"] = "approvals.changed"
    summary: ApprovalSummary


class ApprovalProgressed(Event):
    durable: ClassVar[bool] = False
    kind: Literal["approvals.progressed"] = "approvals.progressed"
    id: int
    done: int
    total: int
    note: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.id}"


LIST = Operation(
    "approvals.list", "What waits for an answer, and what was answered", ListApprovals, ApprovalList
)
SHOW = Operation(
    "approvals.show", "One approval: the whole plan", ApprovalId, Approval, positional=("id",)
)
APPROVE = Operation(
    "approvals.approve",
    "Say yes: checks the plan against the world, then runs it once",
    Approve,
    Approval,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=None),
    audit=("id", "digest"),
    positional=("id",),
)
DENY = Operation(
    "approvals.deny",
    "Say no, with a reason",
    Deny,
    Approval,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("id",),
    positional=("id",),
)
KEEP = Operation(
    "approvals.keep",
    "Leave some items out: a new plan with a new digest",
    Keep,
    Kept,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    # The plan is made anew: what is on a remote is listed for it.
    limits=Limits(max_bytes=16 * 1024 * 1024, timeout_s=None),
    audit=("id",),
    positional=("id", "keep"),
)
