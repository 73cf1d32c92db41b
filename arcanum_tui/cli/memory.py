"""``arcanum memory``: the conversations, and what is recalled from them."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import moment
from engine.contract import memory
from engine.contract.base import now
from engine.contract.memory import SearchResult, SessionList, TurnList


def show_hits(found: SearchResult, terminal: Terminal) -> None:
    if not found.hits:
        terminal.line("Nothing in this conversation bears on it.")
        return
    present = now()
    terminal.table(
        ("TURN", "WHEN", "SCORE", "TEXT"),
        (Column(right=True), Column(), Column(right=True), Column(grow=True)),
        (
            (str(hit.turn_id), moment(hit.asked_at, present), f"{hit.score:.2f}", hit.text)
            for hit in found.hits
        ),
    )


def show_sessions(found: SessionList, terminal: Terminal) -> None:
    if not found.sessions:
        terminal.line('No conversation yet: arcanum chat "Hello"')
        return
    present = now()
    terminal.table(
        ("SESSION", "TURNS", "LAST"),
        (Column(grow=True), Column(right=True), Column()),
        ((s.name, str(s.turns), moment(s.last_at, present)) for s in found.sessions),
    )


def show_turns(found: TurnList, terminal: Terminal) -> None:
    present = now()
    for turn in found.turns:
        unusual = "" if turn.status == "done" else f" · {turn.status} {turn.note}".rstrip()
        terminal.line(f"#{turn.id} · {moment(turn.asked_at, present)}{unusual}", "muted")
        for mark, text in ((">", turn.question), (" ", turn.answer)):
            for line in text.splitlines():
                terminal.line(f"{mark} {line}")


GROUP = Group(
    "memory",
    (
        Command(
            "search",
            memory.SEARCH,
            show_hits,
            examples=('arcanum memory search "bike colour" --session a',),
        ),
        Command("sessions", memory.SESSIONS, show_sessions, examples=("arcanum memory sessions",)),
        Command("turns", memory.TURNS, show_turns, examples=("arcanum memory turns a --limit 10",)),
    ),
)
