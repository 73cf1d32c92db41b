"""The overview's blocks as rows. Pure; results are read by their names, so that nothing heavy is
imported before the first paint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.frame import JOB_STATES, UNKNOWN_STATE
from arcanum_tui.state.grid import NOTHING, Column, Piece, Row, Tone, muted, strong
from arcanum_tui.state.model import State
from arcanum_tui.state.news import news, verb
from arcanum_tui.state.text import (
    ago,
    bar,
    clock,
    day,
    moment,
    number,
    percent,
    size,
    span,
    spark,
    until,
)

if TYPE_CHECKING:
    from engine.contract.approvals import ApprovalProgressed, ApprovalSummary
    from engine.contract.jobs import Job
    from engine.contract.quota import Gauge
    from engine.contract.telemetry import Disk, Gauges

BAR = 12
"""Cells of a storage bar."""

DISKS = 4
"""So many disks are shown, the fullest first."""

FULL = 90.0
"""Percent from which a disk is marked."""

STALE_S = 5.0
"""A sample older than this says so."""


@dataclass(frozen=True, slots=True)
class Block:
    """One panel: its rows, what stands beside the title, and what stands below it where there
    are no rows: why it could not be read, or what to do."""

    rows: tuple[Row, ...] = ()
    note: tuple[Piece, ...] = ()
    empty: Piece | None = None

    @property
    def height(self) -> int:
        """The lines under the title."""
        return len(self.rows) or (2 if self.empty else 0)


NEEDS = (
    Column(),
    Column(most=10),
    Column(most=24),
    Column(grow=True, least=20),
    Column(most=12, rank=3),
    Column(right=True, rank=2),
    Column(rank=1),
)
BROKEN = (
    Column(),
    Column(most=20),
    Column(grow=True, least=20),
    Column(most=12, rank=2),
    Column(right=True, rank=1),
)
SINCE = (Column(), Column(), Column(most=18), Column(grow=True, least=10))
STORAGE = (
    Column(most=16),
    Column(rank=1),
    Column(right=True),
    Column(),
    Column(grow=True, rank=2),
)
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


def waiting(state: State, *, good: str) -> Piece:
    """What an empty block says: that all is well only where that is known."""
    if state.known:
        return muted(good)
    if state.link.state == "lost":
        return Piece("? not known: no engine answers", "unknown")
    return muted("○ connecting …")


def failed(state: State, topic: str) -> Piece | None:
    """Why a topic could not be read, for the panel that shows it."""
    failure = state.failures.get(topic)
    if failure is None:
        return None
    return Piece(f"✗ {failure.title}: {failure.message} {failure.hint}".rstrip(), "bad")


def needs_you(state: State, now: datetime) -> Block:
    """Approvals that wait, then whatever else waits for a person."""
    rows = [
        Row(
            (
                Piece(f"#{a.id}", "key"),
                strong(a.verb),
                Piece(a.subject),
                Piece(a.headline),
                muted(a.machine),
                muted(ago(a.created_at, now)),
                muted(f"expires {until(a.expires_at, now)}"),
            ),
            f"a{a.id}",
            f"approvals/{a.id}",
        )
        for a in state.pending
    ]
    rows += [
        Row(
            (
                Piece("▲", "warn"),
                strong("look"),
                Piece(c.subject),
                Piece(c.text),
                muted(c.machine),
                muted(_age(c.since, now)),
                NOTHING,
            ),
            f"c{c.subject}",
            c.link,
        )
        for c in (state.status.concerns if state.status else ())
        if c.severity == "needs_you" and not c.link.startswith("approvals")
    ]
    trouble = failed(state, "approvals.list")
    note = _note(state, rows, trouble, "warn", "✓ nothing waits for you")
    return Block(tuple(rows), note, trouble)


def broken(state: State, now: datetime) -> Block:
    """What does not work, and what nobody knows."""
    rows = []
    if state.link.state == "lost":
        age = muted(_age(state.link.since, now))
        cells = (Piece("✗ LOST", "bad"), Piece("engine"), Piece(state.link.why), NOTHING, age)
        rows.append(Row(cells, "link"))
    for concern in state.status.concerns if state.status else ():
        if concern.severity == "needs_you":
            continue
        cells = (
            Piece("✗ BROKEN", "bad")
            if concern.severity == "broken"
            else Piece("? UNKNOWN", "unknown"),
            Piece(concern.subject),
            Piece(concern.text),
            muted(concern.machine),
            muted(_age(concern.since, now)),
        )
        rows.append(Row(cells, f"{concern.severity}{concern.subject}", concern.link))
    trouble = failed(state, "engine.status")
    note = _note(state, rows, trouble, "bad", "✓ all that is checked works")
    return Block(tuple(rows), note, trouble)


def _age(since: datetime | None, now: datetime) -> str:
    return ago(since, now) if since else ""


def _note(
    state: State, rows: Sequence[Row], trouble: Piece | None, tone: Tone, good: str
) -> tuple[Piece, ...]:
    """How many rows there are; without rows, what that means."""
    if trouble:
        return (Piece("? as it was" if rows else "? not known", "unknown"),)
    return (Piece(str(len(rows)), tone),) if rows else (waiting(state, good=good),)


def since(state: State, looked: datetime | None, now: datetime) -> Block:
    """What happened, newest first; what is new since ``looked`` stands out."""
    rows = []
    for event in state.recent:
        told = news(event)
        if told is None:
            continue
        fresh = looked is None or event.at > looked
        at = moment(event.at, now)
        cells = (
            strong(at) if looked and fresh else muted(at),
            Piece(told.glyph, told.tone),
            Piece(told.subject),
            Piece(told.text, "plain" if fresh else "muted"),
        )
        rows.append(Row(cells, f"e{event.seq}", told.link))
    note = (muted(moment(looked, now)),) if looked else ()
    return Block(tuple(rows), note if rows else (waiting(state, good="nothing happened yet"),))


def storage(state: State) -> Block:
    """Each library against its limit."""
    rows = tuple(_gauge(g) for g in state.gauges)
    trouble = failed(state, "quota.show")
    over = sum(1 for g in state.gauges if g.state == "over")
    if rows:
        return Block(rows, (Piece(f"! {over} over", "warn"),) if over else ())
    if trouble or state.libraries or not state.known:
        return Block((), _note(state, (), trouble, "warn", "no limits yet"), trouble)
    return Block(empty=muted("No library yet: m, then n, watches a folder."))


def _gauge(gauge: Gauge) -> Row:
    words: dict[str, tuple[str, Tone]] = {
        "ok": ("✓ ok", "ok"),
        "over": (f"! {size(gauge.over)} over", "warn"),
        "none": ("– no limit", "muted"),
        "unknown": UNKNOWN_STATE,
    }
    word, tone = words[gauge.state]
    if gauge.limit:
        blocks = bar(min(1.0, gauge.used / gauge.limit), BAR)
        figure = f"{percent(gauge.used, gauge.limit):.0f} %"
    else:
        blocks, figure = "·" * BAR, size(gauge.used)
    extra = [f"{size(gauge.used)} of {size(gauge.limit)}"] if gauge.limit else []
    if gauge.in_trash:
        extra.append(f"{size(gauge.in_trash)} in the trash, not free yet")
    if gauge.note:
        extra.append(gauge.note)
    cells = (
        Piece(gauge.library),
        Piece(blocks, tone),
        Piece(figure),
        Piece(word, tone),
        muted(" · ".join(extra)),
    )
    return Row(cells, gauge.library, f"media/{gauge.library}")


def work(state: State, now: datetime) -> Block:
    """Approvals that execute, jobs that run, and the last few that ended."""
    rows = [_execution(a, state.progress.get(a.id)) for a in state.executing]
    rows += [_job(job, now) for job in state.jobs[:20]]
    trouble = failed(state, "jobs.list")
    paused = sum(job.state == "paused" for job in state.running)
    running = len(state.running) + len(state.executing) - paused
    note: tuple[Piece, ...] = (Piece(f"{running} running", "info"),) if running else ()
    if paused:
        note += (Piece(f"{' · ' if note else ''}{paused} paused", "warn"),)
    if not rows:
        note = _note(state, rows, trouble, "info", "nothing runs")
    return Block(tuple(rows), note, trouble)


def _execution(summary: ApprovalSummary, progress: ApprovalProgressed | None) -> Row:
    cells = (
        Piece(f"{summary.verb} #{summary.id}"),
        Piece(summary.subject),
        Piece("● running", "info"),
        Piece(_share(progress.done, progress.total) if progress else ""),
        NOTHING,
        NOTHING,
        muted(progress.note if progress else ""),
    )
    return Row(cells, f"a{summary.id}", f"approvals/{summary.id}")


def _job(job: Job, now: datetime) -> Row:
    word, tone = JOB_STATES.get(job.state, UNKNOWN_STATE)
    p = job.progress
    running = job.ended_at is None
    rate = ""
    if running and p.rate:
        rate = size(p.rate) if p.unit == "bytes" else f"{number(round(p.rate))} {p.unit}"
        rate += "/s"
    left = f"{ago(job.ended_at, now)} ago" if job.ended_at else ""
    if running and p.eta_s is not None:
        left = f"ETA {span(p.eta_s)}"
    cells = (
        Piece(verb(job.operation)),
        Piece(job.subject),
        Piece(word, tone),
        Piece(_share(p.done, p.total) if running else ""),
        muted(rate),
        muted(left),
        muted(job.error.message if job.error else p.note),
    )
    return Row(cells, f"j{job.id}")


def _share(done: int, total: int | None) -> str:
    return f"{percent(done, total):.0f} %" if total else number(done)


def machines(samples: Sequence[Gauges], now: datetime, trouble: str = "") -> Block:
    """The gauges as text cells: the last samples of one machine, oldest first."""
    if not samples:
        piece = Piece(f"? {trouble}", "unknown") if trouble else muted("○ no sample yet")
        return Block(note=(piece,))
    latest = samples[-1]
    age = (now - latest.at).total_seconds()
    note: tuple[Piece, ...] = ()
    if trouble or age > STALE_S:
        note = (Piece(f"? {trouble or 'silent'} · {span(age)} old", "unknown"),)
    disks = sorted(latest.disks, key=lambda d: -percent(d.used, d.total))
    return Block((_machine(samples), _engine(latest), *map(_disk, disks[:DISKS])), note)


def _machine(samples: Sequence[Gauges]) -> Row:
    g = samples[-1]
    known = g.memory_used is not None and g.memory_total
    memory = f"{percent(g.memory_used or 0, g.memory_total or 1):.0f} %" if known else "?"
    fullest = max(g.disks, key=lambda d: percent(d.used, d.total), default=None)
    disk = f"{percent(fullest.used, fullest.total):.0f} % {fullest.mount}" if fullest else "?"
    net = f"↓ {_rate(g.net_down)} ↑ {_rate(g.net_up)}"
    cells = (
        strong(g.machine),
        Piece(f"cpu {spark((s.cpu for s in samples), 12, 100.0)} {_figure(g.cpu, '.0f'):>3} %"),
        Piece(f"mem {memory}"),
        Piece(f"disk {disk}"),
        Piece(net),
        muted(f"up {span(g.uptime_s)}" if g.uptime_s is not None else ""),
        muted(f"load {g.load[0]:.1f}" if g.load else ""),
        NOTHING,
    )
    return Row(cells, g.machine)


def _engine(g: Gauges) -> Row:
    memory = size(g.engine_memory) if g.engine_memory is not None else "?"
    cells = (
        muted("  engine"),
        muted(f"cpu {_figure(g.engine_cpu, '.1f')} % · {memory}"),
        muted(f"lag {_figure(g.loop_lag_ms, '.0f')} ms"),
        muted(f"model {g.model_state or '?'}"),
        muted(" ".join(f"{q.name} {q.depth}/{q.bound}" for q in g.queues)),
        NOTHING,
        NOTHING,
        Piece("; ".join(g.problems), "unknown"),
    )
    return Row(cells, "engine")


def _disk(disk: Disk) -> Row:
    share = percent(disk.used, disk.total)
    tone: Tone = "warn" if share >= FULL else "muted"
    cells = (
        muted("  disk"),
        Piece(f"{bar(share / 100, BAR)} {'!' if share >= FULL else ' '}{share:3.0f} %", tone),
        muted(disk.mount),
        muted(f"{size(disk.free)} free"),
        muted(f"of {size(disk.total)}"),
        NOTHING,
        NOTHING,
        NOTHING,
    )
    return Row(cells, f"disk {disk.mount}")


def _figure(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def _rate(value: float | None) -> str:
    return "?" if value is None else f"{size(value)}/s"


def undo_line(state: State, now: datetime) -> list[Piece]:
    """The latest act that ``u`` takes back; nothing where there is none."""
    last = state.undoable(now)
    if last is None:
        return []
    end = f" · until {day(last.undo_until)} {clock(last.undo_until)}" if last.undo_until else ""
    return [Piece(f"#{last.id} {last.verb} {last.subject}"), muted(f" · {last.headline}{end}")]
