"""The overview's blocks as rows. Pure; events and results are read by their names, so that
nothing heavy is imported before the first paint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from arcanum_tui.state.frame import APPROVAL_STATES, JOB_STATES, UNKNOWN_STATE
from arcanum_tui.state.grid import Column, Piece, Row, Tone
from arcanum_tui.state.model import State
from arcanum_tui.state.text import (
    ago,
    bar,
    clock,
    day,
    moment,
    number,
    percent,
    plural,
    size,
    span,
    spark,
    until,
)

if TYPE_CHECKING:
    from engine.contract.jobs import Job
    from engine.contract.quota import Gauge
    from engine.contract.telemetry import Gauges


@dataclass(frozen=True, slots=True)
class Block:
    """One panel: its rows, what stands beside the title, and what stands there without rows."""

    rows: tuple[Row, ...] = ()
    note: tuple[Piece, ...] = ()
    empty: tuple[Piece, ...] = ()


NEEDS = (
    Column(), Column(most=10), Column(most=24), Column(grow=True, least=20), Column(most=12, rank=3),
    Column(right=True, rank=2), Column(rank=1),
)  # fmt: skip
BROKEN = (
    Column(),
    Column(most=20),
    Column(grow=True, least=20),
    Column(most=12, rank=2),
    Column(right=True, rank=1),
)
SINCE = (Column(), Column(), Column(most=18), Column(grow=True, least=10))
STORAGE = (Column(most=16), Column(rank=1), Column(right=True), Column(), Column(grow=True, rank=2))
JOBS = (
    Column(),
    Column(most=18),
    Column(),
    Column(right=True),
    Column(rank=2),
    Column(rank=1),
    Column(grow=True, rank=3),
)
MACHINES = (
    Column(most=16),
    Column(),
    Column(),
    Column(),
    Column(rank=1),
    Column(rank=2),
    Column(rank=3),
    Column(grow=True, rank=4),
)


def waiting(state: State, *, good: str) -> tuple[Piece, ...]:
    """What an empty block says: that all is well only where that is known."""
    if state.known:
        return (Piece(good, "muted"),)
    if state.link.state == "lost":
        return (Piece("? not known: no engine answers", "unknown"),)
    return (Piece("○ connecting …", "muted"),)


def failed(state: State, topic: str) -> tuple[Piece, ...]:
    """Why a topic could not be read, for the panel that shows it."""
    failure = state.failures.get(topic)
    if failure is None:
        return ()
    return (Piece(f"✗ {failure.title}: {failure.message} {failure.hint}".rstrip(), "bad"),)


def needs_you(state: State, now: datetime) -> Block:
    """Approvals that wait, then whatever else waits for a person."""
    rows = [
        Row(
            (
                Piece(f"#{a.id}", "key"), Piece(a.verb, "strong"), Piece(a.subject), Piece(a.headline),
                Piece(a.machine, "muted"), Piece(ago(a.created_at, now), "muted"),
                Piece(f"expires {until(a.expires_at, now)}", "muted"),
            ),
            f"a{a.id}", f"approvals/{a.id}",
        )
        for a in state.pending
    ]  # fmt: skip
    rows += [
        Row(
            (
                Piece("▲", "warn"), Piece("look", "strong"), Piece(c.subject), Piece(c.text),
                Piece(c.machine, "muted"), Piece(ago(c.since, now) if c.since else "", "muted"), Piece(""),
            ),
            f"c{c.subject}", c.link,
        )
        for c in (state.status.concerns if state.status else ())
        if c.severity == "needs_you" and not c.link.startswith("approvals")
    ]  # fmt: skip
    trouble = failed(state, "approvals.list")
    return Block(
        tuple(rows),
        _count(rows, trouble, "warn"),
        trouble or waiting(state, good="✓ nothing waits for you"),
    )


def broken(state: State, now: datetime) -> Block:
    """What does not work, and what nobody knows."""
    rows = []
    if state.link.state == "lost":
        age = ago(state.link.since, now) if state.link.since else ""
        rows.append(
            Row(
                (
                    Piece("✗ LOST", "bad"),
                    Piece("engine"),
                    Piece(state.link.why),
                    Piece(""),
                    Piece(age, "muted"),
                ),
                "link",
            )
        )
    for concern in state.status.concerns if state.status else ():
        if concern.severity == "needs_you":
            continue
        word, tone = (
            ("✗ BROKEN", "bad") if concern.severity == "broken" else ("? UNKNOWN", "unknown")
        )
        cells: tuple[Piece, ...] = (
            Piece(word, tone),  # type: ignore[arg-type]
            Piece(concern.subject), Piece(concern.text), Piece(concern.machine, "muted"),
            Piece(ago(concern.since, now) if concern.since else "", "muted"),
        )  # fmt: skip
        rows.append(Row(cells, f"{concern.severity}{concern.subject}", concern.link))
    trouble = failed(state, "engine.status")
    return Block(
        tuple(rows),
        _count(rows, trouble, "bad"),
        trouble or waiting(state, good="✓ all that is checked works"),
    )


def _count(rows: Sequence[Row], trouble: tuple[Piece, ...], tone: Tone) -> tuple[Piece, ...]:
    return trouble or ((Piece(str(len(rows)), tone),) if rows else ())


def since(state: State, looked: datetime | None, now: datetime) -> Block:
    """What happened, newest first; what is new since ``looked`` has a dot."""
    rows = []
    for event in state.recent:
        told = news(event)
        if told is None:
            continue
        glyph, tone, subject, text, link = told
        fresh = looked is not None and event.at > looked
        rows.append(
            Row(
                (
                    Piece(moment(event.at, now), "strong" if fresh else "muted"), Piece(glyph, tone),
                    Piece(subject), Piece(text, "plain" if fresh or looked is None else "muted"),
                ),
                f"e{event.seq}", link,
            )
        )  # fmt: skip
    note = (Piece(moment(looked, now), "muted"),) if looked else ()
    return Block(tuple(rows), note, waiting(state, good="nothing happened yet"))


def news(event: Any) -> tuple[str, Tone, str, str, str] | None:  # noqa: PLR0911 - one line a kind
    """A durable event as glyph, tone, subject, text and link; None where it is no news."""
    match event.kind:
        case "media.library_scanned":
            r = event.result
            changes = [
                f"{sign}{number(count)}{word}"
                for count, sign, word in (
                    (r.added, "+", ""), (r.removed, "−", ""), (r.changed, "~", ""),
                    (r.moved, "", " moved"), (r.unreadable, "", " unreadable"),
                )
                if count
            ]  # fmt: skip
            what = ", ".join(changes) or "nothing changed"
            tone: Tone = "warn" if r.unreadable else "ok"
            hashed = f" · {size(r.hashed_bytes)} hashed in {span(r.seconds)}" if r.hashed else ""
            return (
                ("!" if r.unreadable else "✓"),
                tone,
                r.library,
                f"scanned: {what}{hashed}",
                f"media/{r.library}",
            )
        case "media.library_added":
            return "+", "info", event.library, "is watched from now on", f"media/{event.library}"
        case "media.library_removed":
            return "−", "muted", event.library, "is no longer watched", "media"
        case "media.drift_found":
            return (
                "!",
                "warn",
                event.library,
                f"{plural(event.files, 'change')} that no event told of",
                f"media/{event.library}",
            )
        case "quota.limit_set":
            limit = "no limit" if event.limit is None else f"limit {size(event.limit)}"
            return "•", "info", event.library, limit, f"media/{event.library}"
        case "quota.pruned":
            text = f"{plural(event.files, 'file')}, {size(event.bytes)}, moved to the trash"
            return "✓", "ok", event.library, text, "approvals"
        case "quota.undone":
            return (
                "↶",
                "info",
                event.library,
                f"{plural(event.files, 'file')} brought back",
                "approvals",
            )
        case "quota.purged":
            text = f"{plural(event.files, 'file')} purged, {size(event.bytes)} freed"
            return "✓", "ok", event.library, text, "approvals"
        case "approvals.changed" if event.summary.state in {
            "denied",
            "expired",
            "partial",
            "failed",
            "interrupted",
        }:
            s = event.summary
            word, tone = APPROVAL_STATES[s.state]
            reason = f": {s.reason}" if s.reason else ""
            return (
                word[0],
                tone,
                s.subject,
                f"#{s.id} {s.verb} {word[2:]}{reason}",
                f"approvals/{s.id}",
            )
        case "jobs.changed" if event.job.state in {"failed", "cancelled", "interrupted"}:
            word, tone = JOB_STATES[event.job.state]
            why = f": {event.job.error.message}" if event.job.error else ""
            return (
                word[0],
                tone,
                event.job.subject,
                f"{verb(event.job.operation)} {word[2:]}{why}",
                "",
            )
        case "approvals.requested" | "approvals.changed" | "jobs.changed":
            return None
    return "•", "muted", event.kind, "", ""


def storage(state: State) -> Block:
    """Each library against its limit."""
    trouble = failed(state, "quota.show")
    rows = tuple(_gauge(g) for g in state.gauges)
    good = "no library yet: m, then n, watches a folder" if not state.libraries else "no limits yet"
    return Block(rows, trouble, trouble or waiting(state, good=good))


def _gauge(gauge: Gauge) -> Row:
    words: dict[str, tuple[str, Tone]] = {
        "ok": ("✓ ok", "ok"),
        "over": (f"! {size(gauge.over)} over", "warn"),
        "none": ("– no limit", "muted"),
        "unknown": UNKNOWN_STATE,
    }
    word, tone = words[gauge.state]
    share = gauge.used / gauge.limit if gauge.limit else 0.0
    blocks = bar(min(1.0, share), 14) if gauge.limit else "·" * 14
    figure = f"{percent(gauge.used, gauge.limit):.0f} %" if gauge.limit else size(gauge.used)
    extra = f"{size(gauge.used)} of {size(gauge.limit)}" if gauge.limit else ""
    if gauge.in_trash:
        extra += f"{' · ' if extra else ''}{size(gauge.in_trash)} in the trash, not free yet"
    if gauge.note:
        extra += f"{' · ' if extra else ''}{gauge.note}"
    return Row(
        (Piece(gauge.library), Piece(blocks, tone), Piece(figure), Piece(word, tone), Piece(extra, "muted")),
        gauge.library, f"media/{gauge.library}",
    )  # fmt: skip


def work(state: State, now: datetime) -> Block:
    """Jobs: those that run, then the last few that ended; and approvals that execute."""
    rows = [
        Row(
            (
                Piece(f"{a.verb} #{a.id}"), Piece(a.subject), Piece("● running", "info"),
                Piece(_share(p.done, p.total) if p else ""), Piece(""), Piece(p.note if p else "", "muted"), Piece(""),
            ),
            f"a{a.id}", f"approvals/{a.id}",
        )
        for a in state.executing
        for p in (state.progress.get(a.id),)
    ]  # fmt: skip
    rows += [_job(job, now) for job in state.jobs[:20]]
    trouble = failed(state, "jobs.list")
    running = len(state.running) + len(state.executing)
    note = trouble or ((Piece(plural(running, "running", "running"), "info"),) if running else ())
    return Block(tuple(rows), note, trouble or waiting(state, good="nothing runs"))


def _job(job: Job, now: datetime) -> Row:
    word, tone = JOB_STATES.get(job.state, UNKNOWN_STATE)
    p = job.progress
    running = job.ended_at is None
    rate = f"{number(round(p.rate))} {p.unit}/s" if running and p.rate and p.unit != "bytes" else ""
    if running and p.rate and p.unit == "bytes":
        rate = f"{size(p.rate)}/s"
    left = f"ETA {span(p.eta_s)}" if running and p.eta_s is not None else ""
    if job.ended_at is not None:
        left = f"{ago(job.ended_at, now)} ago"
    note = job.error.message if job.error else p.note
    return Row(
        (
            Piece(verb(job.operation)), Piece(job.subject), Piece(word, tone),
            Piece(_share(p.done, p.total) if running else ""), Piece(rate, "muted"), Piece(left, "muted"), Piece(note, "muted"),
        ),
        f"j{job.id}",
    )  # fmt: skip


def verb(operation: str) -> str:
    """``media.scan`` → ``scan``."""
    return operation.rpartition(".")[2]


def _share(done: int, total: int | None) -> str:
    return f"{percent(done, total):.0f} %" if total else number(done)


def machines(samples: Sequence[Gauges], now: datetime, trouble: str = "") -> Block:
    """The gauges as text cells: the last samples of one machine, oldest first."""
    if not samples:
        return Block(
            empty=(
                Piece(
                    f"? {trouble}" if trouble else "○ no sample yet",
                    "unknown" if trouble else "muted",
                ),
            )
        )
    g = samples[-1]
    age = (now - g.at).total_seconds()
    memory = (
        f"{percent(g.memory_used, g.memory_total):.0f} %"
        if g.memory_used is not None and g.memory_total
        else "?"
    )
    cpu = "?" if g.cpu is None else f"{g.cpu:.0f} %"
    net = (
        "?"
        if g.net_down is None or g.net_up is None
        else f"↓ {size(g.net_down)}/s ↑ {size(g.net_up)}/s"
    )
    fullest = max(g.disks, key=lambda d: percent(d.used, d.total), default=None)
    disk = f"{percent(fullest.used, fullest.total):.0f} % {fullest.mount}" if fullest else "?"
    rows = [
        Row(
            (
                Piece(g.machine, "strong"),
                Piece(f"cpu {spark((s.cpu for s in samples), 12, 100.0)} {cpu:>5}"),
                Piece(f"mem {memory}"), Piece(f"disk {disk}"), Piece(net),
                Piece(f"up {span(g.uptime_s)}" if g.uptime_s is not None else "", "muted"),
                Piece(f"load {g.load[0]:.1f}" if g.load else "", "muted"), Piece(""),
            ),
            g.machine,
        ),
        Row(
            (
                Piece("  engine", "muted"),
                Piece(f"cpu {_number(g.engine_cpu, '.1f')} % mem {size(g.engine_memory) if g.engine_memory is not None else '?'}", "muted"),
                Piece(f"lag {_number(g.loop_lag_ms, '.0f')} ms", "muted"),
                Piece(f"model {g.model_state or '?'}", "muted"),
                Piece(" ".join(f"{q.name} {q.depth}/{q.bound}" for q in g.queues), "muted"),
                Piece(""), Piece(""), Piece("; ".join(g.problems), "unknown"),
            ),
            "engine",
        ),
    ]  # fmt: skip
    note: tuple[Piece, ...] = ()
    if trouble or age > 5:
        note = (Piece(f"? {trouble or 'silent'} · {span(age)} old", "unknown"),)
    return Block(tuple(rows), note)


def _number(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def undo_line(state: State, now: datetime) -> list[Piece]:
    """The latest act that ``u`` takes back; nothing where there is none."""
    last = state.undoable(now)
    if last is None:
        return []
    end = f" · until {day(last.undo_until)} {clock(last.undo_until)}" if last.undo_until else ""
    return [
        Piece(f"#{last.id} {last.verb} {last.subject}"),
        Piece(f" · {last.headline}{end}", "muted"),
    ]
