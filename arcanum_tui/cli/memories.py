"""Memories in a shell: found, listed, shown, added, corrected, forgotten."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.cli.arguments import request_of
from arcanum_tui.cli.command import Command, Invocation, call, value
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import number, plural
from engine.contract import recall
from engine.contract.base import visible
from engine.contract.errors import EXIT_NO, EXIT_OK, ArcanumError, Invalid, from_wire
from engine.contract.memories import DEFAULT, MAX_NOTES, MAX_TEXT, Memory, Note
from engine.contract.recall import Added, MemoryPage, Namespaces, SearchResult, Shown

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser
    from arcanum_tui.cli.terminal import Terminal

_MOST_PIPED = 64 * 1024 * 1024
# What a copied text brings along and nobody sees: words are found without it.
_NOTHING = re.compile("[\u00ad\u200b\u2060\ufeff]")
_PARTS = ("lexical", "dense", "neighbours", "time", "entities")
_PART_HEADS = ("WORDS", "MEANING", "AROUND", "TIME", "WHO")


def when(at: datetime) -> str:
    """A day and a clock that are right in any year, in local time."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def marks(memory: Memory) -> str:
    """What is unusual about a memory, in words: ``★ pinned · archived``."""
    found = ["★ pinned"] if memory.pinned else []
    if memory.replaced_by is not None:
        into = "merged into" if memory.state == "merged" else "replaced by"
        found.append(f"{into} {memory.replaced_by}")
    elif memory.state != "live":
        found.append(memory.state)
    if memory.replaces:
        found.append(f"replaces {', '.join(str(one.id) for one in memory.replaces[:3])}")
    return " · ".join(found)


def who(memory: Memory) -> str:
    """Who said it, or which file does."""
    return memory.speaker or (memory.source if memory.kind == "document" else "")


# --- finding ------------------------------------------------------------------------------------


def _show_hits(found: SearchResult, terminal: Terminal, *, explain: bool = False) -> None:
    _tell_window(found, terminal)
    if not found.hits:
        terminal.line("Nothing that is remembered here bears on it.")
        terminal.note("Elsewhere? arcanum memory namespaces lists where memories are kept apart.")
        return
    heads = _PART_HEADS if explain else ()
    terminal.table(
        ("ID", "WHEN", "SCORE", *heads, "WHO", "TEXT", ""),
        (
            Column(right=True),
            Column(),
            Column(right=True),
            *(Column(right=True) for _head in heads),
            Column(most=20),
            Column(grow=True, least=20),
            Column(),
        ),
        (
            (
                str(hit.id),
                when(hit.at),
                f"{hit.score:.2f}",
                *(f"{getattr(hit.parts, part):.2f}" for part in _PARTS if explain),
                who(hit),
                hit.said,
                marks(hit),
            )
            for hit in found.hits
        ),
    )


def _tell_window(found: SearchResult, terminal: Terminal) -> None:
    """Which time was understood, and what could not be searched."""
    if found.since or found.until:
        since = f" from {when(found.since)}" if found.since else ""
        until = f" until {when(found.until)}" if found.until else ""
        terminal.note(
            f"Understood as: what was said{since}{until} weighs more."
            " To leave out all else: --since, --until"
        )
    if found.partial:
        terminal.note(f"! Not all of it could be searched: {found.partial}", "warn")


def show_hits(found: SearchResult, terminal: Terminal) -> None:
    _show_hits(found, terminal)


def _add_explain(parser: Parser) -> None:
    parser.add_argument(
        "--explain", action="store_true", help="what each score is made of, in columns"
    )


async def search(run: Invocation) -> int:
    request = run.request()
    async with run.client() as client:
        found: SearchResult = value(await client.call(recall.SEARCH, request))
    if run.options.explain and not run.terminal.json:
        _show_hits(found, run.terminal, explain=True)
        return EXIT_OK
    return run.tell(found)


def show_page(found: MemoryPage, terminal: Terminal) -> None:
    if not found.memories:
        terminal.line("Nothing of this is remembered.")
        terminal.note('To remember something: arcanum memory add "My bike is turquoise."')
        return
    terminal.table(
        ("ID", "WHEN", "KIND", "NAMESPACE", "WHO", "TEXT", ""),
        (
            Column(right=True),
            Column(),
            Column(),
            Column(most=20, rank=1),
            Column(most=20, rank=2),
            Column(grow=True, least=20),
            Column(),
        ),
        (
            (str(m.id), when(m.at), m.kind, m.namespace, who(m), m.said, marks(m))
            for m in found.memories
        ),
    )
    terminal.note(f"{number(len(found.memories))} of {plural(found.total, 'memory', 'memories')}")
    if found.next:
        terminal.note(f"Those before: --before {found.next}")


def show_one(found: Shown, terminal: Terminal) -> None:
    memory = found.memory
    terminal.line(f"memory {memory.id} · {memory.kind} · {memory.namespace}", "title")
    uses = plural(memory.uses, "time")
    last = f", last {when(memory.used_at)}" if memory.used_at else ""
    terminal.fields(
        (
            ("said", when(memory.at)),
            ("by", memory.speaker),
            ("from", " ".join(part for part in (memory.source, memory.ref) if part)),
            ("turn", "" if memory.turn_id is None else str(memory.turn_id)),
            ("is", marks(memory)),
            ("importance", f"{memory.importance:.2f}"),
            ("used", f"{uses}{last}"),
        )
    )
    for line in memory.text.splitlines():
        terminal.line(f"> {line}")
    if memory.unread:
        terminal.line(f"✗ {memory.unread}", "bad")
    for old in memory.replaces:
        said = "the same, said before" if old.how == "merged" else "replaced"
        terminal.line(f"{said}: memory {old.id}, {when(old.at)}: {old.text}", "muted")
    if len(found.around) > 1:
        terminal.line()
        terminal.line("around it", "title")
        for one in found.around:
            mark = ">" if one.id == memory.id else " "
            terminal.line(f"{mark} {one.id}  {when(one.at)}  {who(one)}  {one.said}")


def readable(found: Shown) -> int:
    """A text that cannot be read is a warning."""
    return EXIT_NO if found.memory.unread else EXIT_OK


def show_namespaces(found: Namespaces, terminal: Terminal) -> None:
    if not found.namespaces:
        terminal.line("Nothing is remembered yet.")
        terminal.note('To remember something: arcanum memory add "My bike is turquoise."')
        return
    terminal.table(
        ("NAMESPACE", "MEMORIES", "PINNED", "LAST", ""),
        (Column(grow=True), Column(right=True), Column(right=True), Column(), Column()),
        (
            (
                one.name,
                number(one.memories),
                number(one.pinned),
                when(one.last_at) if one.last_at else "",
                "conversation" if one.conversation else "",
            )
            for one in found.namespaces
        ),
    )


# --- changing -----------------------------------------------------------------------------------


def _add_notes(parser: Parser) -> None:
    parser.add_argument(
        "text",
        nargs="+",
        metavar="TEXT",
        help="one note: several words are joined by blanks; - reads one a line",
    )
    parser.add_argument(
        "--namespace", default=DEFAULT, metavar="NAMESPACE", help=f"where it belongs ({DEFAULT})"
    )
    parser.add_argument("--speaker", default="", metavar="SPEAKER", help="who said it")
    parser.add_argument("--source", default="", metavar="SOURCE", help="where it is from")
    parser.add_argument("--at", default=None, metavar="AT", help="when it was said; by default now")
    parser.add_argument("--pinned", action="store_true", help="seen from every namespace")


async def add(run: Invocation) -> int:
    """Notes in as many calls as they need; each call is kept whole."""
    lines = await _piped() if run.options.text == ["-"] else [_words(run.options.text)]
    notes = [request_of(Note, run.options, text=line) for line in lines]
    ids: list[int] = []
    new = 0
    async with run.client() as client:
        for start in range(0, len(notes), MAX_NOTES):
            request = run.request(notes=tuple(notes[start : start + MAX_NOTES]))
            try:
                added: Added = value(await client.call(recall.ADD, request))
            except ArcanumError as error:
                raise _with_saved(error, len(ids), len(notes)) from error
            ids += added.ids
            new += added.added
            run.terminal.progress(f"{number(len(ids))} of {plural(len(notes), 'note')}")
    return run.tell(Added(namespace=run.options.namespace, ids=tuple(ids), added=new))


def _with_saved(error: ArcanumError, saved: int, every: int) -> ArcanumError:
    """The error, with how far it came: who adds all of it again would have some twice."""
    if not saved:
        return error
    told = f"{error.message} The first {number(saved)} of {number(every)} notes are saved."
    return from_wire(error.to_wire() | {"message": told})


def _words(words: list[str]) -> str:
    return visible(_NOTHING.sub("", " ".join(words)), keep="\n\t")


async def _piped() -> list[str]:
    """What stands on stdin, line by line. Raises Invalid."""
    from arcanum_tui.cli.chat import read

    data = bytearray()
    while sys.stdin is not None and len(data) <= _MOST_PIPED:
        if not (chunk := await read(sys.stdin.fileno())):
            break
        data += chunk
    if len(data) > _MOST_PIPED:
        raise Invalid(
            f"More than {_MOST_PIPED // 1024**2} MiB of notes: nothing was added.",
            "Add them in parts, or put them into a folder: arcanum memory watch FOLDER",
        )
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise Invalid("The notes are not UTF-8 text: nothing was added.", str(error)) from error
    for count, line in enumerate(lines, 1):
        if len(line) > MAX_TEXT:
            raise Invalid(
                f"Line {count} is longer than {MAX_TEXT:,} characters: nothing was added.",
                "A long text is better kept in a folder: arcanum memory watch FOLDER",
            )
    found = [visible(line, keep="\t") for each in lines if (line := _NOTHING.sub("", each))]
    if not found:
        raise Invalid("There is no note.", 'Try: arcanum memory add "My bike is turquoise."')
    return found


def show_added(found: Added, terminal: Terminal) -> None:
    there = len(found.ids) - found.added
    more = f", {number(there)} there already" if there else ""
    which = f": memory {found.ids[0]}" if len(found.ids) == 1 else ""
    terminal.line(f"✓ {plural(found.added, 'note')} in {found.namespace}{which}{more}", "ok")


def show_pinned(found: Memory, terminal: Terminal) -> None:
    if found.pinned:
        terminal.line(f"★ Memory {found.id} is pinned: every namespace sees it", "ok")
    else:
        terminal.line(f"✓ Memory {found.id} is not pinned: only {found.namespace} sees it", "ok")


async def edit(run: Invocation) -> int:
    if not {"text", "importance"} & set(vars(run.options)):
        raise Invalid("There is nothing to change.", "Give a text, or --importance.")
    return await call(run)


def show_edited(found: Memory, terminal: Terminal) -> None:
    terminal.line(f"✓ Memory {found.id}: {found.text}", "ok")
    if found.replaces:
        terminal.note(
            f"What it said before is memory {found.replaces[0].id}."
            f" To bring that back: arcanum memory restore --memory {found.replaces[0].id}"
        )


async def forget(run: Invocation) -> int:
    """Nothing is touched before the approval that this asks for."""
    given = vars(run.options)
    if not any(given.get(name) for name in ("ids", "namespace", "gone")):
        raise Invalid(
            "There is nothing to forget.", "Name memories by number, --namespace, or --gone."
        )
    return await call(run)


COMMANDS = (
    Command(
        "search",
        recall.SEARCH,
        show_hits,
        run=search,
        add=_add_explain,
        examples=(
            'arcanum memory search "bike colour"',
            'arcanum memory search "what did I say in May" --namespace a --explain',
            "arcanum memory search backup --kind document --since 2026-01-01",
        ),
    ),
    Command(
        "list",
        recall.LIST,
        show_page,
        examples=("arcanum memory list --namespace a", "arcanum memory list --pinned --json"),
    ),
    Command(
        "show",
        recall.SHOW,
        show_one,
        verdict=readable,
        examples=("arcanum memory show 12",),
    ),
    Command(
        "add",
        recall.ADD,
        show_added,
        run=add,
        skip=("namespace", "notes"),
        add=_add_notes,
        examples=(
            'arcanum memory add "My bike is turquoise."',
            'arcanum memory add --at 2026-05-04 --speaker Marta "The cat weighs seven kilos."',
            'arcanum memory add --source "doctor\'s letter" "Twice a day, after meals."',
            "arcanum memory add - --namespace house < notes.txt",
        ),
    ),
    Command(
        "pin",
        recall.PIN,
        show_pinned,
        examples=("arcanum memory pin 12", "arcanum memory pin 12 --off"),
    ),
    Command(
        "edit",
        recall.EDIT,
        show_edited,
        run=edit,
        examples=(
            'arcanum memory edit 12 "My bike is green."',
            "arcanum memory edit 12 --importance 1",
        ),
    ),
    Command(
        "forget",
        recall.FORGET,
        run=forget,
        skip=("keep",),
        examples=(
            "arcanum memory forget 12 13",
            "arcanum memory forget 12 --keep-older --keep-answers",
            "arcanum memory forget --namespace house",
            "arcanum memory forget --gone",
        ),
    ),
    Command(
        "namespaces",
        recall.NAMESPACES,
        show_namespaces,
        examples=("arcanum memory namespaces",),
    ),
)
