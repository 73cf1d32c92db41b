"""``arcanum memory``: the conversations, and what is recalled from them."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Group, Invocation, items
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.export import heading, page
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import moment, plural
from engine.contract import memory
from engine.contract.base import now
from engine.contract.errors import EXIT_OK
from engine.contract.memory import (
    RestoredSession,
    SearchResult,
    SessionList,
    SessionSummary,
    Turn,
    TurnList,
)

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser

_SHOWN_SIBLINGS = 8


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
        terminal.line('No such conversation. To begin one: arcanum chat "Hello"')
        return
    present = now()
    terminal.table(
        ("SESSION", "TURNS", "LAST", "ABOUT", ""),
        (Column(), Column(right=True), Column(), Column(grow=True), Column()),
        (
            (
                s.name,
                str(s.turns),
                moment(s.last_at, present),
                s.title,
                f"deleted {moment(s.deleted_at, present)}" if s.deleted_at else "",
            )
            for s in found.sessions
        ),
    )
    if any(s.deleted_at for s in found.sessions):
        terminal.note(f"To bring one back: arcanum memory restore {quote(found.sessions[0].name)}")


def show_turns(found: TurnList, terminal: Terminal) -> None:
    present = now()
    for turn in found.turns:
        unusual = "" if turn.status == "done" else f" · {turn.status} {turn.note}".rstrip()
        beside = f" · {_beside(turn)}" if turn.siblings else ""
        terminal.line(f"#{turn.id} · {moment(turn.asked_at, present)}{unusual}{beside}", "muted")
        for name in turn.attached:
            terminal.line(f"+ {name}")
        for mark, text in ((">", turn.question), (" ", turn.answer)):
            for line in text.splitlines():
                terminal.line(f"{mark} {line}")


def _beside(turn: Turn) -> str:
    """``branch 2 of 3, beside #4 #9``: what to give to ``switch``."""
    others = [f"#{number}" for number in turn.siblings if number != turn.id]
    more = " …" if len(others) > _SHOWN_SIBLINGS else ""
    place = f"branch {turn.siblings.index(turn.id) + 1} of {len(turn.siblings)}"
    return f"{place}, beside {' '.join(others[-_SHOWN_SIBLINGS:])}{more}"


def show_session(found: SessionSummary, terminal: Terminal) -> None:
    terminal.line(f"{found.name} · {plural(found.turns, 'turn')} · {found.title}")


def show_restored(found: RestoredSession, terminal: Terminal) -> None:
    terminal.line(f"✓ {found.session.name} is back, {plural(found.session.turns, 'turn')}", "ok")


def show_exported(turn: Turn, terminal: Terminal) -> None:
    terminal.write(page(turn))


def _add_format(parser: Parser) -> None:
    parser.add_argument(
        "--format",
        choices=("md", "json"),
        default="md",
        metavar="md|json",
        help="Markdown, or one JSON object a line (md)",
    )


async def export(run: Invocation) -> int:
    """Turn by turn, as they come from the engine: a long conversation is never held whole."""
    if run.terminal.json or run.options.format == "json":
        run.terminal.json = True
        return await items(run)
    request = run.request()
    async with run.client() as client, client.stream(memory.EXPORT, request) as turns:
        run.terminal.write(heading(request.session))
        async for turn in turns:
            show_exported(turn, run.terminal)
    return EXIT_OK


GROUP = Group(
    "memory",
    (
        Command(
            "search",
            memory.SEARCH,
            show_hits,
            examples=('arcanum memory search "bike colour" --session a',),
        ),
        Command(
            "sessions",
            memory.SESSIONS,
            show_sessions,
            examples=(
                "arcanum memory sessions",
                "arcanum memory sessions --containing bike",
                "arcanum memory sessions --deleted",
            ),
        ),
        Command("turns", memory.TURNS, show_turns, examples=("arcanum memory turns a --limit 10",)),
        Command(
            "switch",
            memory.SWITCH,
            show_turns,
            examples=("arcanum memory switch a 12",),
        ),
        Command(
            "rename",
            memory.RENAME,
            show_session,
            examples=("arcanum memory rename a bikes",),
        ),
        Command("delete", memory.DELETE, examples=("arcanum memory delete a",)),
        Command(
            "restore",
            memory.RESTORE,
            show_restored,
            examples=("arcanum memory restore a",),
        ),
        Command(
            "export",
            memory.EXPORT,
            show_exported,
            run=export,
            add=_add_format,
            examples=(
                "arcanum memory export a > a.md",
                "arcanum memory export a --format json",
            ),
        ),
    ),
)
