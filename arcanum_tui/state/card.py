"""The queue and the approval card as rows: the same rows in the same places for every act. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len

from arcanum_tui.state.frame import APPROVAL_STATES, UNKNOWN_STATE
from arcanum_tui.state.grid import NOTHING, Column, Piece, Row, Tone, fit, muted, wrap
from arcanum_tui.state.text import (
    ago,
    bar,
    clean,
    clock,
    day,
    moment,
    number,
    percent,
    plural,
    size,
    until,
)

if TYPE_CHECKING:
    from engine.contract.approvals import (
        Approval,
        ApprovalProgressed,
        ApprovalSummary,
        CardItem,
        Undo,
    )

QUEUE = (
    Column(), Column(), Column(most=10), Column(most=24), Column(grow=True, least=16),
    Column(right=True, rank=2), Column(rank=1),
)  # fmt: skip
ITEMS = (Column(right=True), Column(right=True), Column(grow=True), Column(most=44, rank=1))

LABEL = 7


def queue_row(summary: ApprovalSummary, now: datetime) -> Row:
    """One approval as a line of the queue."""
    word, tone = APPROVAL_STATES.get(summary.state, UNKNOWN_STATE)
    if summary.undone:
        end = "↶ was taken back"
    elif summary.state == "pending":
        end = f"expires {until(summary.expires_at, now)}"
    elif summary.undoable:
        end = f"undo {day(summary.undo_until)}" if summary.undo_until else "undo"
    else:
        end = summary.reason
    quiet: Tone = "plain" if summary.state in {"pending", "executing", "approved"} else "muted"
    return Row(
        (
            Piece(f"#{summary.id}", "key"), Piece(word, tone), Piece(summary.verb, quiet),
            Piece(summary.subject, quiet), Piece(summary.headline, quiet),
            Piece(ago(summary.created_at, now), "muted"), Piece(end, "muted"),
        ),
        str(summary.id),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CardFace:
    """A card, drawn. ``substance`` changes when what it says changes, not when a clock moves."""

    lines: tuple[tuple[Piece, ...], ...]
    substance: tuple[object, ...] = ()


def face(
    approval: Approval,
    width: int,
    now: datetime,
    *,
    progress: ApprovalProgressed | None = None,
    preview: bool = False,
) -> CardFace:
    """The card in a box of ``width`` cells.

    A ``preview`` offers no answers: it says where they are given.
    """
    card = approval.card
    word, tone = APPROVAL_STATES.get(approval.state, UNKNOWN_STATE)
    title = f"#{approval.id} {card.verb.upper()} · {approval.machine} · {card.subject}"
    waits = approval.state == "pending"
    end = f"expires {until(approval.expires_at, now)}" if waits else word
    lines = [_top(title, end, "muted" if waits else tone, width)]
    for row in card.rows:
        glyph = {"ok": "✓ ", "warn": "! "}.get(row.mark, "")
        row_tone: Tone = {"ok": "ok", "warn": "warn"}.get(row.mark, "plain")  # type: ignore[assignment]
        lines += _labelled(row.label, glyph + row.text, row_tone, width)
    lines += _ending(approval, now, progress, width)
    keys = [Piece("a", "key"), Piece(" to answer", "muted")] if preview else _keys(approval, now)
    lines.append(_inside(keys, width))
    lines.append((Piece("└" + "─" * (width - 2) + "┘", "rule"),))
    return CardFace(tuple(lines), (approval.id, approval.digest, approval.state, card))


def _top(title: str, end: str, tone: Tone, width: int) -> tuple[Piece, ...]:
    room = width - cell_len(end) - 7
    title = clean(title)
    title = fit(title, room) if cell_len(title) > room else title
    rule = "─" * max(0, room - cell_len(title) + 1)
    return (
        Piece("┌ ", "rule"), Piece(title, "strong"), Piece(f" {rule} ", "rule"),
        Piece(end, tone), Piece(" ┐", "rule"),
    )  # fmt: skip


def _inside(pieces: list[Piece], width: int) -> tuple[Piece, ...]:
    used = sum(cell_len(clean(p.text)) for p in pieces)
    gap = Piece(" " * max(0, width - 4 - used))
    return (Piece("│ ", "rule"), *pieces, gap, Piece(" │", "rule"))


def _labelled(label: str, text: str, tone: Tone, width: int) -> list[tuple[Piece, ...]]:
    lines = []
    for index, part in enumerate(wrap(text, max(8, width - 4 - LABEL - 1))):
        name = fit(label if index == 0 else "", LABEL)
        lines.append(_inside([Piece(f"{name} ", "title"), Piece(part, tone)], width))
    return lines


def _ending(
    approval: Approval, now: datetime, progress: ApprovalProgressed | None, width: int
) -> list[tuple[Piece, ...]]:
    """How it goes, or how it ended."""
    lines: list[tuple[Piece, ...]] = []
    if approval.state in {"approved", "executing"}:
        done, total = (progress.done, progress.total) if progress else (0, len(approval.card.items))
        share = done / total if total else 0.0
        text = f"{bar(share, 20)} {percent(done, total):.0f} % · {number(done)} of {number(total)}"
        lines += _labelled("RUNS", text, "info", width)
    outcome = approval.outcome
    if outcome is not None:
        word, tone = APPROVAL_STATES.get(outcome.state, UNKNOWN_STATE)
        text = f"{word}: {outcome.summary}" if outcome.summary else word
        lines += _labelled("ENDED", text, tone, width)
        for problem in outcome.problems[:3]:
            lines += _labelled("", f"! {problem}", "warn", width)
        if len(outcome.problems) > 3:
            lines += _labelled("", f"… {len(outcome.problems) - 3} more: w", "muted", width)
    elif approval.answered_at is not None and approval.state not in {"approved", "executing"}:
        by = f" by {approval.answered_by}" if approval.answered_by else ""
        reason = f": {approval.reason}" if approval.reason else ""
        text = f"{approval.state}{by} {moment(approval.answered_at, now)}{reason}"
        lines += _labelled("ENDED", text, "muted", width)
    if approval.undone:
        lines += _labelled("", "↶ was taken back", "info", width)
    return lines


def undo_of(approval: Approval, now: datetime) -> Undo | None:
    """How to take it back, where that can still be done."""
    undo = approval.outcome.undo if approval.outcome and not approval.undone else None
    return undo if undo and (undo.until is None or undo.until > now) else None


def _keys(approval: Approval, now: datetime) -> list[Piece]:
    card = approval.card
    count = len(card.items)
    offers: list[tuple[str, str]] = []
    if approval.state == "pending":
        if card.confirm_count is None:
            offers.append(("y", "do"))
        else:
            offers.append(("y", f"then type {card.confirm_count}"))
        offers.append(("n", "deny"))
    if undo := undo_of(approval, now):
        end = f" until {day(undo.until)} {clock(undo.until)}" if undo.until else ""
        offers.append(("u", f"undo{end}"))
    if count:
        offers.append(("Enter", f"all {number(count)}"))
    if approval.state == "pending" and card.keepable:
        offers.append(("k", "keep some"))
    offers.append(("w", "why"))
    return [p for key, text in offers for p in (Piece(key, "key"), Piece(f" {text}   ", "muted"))]


def item_row(index: int, item: CardItem) -> Row:
    """One thing that would be touched."""
    return Row(
        (
            Piece(number(index + 1), "muted"), Piece(size(item.size) if item.size else ""),
            Piece(item.text), Piece(item.note, "muted"),
        ),
        item.key,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Items:
    """All items of a card as rows, each made when it is looked at."""

    items: tuple[CardItem, ...]

    def __len__(self) -> int:
        return len(self.items)

    def row(self, index: int) -> Row:
        return item_row(index, self.items[index])


def items_title(approval: Approval) -> str:
    """What the list of all items is called."""
    card = approval.card
    total = sum(item.size for item in card.items)
    what = f"{plural(len(card.items), 'item')}{f', {size(total)}' if total else ''}"
    return f"#{approval.id} {card.verb.upper()} · {card.subject} · {what}"


def why(approval: Approval, now: datetime) -> list[tuple[Piece, ...]]:
    """Everything about the record that the card leaves out."""
    facts: list[tuple[str, str]] = [
        (
            "Asked by",
            f"{approval.requested_by}, {moment(approval.created_at, now)} on {approval.machine}",
        ),
        ("Operation", approval.operation),
        ("Plan", f"digest {approval.digest}"),
        ("Expires", f"{moment(approval.expires_at, now)}, in {until(approval.expires_at, now)}"),
    ]
    facts += [
        (row.label, row.text) for row in approval.card.rows if row.label in {"WHY", "SAFE", "RISK"}
    ]
    if approval.answered_at is not None:
        facts.append(
            ("Answered", f"{approval.answered_by or '?'}, {moment(approval.answered_at, now)}")
        )
    if approval.reason:
        facts.append(("Reason", approval.reason))
    lines: list[tuple[Piece, ...]] = [
        (Piece(f"{name:<10} ", "title"), Piece(text)) for name, text in facts
    ]
    problems = approval.outcome.problems if approval.outcome else ()
    lines += [
        (Piece(f"{'Problem' if i == 0 else '':<10} ", "title"), Piece(f"! {p}", "warn"))
        for i, p in enumerate(problems)
    ]
    note = "Yes runs exactly this plan, once: if the world moved, it refuses or skips, and says so."
    lines += [(NOTHING, NOTHING), (NOTHING, muted(note))]
    return lines
