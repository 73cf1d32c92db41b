"""Quota: limits, plans that would meet them, the trash, and undo."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ByteSize, Field

from engine.contract.approvals import TakenBack
from engine.contract.assets import LibraryName
from engine.contract.base import Empty, Name, PathRef, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.operation import Limits, Operation, Risk


class SetLimit(Wire):
    """``max_bytes`` 0 removes the limit. Accepts 20MB (10^6) and 20MiB (2^20)."""

    library: Annotated[Name, Field(description="the library's name")]
    max_bytes: Annotated[
        ByteSize, Field(ge=0, description="the limit, such as 20MB or 1.5TiB; 0 for none")
    ]


class Gauge(Wire):
    """One library against its limit. All sizes in bytes.

    ``used`` is the sum of its files' sizes, each hardlinked file once; ``in_trash`` waits for a
    purge and is not in ``used``. ``over`` is what exceeds the limit; ``state`` unknown means that
    the library was never scanned or cannot be read.
    """

    library: str
    machine: str
    used: int
    limit: int | None
    over: int
    in_trash: int
    state: Literal["ok", "over", "none", "unknown"]
    note: str = ""


class GaugeList(Wire):
    gauges: tuple[Gauge, ...]


class CheckResult(Wire):
    """``ok`` is False while a library is over its limit or cannot be judged."""

    ok: bool
    gauges: tuple[Gauge, ...]


class PlanItem(Wire):
    """One file that a prune would move. ``frees`` is what its purge would give back: 0 while
    another name of the same file stays outside the plan. ``copied``: whether another catalogued
    file has its bytes, and stays; None: it is not hashed, so that is not known."""

    key: str
    path: PathRef
    size: int
    frees: int
    modified_at: datetime
    reason: str
    copied: bool | None = None


class OtherCopies(Wire):
    """Of how many files that go another copy is known in the catalogue, of how many none, and how
    many are not hashed, so that it is not known. Hard links are no copies, nor is what goes too,
    is damaged, or cannot be reached. ``text``: the same in words."""

    known: int
    none: int
    unhashed: int
    text: str


class Staying(Wire):
    """One file that a prune leaves where it is, though its turn would have come, and why."""

    path: PathRef
    size: int
    reason: str


class Plan(Wire):
    """What a prune would do. ``target``: bytes to take out of the library to meet the limit.

    ``frees_now`` is always 0 on the same file system; ``frees_on_purge`` leaves out what other
    hardlinks still hold. ``state``: open, executing, done, undone, purged, or superseded.
    ``shortfall``: bytes of the target that no file could cover, or that are left to a next plan.
    ``stay``: the oldest of ``stay_files``, at most 100, that are as old as those that would go.
    ``unknown``: what is not known of torrent clients, and so might be held.
    ``copies``: what else has the bytes of ``items``.
    """

    id: str
    library: str
    machine: str
    digest: str
    state: Literal["open", "executing", "done", "partial", "undone", "purged", "superseded"]
    created_at: datetime
    used: int
    limit: int
    target: int
    moves: int
    shortfall: int
    frees_now: int
    frees_on_purge: int
    items: tuple[PlanItem, ...]
    stay: tuple[Staying, ...] = ()
    stay_files: int = 0
    stay_bytes: int = 0
    unknown: tuple[str, ...] = ()
    copies: OtherCopies | None = None


class Prune(Wire):
    """``plan_id``: exactly the items of that plan, less ``keep``; without it a fresh plan."""

    library: Annotated[Name, Field(description="the library's name")]
    plan_id: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="prune exactly what this plan lists; by default a fresh plan"
    )
    keep: Annotated[
        tuple[str, ...], Field(max_length=100_000, description="keys of items to leave out")
    ] = ()


class TrashItem(Wire):
    path: PathRef
    library: str
    size: int
    frees: int
    trashed_at: datetime


class TrashedPlan(Wire):
    """``items`` are the first of them, where very many wait; the numbers are of all."""

    plan_id: str
    library: str
    files: int
    bytes: int
    frees_on_purge: int
    trashed_at: datetime
    items: tuple[TrashItem, ...]


class Trash(Wire):
    """What waits in the trash: not free yet."""

    files: int
    bytes: int
    frees_on_purge: int
    plans: tuple[TrashedPlan, ...]


class PlanId(Wire):
    plan_id: Annotated[str, Field(min_length=1, max_length=32, description="the plan's id")]


class UndoResult(TakenBack):
    """``conflicts``: not restored, because something else has that name now; still in the trash."""

    plan_id: str
    restored: int
    bytes: int
    conflicts: tuple[PathRef, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.conflicts


class LimitSet(Event):
    kind: Literal["quota.limit_set"] = "quota.limit_set"
    library: str
    limit: int | None


class Planned(Event):
    kind: Literal["quota.planned"] = "quota.planned"
    library: str
    plan_id: str


class Pruned(Event):
    kind: Literal["quota.pruned"] = "quota.pruned"
    library: str
    plan_id: str
    files: int
    bytes: int


class Undone(Event):
    kind: Literal["quota.undone"] = "quota.undone"
    library: str
    plan_id: str
    files: int
    bytes: int


class Purged(Event):
    kind: Literal["quota.purged"] = "quota.purged"
    library: str
    plan_id: str
    files: int
    bytes: int


SHOW = Operation("quota.show", "The limits and gauges", Empty, GaugeList)
SET = Operation(
    "quota.set",
    "Set a library's limit (0: none)",
    SetLimit,
    Gauge,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("library", "max_bytes"),
    positional=("library",),
)
CHECK = Operation("quota.check", "Is every library within its limit?", Empty, CheckResult)
PLAN = Operation(
    "quota.plan",
    "What a prune would move, oldest first",
    LibraryName,
    Plan,
    risk=Risk.WRITE,
    limits=Limits(timeout_s=120),
    audit=("library",),
    positional=("library",),
)
PRUNE = Operation(
    "quota.prune",
    "Move a plan's files to the trash, after your approval",
    Prune,
    Empty,
    risk=Risk.HIGH,
    limits=Limits(max_bytes=16 * 1024 * 1024, timeout_s=120),
    audit=("library", "plan_id"),
    positional=("library",),
)
TRASH = Operation("quota.trash", "What waits in the trash", Empty, Trash)
UNDO = Operation(
    "quota.undo",
    "Bring a pruned plan's files back; never overwrites",
    PlanId,
    UndoResult,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=None),
    audit=("plan_id",),
    positional=("plan_id",),
)
PURGE = Operation(
    "quota.purge",
    "Delete a pruned plan's files for good, after your approval",
    PlanId,
    Empty,
    risk=Risk.HIGH,
    limits=Limits(timeout_s=120),
    audit=("plan_id",),
    positional=("plan_id",),
)
