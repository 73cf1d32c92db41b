"""The first line of every screen, and the words and glyphs for states. Pure."""

from __future__ import annotations

from datetime import datetime

from arcanum_tui.state.grid import Piece, Tone
from arcanum_tui.state.model import State
from arcanum_tui.state.text import ago

TABS = (
    ("overview", "1 overview"),
    ("agent", "2 chat"),
    ("media", "3 media"),
    ("approvals", "4 approvals"),
    ("memory", "5 memory"),
)

APPROVAL_STATES: dict[str, tuple[str, Tone]] = {
    "pending": ("▲ waits", "warn"),
    "approved": ("● approved", "info"),
    "denied": ("✗ denied", "muted"),
    "expired": ("○ expired", "muted"),
    "executing": ("● running", "info"),
    "done": ("✓ done", "ok"),
    "partial": ("! partial", "warn"),
    "failed": ("✗ failed", "bad"),
    "interrupted": ("! interrupted", "warn"),
}
JOB_STATES: dict[str, tuple[str, Tone]] = {
    "queued": ("○ queued", "muted"),
    "running": ("● running", "info"),
    "paused": ("‖ paused", "warn"),
    "done": ("✓ done", "ok"),
    "failed": ("✗ failed", "bad"),
    "cancelled": ("○ cancelled", "muted"),
    "interrupted": ("! interrupted", "warn"),
}
LIBRARY_STATES: dict[str, tuple[str, Tone]] = {
    "ok": ("✓ ok", "ok"),
    "scanning": ("● scanning", "info"),
    "missing": ("✗ missing", "bad"),
    "unreadable": ("✗ unreadable", "bad"),
}
WATCH_STATES: dict[str, tuple[str, Tone]] = {
    "live": ("● live", "ok"),
    "polling": ("● polling", "info"),
    "off": ("○ off", "muted"),
    "failed": ("✗ failed", "bad"),
}
MODEL_STATES: dict[str, tuple[str, Tone]] = {
    "unloaded": ("○ not loaded yet", "muted"),
    "loading": ("● loading", "info"),
    "ready": ("● ready", "ok"),
    "failed": ("✗ failed", "bad"),
}
UNKNOWN_STATE: tuple[str, Tone] = ("? unknown", "unknown")


def title(state: State, screen: str, now: datetime) -> tuple[list[Piece], list[Piece]]:
    """Who we are, whether the engine answers, where we are; and the time."""
    left = [Piece("ARCANUM", "strong"), Piece("  "), *link(state, now), Piece("   ")]
    waiting = len(state.pending)
    for name, label in TABS:
        here = name == screen
        left.append(Piece(f"▸{label}" if here else f" {label}", "title" if here else "muted"))
        if name == "approvals" and waiting:
            left.append(Piece(f" ▲{waiting}", "warn"))
        left.append(Piece(" "))
    local = now.astimezone()
    return left, [Piece(f"{local:%a %d %b} ", "muted"), Piece(f"{local:%H:%M}")]


def link(state: State, now: datetime) -> list[Piece]:
    """The engine's machine and whether it answers."""
    machine = state.status.machine if state.status else "this machine"
    match state.link.state:
        case "live":
            return [Piece(f"{machine} "), Piece("● live", "ok")]
        case "silent":
            since = f" for {ago(state.link.since, now)}" if state.link.since else ""
            return [Piece(f"{machine} "), Piece(f"? not answering{since}", "unknown")]
        case "lost":
            since = ago(state.link.since, now) if state.link.since else "?"
            return [Piece(f"{machine} "), Piece(f"✗ lost {since}, r retries", "bad")]
    return [Piece(f"{machine} "), Piece("○ connecting", "muted")]


def model_line(state: State) -> list[Piece]:
    """Which model answers, where, and in which state; a simulated one says so first."""
    info = state.model
    if info is None:
        failure = state.failures.get("model.info")
        return [
            Piece(
                f"? model unknown: {failure.message}" if failure else "? model unknown", "unknown"
            )
        ]
    word, tone = MODEL_STATES.get(info.state, UNKNOWN_STATE)
    place = Piece("local · ", "muted") if info.local else Piece("! leaves this machine · ", "warn")
    if info.simulated:
        return [
            Piece("SCRIPTED – no model", "warn"),
            Piece(f" · {info.reason}" if info.reason else "", "muted"),
        ]
    return [place, Piece(info.model), Piece(" "), Piece(word, tone)]
