"""Snapshot and events → the present. Pure. Imported once an engine has answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from arcanum_tui.state.model import Link, State
from arcanum_tui.state.news import RECALL
from engine.contract import approvals, engine, jobs, media, memory, model, quota
from engine.contract.approvals import ApprovalChanged, ApprovalProgressed, ApprovalRequested
from engine.contract.client import Snapshot
from engine.contract.engine import ServiceChanged
from engine.contract.events import Event
from engine.contract.jobs import JobChanged, JobProgressed
from engine.contract.media import LibraryChanged, LibraryRemoved
from engine.contract.memory import SessionChanged, TurnClosed, TurnOpened
from engine.contract.model import ModelChanged
from engine.contract.operation import Operation
from engine.contract.recall import IndexMoved, MemoryChanged

TOPICS: tuple[Operation[Any, Any], ...] = (
    engine.STATUS,
    approvals.LIST,
    jobs.LIST,
    media.LIBRARIES,
    quota.SHOW,
    model.INFO,
    memory.SESSIONS,
)
"""What a snapshot asks for."""

_BY_NAME = {operation.name: operation for operation in TOPICS}

RECENT = 200
"""So many durable events are kept to tell what happened lately."""

# An event of this room makes these results stale, beside what is folded from it directly.
_STALE: dict[str, tuple[Operation[Any, Any], ...]] = {
    "approvals.requested": (engine.STATUS,),
    "approvals.changed": (engine.STATUS,),
    "engine.service_changed": (engine.STATUS,),
    "jobs.changed": (engine.STATUS,),
    "media.library_added": (media.LIBRARIES, quota.SHOW, engine.STATUS),
    "media.library_removed": (media.LIBRARIES, quota.SHOW, engine.STATUS),
    "media.library_scanned": (media.LIBRARIES, quota.SHOW, engine.STATUS),
    "media.library_changed": (quota.SHOW,),
    "media.drift_found": (engine.STATUS,),
    "memory.turn_closed": (memory.SESSIONS,),
    "memory.session_changed": (memory.SESSIONS,),
    "model.changed": (engine.STATUS,),
    "quota.limit_set": (quota.SHOW, engine.STATUS),
    "quota.pruned": (quota.SHOW, media.LIBRARIES, engine.STATUS),
    "quota.undone": (quota.SHOW, media.LIBRARIES, approvals.LIST, engine.STATUS),
    "quota.purged": (quota.SHOW, approvals.LIST, engine.STATUS),
}

# Not news: they tell of a step, and another event tells of what came of it.
_QUIET = frozenset(
    {"memory.turn_opened", "memory.turn_closed", "memory.session_changed", "quota.planned"}
)


def topics(names: Iterable[str]) -> tuple[Operation[Any, Any], ...]:
    """The operations of these names, in the order of ``TOPICS``."""
    wanted = set(names)
    return tuple(op for name, op in _BY_NAME.items() if name in wanted)


def read(state: State, snapshot: Snapshot, at: datetime) -> State:
    """``state`` with the snapshot's results; what failed keeps its old value and its reason."""
    asked = set(snapshot.results) | set(snapshot.failures)
    failures = {n: e for n, e in state.failures.items() if n not in asked} | snapshot.failures
    changes: dict[str, Any] = {"failures": failures, "read_at": at, "link": Link("live", since=at)}
    for name, result in snapshot.results.items():
        changes |= _result(name, result)
    return replace(state, **changes)


def at(state: State, seq: int) -> State:
    """``state`` as one that includes every event up to ``seq``: after a whole snapshot."""
    return replace(state, seq=seq, snapshots=state.snapshots + 1)


def _result(name: str, result: Any) -> dict[str, Any]:
    match name:
        case "engine.status":
            return {"status": result}
        case "approvals.list":
            return {"approvals": result.approvals}
        case "jobs.list":
            return {"jobs": result.jobs}
        case "media.libraries":
            return {"libraries": result.libraries}
        case "quota.show":
            return {"gauges": result.gauges}
        case "model.info":
            return {"model": result}
        case "memory.sessions":
            return {"sessions": result.sessions}
    return {}


def lost(state: State, why: str, at: datetime) -> State:
    """The engine went away: everything stays as it was, and says so."""
    return replace(state, link=Link("lost", why, at), progress={}, index=None)


def silent(state: State, since: datetime) -> State:
    """The engine has not answered since then: whether anything is still so is not known."""
    return replace(state, link=Link("silent", since=since))


def answered(state: State, link: Link) -> State:
    """It answers again; ``link`` is what was said before it fell silent."""
    return replace(state, link=link) if state.link.state == "silent" else state


def fold(state: State, event: Event) -> tuple[State, frozenset[str]]:
    """``state`` after ``event``, and the names of the results that must be read again."""
    if event.seq is not None:
        state = remember(state, event)
        if event.seq <= state.seq:
            return state, frozenset()
        state = replace(state, seq=event.seq)
    stale = frozenset(op.name for op in _STALE.get(event.kind, ()))
    if isinstance(event, ServiceChanged):
        # A room that came or went answers otherwise than before.
        stale |= {op.name for op in TOPICS if op.room == event.service.name}
    return apply(state, event), stale


def apply(state: State, event: Event) -> State:
    """What the event says, put into the results. Doing it twice changes nothing."""
    match event:
        case ApprovalRequested() | ApprovalChanged():
            state = _approval(state, event.summary)
        case ApprovalProgressed():
            state = replace(state, progress={**state.progress, event.id: event})
        case JobChanged() | JobProgressed():
            state = _job(state, event.job)
        case LibraryChanged():
            others = [lib for lib in state.libraries if lib.name != event.library.name]
            merged = sorted([*others, event.library], key=lambda lib: lib.name)
            state = replace(state, libraries=tuple(merged))
        case LibraryRemoved():
            kept = tuple(lib for lib in state.libraries if lib.name != event.library)
            state = replace(state, libraries=kept)
        case ModelChanged():
            state = replace(state, model=event.info)
        case TurnOpened() | TurnClosed() | SessionChanged():
            state = _talk(state, event)
        case MemoryChanged():
            state = replace(state, remembered=max(state.remembered, event.seq or 0))
        case IndexMoved():
            state = replace(state, index=event)
        case ServiceChanged() if state.status is not None:
            services = tuple(
                event.service if s.name == event.service.name else s for s in state.status.services
            )
            status = state.status.model_copy(update={"services": services})
            state = replace(state, status=status)
    return state


def remember(state: State, event: Event) -> State:
    """``event`` among the recent ones, newest first, once."""
    quiet = isinstance(event, MemoryChanged) and event.change not in RECALL
    if quiet or event.kind in _QUIET or any(e.seq == event.seq for e in state.recent):
        return state
    newest = sorted((event, *state.recent), key=lambda e: e.seq or 0, reverse=True)
    return replace(state, recent=tuple(newest[:RECENT]))


def _approval(state: State, summary: approvals.ApprovalSummary) -> State:
    others = [a for a in state.approvals if a.id != summary.id]
    merged = sorted([summary, *others], key=lambda a: (a.state != "pending", -a.id))
    progress = state.progress
    if summary.state != "executing":
        progress = {i: p for i, p in progress.items() if i != summary.id}
    return replace(state, approvals=tuple(merged), progress=progress)


def _talk(state: State, event: TurnOpened | TurnClosed | SessionChanged) -> State:
    """Something was said, or done to a conversation: who shows it reads it again."""
    number = event.seq or 0
    state = replace(state, talk={**state.talk, event.session: number})
    if isinstance(event, SessionChanged) and event.change == "renamed":
        state = replace(state, renamed=(number, event.session, event.now_called))
    return state


def _job(state: State, job: jobs.Job) -> State:
    others = [j for j in state.jobs if j.id != job.id]
    merged = sorted([job, *others], key=lambda j: (j.state in jobs.ENDED, -j.id))
    return replace(state, jobs=tuple(merged))
