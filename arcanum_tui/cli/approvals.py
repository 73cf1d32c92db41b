"""``arcanum approvals``: what waits for an answer, and the answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from shlex import quote

from arcanum_tui.cli.command import Command, Group, Invocation, value
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column, Tone
from arcanum_tui.state.text import plural, size, until
from engine.contract import approvals
from engine.contract.approvals import (
    Approval,
    ApprovalList,
    ApprovalProgressed,
    ApprovalState,
    Kept,
    Mark,
)
from engine.contract.base import now
from engine.contract.client import EngineClient
from engine.contract.errors import EXIT_DEGRADED, EXIT_FAILED, EXIT_OK

_GLYPH: dict[Mark, str] = {Mark.NONE: " ", Mark.OK: "✓", Mark.WARN: "!"}
_TONE: dict[Mark, Tone] = {Mark.NONE: "plain", Mark.OK: "ok", Mark.WARN: "warn"}
_CODES = {
    ApprovalState.PARTIAL: EXIT_DEGRADED,
    ApprovalState.FAILED: EXIT_FAILED,
    ApprovalState.INTERRUPTED: EXIT_FAILED,
}
_SHOWN_ITEMS = 20


def show_list(found: ApprovalList, terminal: Terminal) -> None:
    if not found.approvals:
        terminal.line("Nothing waits for an answer, and nothing was answered yet.")
        return
    terminal.table(
        ("ID", "STATE", "VERB", "SUBJECT", "WHAT", "MACHINE", ""),
        (Column(right=True), Column(), Column(), Column(), Column(grow=True), Column(), Column()),
        (
            (
                f"#{a.id}",
                a.state,
                a.verb,
                a.subject,
                a.headline,
                a.machine,
                f"expires in {until(a.expires_at, now())}"
                if a.state is ApprovalState.PENDING
                else "was taken back"
                if a.undone
                else "can be undone"
                if a.undoable
                else a.reason,
            )
            for a in found.approvals
        ),
    )


def show_approval(found: Approval, terminal: Terminal) -> None:
    """The card, as the screen shows it: the same rows in the same order."""
    card = found.card
    _show_title(found, terminal)
    width = max((len(row.label) for row in card.rows), default=0)
    for row in card.rows:
        terminal.line(f"  {row.label.ljust(width)} {_GLYPH[row.mark]} {row.text}", _TONE[row.mark])
    for item in card.items[:_SHOWN_ITEMS]:
        note = f"  ({item.note})" if item.note else ""
        terminal.line(f"    {item.key}  {size(item.size):>8}  {item.text}{note}")
    if len(card.items) > _SHOWN_ITEMS:
        more = plural(len(card.items) - _SHOWN_ITEMS, "more item")
        terminal.line(f"    … {more}: arcanum approvals show {found.id} --json", "muted")
    if found.outcome is not None:
        _show_outcome(found, terminal)
    elif found.state is ApprovalState.PENDING:
        _show_answers(found, terminal)


def show_answered(found: Approval, terminal: Terminal) -> None:
    """What became of it; the card was read before."""
    _show_title(found, terminal)
    if found.reason:
        terminal.line(f"  {found.reason}")
    if found.outcome is not None:
        _show_outcome(found, terminal)


def _show_title(found: Approval, terminal: Terminal) -> None:
    card = found.card
    left = f" · expires in {until(found.expires_at, now())}"
    state = found.state + (left if found.state is ApprovalState.PENDING else "")
    terminal.line(
        f"#{found.id} {card.verb.upper()} · {found.machine} · {card.subject} · {state}", "title"
    )


def _show_outcome(found: Approval, terminal: Terminal) -> None:
    outcome = found.outcome
    assert outcome is not None
    tone: Tone = "ok" if outcome.state is ApprovalState.DONE else "warn"
    summary = outcome.summary or f"{outcome.done} of {outcome.total}"
    terminal.line(f"  {outcome.state.upper()}: {summary}", tone)
    for problem in outcome.problems:
        terminal.line(f"  ! {problem}", "warn")
    if outcome.undo is not None and not found.undone:
        words = outcome.undo.operation.replace(".", " ")
        values = " ".join(quote(str(value)) for value in outcome.undo.request.values())
        terminal.line(f"  undo: arcanum {words} {values}", "muted")


def _show_answers(found: Approval, terminal: Terminal) -> None:
    count = found.card.confirm_count
    counted = "" if count is None else f" --count {count}"
    terminal.line(f"  yes   arcanum approvals approve {found.id}{counted}", "muted")
    terminal.line(f"  no    arcanum approvals deny {found.id} --reason WHY", "muted")
    if found.card.keepable:
        terminal.line(f"  some  arcanum approvals keep {found.id} KEY ...", "muted")


def show_kept(found: Kept, terminal: Terminal) -> None:
    terminal.line(f"#{found.approval_id} replaces it: arcanum approvals show {found.approval_id}.")


def verdict(found: Approval) -> int:
    """Approved is not enough: what was approved must have been done."""
    return _CODES.get(found.state, EXIT_OK)


async def approve(run: Invocation) -> int:
    """Says yes, and follows the execution on a terminal."""
    request = run.request()
    async with run.client() as client:
        watch = asyncio.create_task(_progress(run, client, request.id))
        try:
            answered = value(await client.call(approvals.APPROVE, request))
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        return run.tell(answered)


async def _progress(run: Invocation, client: EngineClient, approval_id: int) -> None:
    async with client.events() as events:
        async for event in events:
            if isinstance(event, ApprovalProgressed) and event.id == approval_id:
                run.terminal.progress(f"#{event.id}  {event.done} of {event.total}  {event.note}")


GROUP = Group(
    "approvals",
    (
        Command(
            "list",
            approvals.LIST,
            show_list,
            examples=("arcanum approvals list", "arcanum approvals list --state open --json"),
        ),
        Command(
            "show",
            approvals.SHOW,
            show_approval,
            examples=("arcanum approvals show 41",),
        ),
        Command(
            "approve",
            approvals.APPROVE,
            show_answered,
            run=approve,
            verdict=verdict,
            examples=("arcanum approvals approve 41", "arcanum approvals approve 42 --count 14"),
        ),
        Command(
            "deny",
            approvals.DENY,
            show_answered,
            examples=('arcanum approvals deny 41 --reason "not the films"',),
        ),
        Command(
            "keep",
            approvals.KEEP,
            show_kept,
            examples=("arcanum approvals keep 41 7 12",),
        ),
    ),
)
