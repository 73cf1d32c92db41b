"""The audit log: who did what, hash-chained. It holds ids, digests, counts and decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.base import Json, Wire
from engine.contract.operation import Limits, Operation


class AuditEntry(Wire):
    """One row. ``phase``: intent (before), outcome (after). ``hash`` covers it and ``previous``."""

    seq: int
    at: datetime
    machine: str
    call: str
    parent: str | None
    actor: str
    on_behalf_of: str | None
    operation: str
    phase: Literal["intent", "outcome"]
    outcome: str
    details: Json
    previous: str
    hash: str


class ShowAudit(Wire):
    limit: Annotated[int, Field(ge=1, le=5000, description="at most so many rows")] = 100
    operation: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="only this operation, such as quota.prune"
    )


class AuditPage(Wire):
    """Newest first."""

    entries: tuple[AuditEntry, ...]


class VerifyAudit(Wire):
    """``head``: a head kept elsewhere (``SEQ:HASH``); its row must still be there and equal."""

    head: Annotated[str, Field(pattern=r"^\d+:[0-9a-f]{64}$")] | None = Field(
        None, description="a head kept elsewhere, SEQ:HASH, that must still be in the log"
    )


class AuditVerdict(Wire):
    """``bad_seq``: the first row that does not fit; ``problem``: how. ``head`` is SEQ:HASH."""

    ok: bool
    entries: int
    head: str
    bad_seq: int | None = None
    problem: str = ""


SHOW = Operation("audit.show", "Who did what", ShowAudit, AuditPage)
VERIFY = Operation(
    "audit.verify",
    "Is the audit log whole?",
    VerifyAudit,
    AuditVerdict,
    limits=Limits(timeout_s=None),  # Of a log of years, too.
)
