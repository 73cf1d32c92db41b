"""What a person does at the queue of approvals, in a few words."""

from __future__ import annotations

from pathlib import Path

from engine.contract import approvals, audit
from engine.contract.approvals import Approval, ApprovalSummary
from engine.contract.client import EngineClient
from tests.fakes import room as example
from tests.fakes.house import done, pending


async def asked(client: EngineClient, folder: Path, **request: object) -> int:
    """A plan to erase what is in the folder, waiting for an answer."""
    erase = example.Erase.model_validate({"folder": str(folder)} | request)
    return await pending(client, example.ERASE, erase)


async def approve(client: EngineClient, number: int, **more: object) -> Approval:
    request = approvals.Approve.model_validate({"id": number} | more)
    found: Approval = await done(client, approvals.APPROVE, request)
    return found


async def deny(client: EngineClient, number: int, reason: str = "") -> Approval:
    found: Approval = await done(client, approvals.DENY, approvals.Deny(id=number, reason=reason))
    return found


async def keep(client: EngineClient, number: int, *keys: str) -> int:
    kept: approvals.Kept = await done(client, approvals.KEEP, approvals.Keep(id=number, keep=keys))
    return kept.approval_id


async def queue(client: EngineClient, state: str = "all") -> list[ApprovalSummary]:
    request = approvals.ListApprovals.model_validate({"state": state})
    found: approvals.ApprovalList = await done(client, approvals.LIST, request)
    return list(found.approvals)


async def log(client: EngineClient, operation: str) -> list[tuple[str, str]]:
    """The audit of one operation, oldest first: (phase, outcome)."""
    page: audit.AuditPage = await done(client, audit.SHOW, audit.ShowAudit(operation=operation))
    return [(row.phase, row.outcome) for row in reversed(page.entries)]
