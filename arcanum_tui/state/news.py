"""What happened, in a line: a durable event as glyph, subject and words. Pure; events are read by
their names, so that no contract module is imported for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from arcanum_tui.state.frame import APPROVAL_STATES, JOB_STATES
from arcanum_tui.state.grid import Tone
from arcanum_tui.state.text import number, plural, size, span

RECALL: dict[str, tuple[str, Tone, str]] = {
    "imported": ("+", "info", "imported"),
    "archived": ("✓", "ok", "put into an archive, and still found"),
    "forgotten": ("✓", "ok", "forgotten for good"),
    "replaced": ("↻", "info", "replaced by newer ones"),
}
"""The changes to memories that are news. The others come with every question, or by a key."""


class News(NamedTuple):
    """``link`` names where it leads."""

    glyph: str
    tone: Tone
    subject: str
    text: str
    link: str = ""


def verb(operation: str) -> str:
    """``media.scan`` → ``scan``."""
    return operation.rpartition(".")[2]


def news(event: Any) -> News | None:
    """The line for an event; None where it is no news by itself."""
    room = event.kind.partition(".")[0]
    tell = {
        "media": _media,
        "quota": _quota,
        "approvals": _approval,
        "jobs": _job,
        "recall": _recall,
    }.get(room)
    return tell(event) if tell else News("•", "muted", event.kind, "")


def _media(event: Any) -> News:
    match event.kind:
        case "media.library_scanned":
            return _scan(event.result)
        case "media.library_added":
            return News(
                "+", "info", event.library, "is watched from now on", f"media/{event.library}"
            )
        case "media.library_removed":
            return News("−", "muted", event.library, "is no longer watched", "media")
        case "media.drift_found":
            text = f"{plural(event.files, 'change')} that no event told of"
            return News("!", "warn", event.library, text, f"media/{event.library}")
    return News("•", "muted", event.kind, "", "media")


def _scan(result: Any) -> News:
    changes = [
        f"{sign}{number(count)}{word}"
        for count, sign, word in (
            (result.added, "+", ""),
            (result.removed, "−", ""),
            (result.changed, "~", ""),
            (result.moved, "", " moved"),
            (result.unreadable, "", " unreadable"),
        )
        if count
    ]
    text = f"scanned: {', '.join(changes) or 'nothing changed'}"
    if result.hashed:
        text += f" · {size(result.hashed_bytes)} hashed in {span(result.seconds)}"
    glyph, tone = ("!", "warn") if result.unreadable else ("✓", "ok")
    return News(glyph, tone, result.library, text, f"media/{result.library}")  # type: ignore[arg-type]


def _quota(event: Any) -> News:
    match event.kind:
        case "quota.limit_set":
            text = "no limit" if event.limit is None else f"limit {size(event.limit)}"
            return News("•", "info", event.library, text, f"media/{event.library}")
        case "quota.pruned":
            text = f"{plural(event.files, 'file')}, {size(event.bytes)}, moved to the trash"
            return News("✓", "ok", event.library, text, "approvals")
        case "quota.undone":
            text = f"{plural(event.files, 'file')} brought back"
            return News("↶", "info", event.library, text, "approvals")
        case "quota.purged":
            text = f"{plural(event.files, 'file')} purged, {size(event.bytes)} freed"
            return News("✓", "ok", event.library, text, "approvals")
    return News("•", "muted", event.kind, "", "media")


def _approval(event: Any) -> News | None:
    """How it ended, where no other event tells of that."""
    summary = event.summary
    if summary.state not in {"denied", "expired", "partial", "failed", "interrupted"}:
        return None
    word, tone = APPROVAL_STATES[summary.state]
    reason = f": {summary.reason}" if summary.reason else ""
    text = f"#{summary.id} {summary.verb} {word[2:]}{reason}"
    return News(word[0], tone, summary.subject, text, f"approvals/{summary.id}")


def _job(event: Any) -> News | None:
    """How it ended, where it did not end well."""
    job = event.job
    if job.state not in {"failed", "cancelled", "interrupted"}:
        return None
    word, tone = JOB_STATES[job.state]
    why = f": {job.error.message}" if job.error else ""
    return News(word[0], tone, job.subject, f"{verb(job.operation)} {word[2:]}{why}")


def _recall(event: Any) -> News | None:
    """What became of memories; a change of one by hand is no news to whoever made it."""
    if event.kind != "recall.memory_changed" or event.change not in RECALL:
        return None
    glyph, tone, what = RECALL[event.change]
    where = event.namespace
    text = f"{plural(event.count, 'memory', 'memories')} {what}"
    return News(glyph, tone, where or "memory", text, f"memory/{where}" if where else "memory")
