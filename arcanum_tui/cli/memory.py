"""``arcanum memory``: the conversations, and all that is remembered."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from arcanum_tui.cli import memories, upkeep
from arcanum_tui.cli.arguments import request_of
from arcanum_tui.cli.command import Command, Group, Invocation, value
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.export import heading, page
from arcanum_tui.state.grid import Column
from arcanum_tui.state.memories import recalled
from arcanum_tui.state.text import moment, plural
from engine.contract import memory, recall
from engine.contract.base import now
from engine.contract.errors import EXIT_OK, Invalid
from engine.contract.memory import (
    RestoredSession,
    SessionList,
    SessionSummary,
    Turn,
    TurnList,
)

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser

_SHOWN_SIBLINGS = 8


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
        if turn.status == "done" and turn.note.startswith(memory.WITHOUT):
            terminal.line(f"  ! {turn.note}", "warn")
        if turn.recalled:
            terminal.line(f"  {recalled(turn.recalled)}", "muted")


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


def _add_export(parser: Parser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="the conversation, or with jsonl the namespace; without one, everything",
    )
    parser.add_argument(
        "--format",
        choices=("md", "json", "jsonl"),
        default=None,
        metavar="md|json|jsonl",
        help="Markdown, one JSON object a turn, or one a memory; by default md, and jsonl for"
        " everything",
    )


async def export(run: Invocation) -> int:
    """Line by line, as they come from the engine: a long conversation is never held whole."""
    name, form = run.options.name, run.options.format
    if form == "jsonl" or (form is None and name is None):
        return await _export_memories(run)
    if name is None:
        raise Invalid(
            "Which conversation?", "arcanum memory sessions lists them; --format jsonl takes all."
        )
    request = request_of(memory.OneSession, run.options, session=name)
    as_json = run.terminal.json or form == "json"
    run.terminal.json = as_json
    async with run.client() as client, client.stream(memory.EXPORT, request) as turns:
        if not as_json:
            run.terminal.write(heading(request.session))
        async for turn in turns:
            if as_json:
                run.terminal.result(turn, line=True)
            else:
                show_exported(turn, run.terminal)
    return EXIT_OK


async def _export_memories(run: Invocation) -> int:
    """Everything of a namespace, or everything, as it is taken in again."""
    request = request_of(recall.Export, run.options, namespace=run.options.name)
    run.terminal.json = True
    count = 0
    async with run.client() as client, client.stream(recall.EXPORT, request) as records:
        async for record in records:
            run.terminal.result(record, line=True)
            count += 1
    run.terminal.note(f"{plural(count, 'memory', 'memories')} exported")
    return EXIT_OK


def _add_restore(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a conversation that was deleted")
    parser.add_argument(
        "--memory",
        nargs="+",
        metavar="ID",
        help="memories that were archived, merged or replaced",
    )
    parser.add_argument("--archived", action="store_true", help="all that is archived")


async def restore(run: Invocation) -> int:
    """A conversation, some memories, or everything that is archived: one of the three."""
    options = run.options
    given = [bool(options.name), bool(options.memory), options.archived]
    if sum(given) != 1:
        raise Invalid(
            "What is to come back?" if not any(given) else "Only one of these at a time.",
            "Name a conversation, or give --memory with numbers, or --archived.",
        )
    if options.name:
        request = request_of(memory.OneSession, options, session=options.name)
        async with run.client() as client:
            return run.tell(value(await client.call(memory.RESTORE, request)))
    wanted = request_of(
        recall.Restore, options, ids=tuple(options.memory or ()), everything=options.archived
    )
    async with run.client() as client:
        found: recall.Restored = value(await client.call(recall.RESTORE, wanted))
    if run.terminal.json:
        run.terminal.result(found)
    else:
        upkeep.show_restored(found, run.terminal)
    return upkeep.complete(found)


_CONVERSATIONS = (
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
    Command("switch", memory.SWITCH, show_turns, examples=("arcanum memory switch a 12",)),
    Command("rename", memory.RENAME, show_session, examples=("arcanum memory rename a bikes",)),
    Command("delete", memory.DELETE, examples=("arcanum memory delete a",)),
    Command(
        "restore",
        memory.RESTORE,
        show_restored,
        run=restore,
        summary="Bring a deleted conversation back, or memories",
        skip=("session",),
        add=_add_restore,
        also=(recall.RESTORE,),
        examples=(
            "arcanum memory restore a",
            "arcanum memory restore --memory 12 13",
            "arcanum memory restore --archived",
        ),
    ),
    Command(
        "export",
        memory.EXPORT,
        show_exported,
        run=export,
        summary="A conversation as it was held, or memories to be taken in elsewhere",
        skip=("session",),
        add=_add_export,
        also=(recall.EXPORT,),
        examples=(
            "arcanum memory export a > a.md",
            "arcanum memory export a --format json",
            "arcanum memory export > everything.jsonl",
        ),
    ),
)

GROUP = Group("memory", (*memories.COMMANDS, *_CONVERSATIONS, *upkeep.COMMANDS))
