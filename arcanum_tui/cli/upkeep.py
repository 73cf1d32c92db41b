"""What becomes of memories, in a shell: archives, imports, remembered folders, the index."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Invocation, value
from arcanum_tui.cli.follow import add_detach, job
from arcanum_tui.cli.memories import when
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import number, plural, size
from engine.contract import recall
from engine.contract.base import Empty
from engine.contract.errors import EXIT_NO, EXIT_OK
from engine.contract.recall import Archived, Folders, Imported, Restored

if TYPE_CHECKING:
    from arcanum_tui.cli.terminal import Terminal
    from engine.contract.memories import Folder, Stats

_AWAY = frozenset({"missing", "unreadable"})
_INDEX = {
    "ready": "✓ ready",
    "building": "· being built",
    "lexical": "! by words alone",
    "off": "! off",
    "failed": "✗ failed",
}


# --- folders ------------------------------------------------------------------------------------


def show_unwatched(left: Folders, terminal: Terminal) -> None:
    show_folders(left, terminal)
    terminal.note(
        "What it held is found no more. From the copies, too: arcanum memory forget --gone"
    )


def show_folders(found: Folders, terminal: Terminal) -> None:
    if not found.folders:
        terminal.line("No folder is remembered.")
        terminal.note("To remember one: arcanum memory watch FOLDER")
        return
    terminal.table(
        ("", "STATE", "NAMESPACE", "FILES", "PASSAGES", "UNREAD", "READ", "PATH", "NOTE"),
        (
            Column(),
            Column(),
            Column(most=20, rank=1),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(rank=2),
            Column(grow=True, least=16),
            Column(most=40),
        ),
        (
            (
                _glyph(folder),
                folder.state,
                f"★ {folder.namespace}" if folder.pinned else folder.namespace,
                number(folder.files),
                number(folder.passages),
                number(folder.unread) if folder.unread else "",
                when(folder.read_at) if folder.read_at else "never",
                folder.path.display,
                folder.note,
            )
            for folder in found.folders
        ),
    )
    for folder in found.folders:
        if folder.unread:
            terminal.line()
            terminal.line(f"not read of {folder.path.display}", "title")
            for one in folder.problems:
                terminal.line(f"! {one.path.display}: {one.why}", "warn")
            if (more := folder.unread - len(folder.problems)) > 0:
                terminal.line(f"and {number(more)} more", "muted")


def _glyph(folder: Folder) -> str:
    if folder.state in _AWAY:
        return "✗"
    if folder.state == "ok":
        return "!" if folder.note else "✓"
    return "?" if _unsure(folder) else "·"


def _unsure(folder: Folder) -> bool:
    """It was read once, and it may be another folder that is there now."""
    return folder.state == "waiting" and folder.read_at is not None


def show_watched(found: Folder, terminal: Terminal) -> None:
    path, space = found.path.display, found.namespace
    seen = "every namespace sees it" if found.pinned else f"in the namespace {space}"
    terminal.line(f"✓ {path} is remembered, {seen}", "ok")
    terminal.note("To read it now: arcanum memory sync")
    if not found.pinned:
        terminal.note(
            f"Only the conversation named {space} is told what it holds, and only"
            f" --namespace {quote(space)} finds it. For another one: unwatch it, and watch it again"
            " with --namespace NAME; for all of them, with --pinned."
        )


def present(found: Folders) -> int:
    """A folder that is away, or may be another, is a warning: what it held is still remembered."""
    away = any(folder.state in _AWAY or _unsure(folder) for folder in found.folders)
    return EXIT_NO if away else EXIT_OK


async def folders(run: Invocation) -> int:
    async with run.client() as client:
        stats: Stats = value(await client.call(recall.STATS, Empty()))
    return run.tell(Folders(folders=stats.folders))


# --- archives, imports --------------------------------------------------------------------------


def show_archived(found: Archived, terminal: Terminal) -> None:
    kept = f", {number(found.kept)} kept because they matter" if found.kept else ""
    if not found.archived:
        terminal.line(f"Nothing was unused for so long{kept}.")
        return
    where = f" in {found.file.name}, {size(found.file.bytes)}" if found.file else ""
    terminal.line(f"✓ {_memories(found.archived)} archived{where}{kept}", "ok")
    terminal.note("They are still found. To bring all back: arcanum memory restore --archived")


def show_restored(found: Restored, terminal: Terminal) -> None:
    if found.ids or found.complete:
        terminal.line(f"✓ {_memories(len(found.ids))} back", "ok")
    else:
        terminal.line("✗ None came back", "bad")
    for problem in found.problems:
        terminal.line(f"! {problem}", "warn")


def show_imported(found: Imported, terminal: Terminal) -> None:
    terminal.line(
        f"✓ {_memories(found.added)} new of {plural(found.lines, 'line')}"
        f" · {number(found.skipped)} there already or forgotten"
        f" · {found.seconds:.1f} s",
        "ok",
    )
    if found.refused:
        terminal.line(f"! {plural(found.refused, 'line')} could not be taken in", "warn")
    for problem in found.problems:
        terminal.line(f"  {problem}", "warn")


def whole(found: Imported) -> int:
    return EXIT_NO if found.refused else EXIT_OK


def complete(found: Restored) -> int:
    return EXIT_OK if found.complete else EXIT_NO


def _memories(count: int) -> str:
    return plural(count, "memory", "memories")


# --- how it is ----------------------------------------------------------------------------------


def show_stats(found: Stats, terminal: Terminal) -> None:
    behind = f", {number(found.waiting)} to come" if found.waiting else ""
    meaning = f", {number(found.to_embed)} found by their words alone" if found.to_embed else ""
    terminal.fields(
        (
            ("memories", f"{number(found.memories)} in {plural(found.namespaces, 'namespace')}"),
            ("live", f"{number(found.live)}, {number(found.pinned)} pinned"),
            ("merged", number(found.merged)),
            ("replaced", number(found.replaced)),
            ("archived", number(found.archived)),
            ("forgotten", number(found.forgotten)),
            ("index", f"{_INDEX[found.index]}{behind}{meaning}"),
            ("because", found.note),
            ("meaning", _embedding(found)),
            ("on disk", size(found.index_bytes)),
            ("in memory", size(found.resident_bytes)),
        )
    )
    for file in found.archive_files:
        mark = {"ok": "✓", "unknown": "?"}.get(file.state, "✗")
        terminal.line(
            f"{mark} archive {file.name} · {file.state} · {number(file.live)} of"
            f" {_memories(file.memories)} · {size(file.bytes)} · {when(file.at)}"
        )
    if found.folders:
        show_folders(Folders(folders=found.folders), terminal)


def _embedding(found: Stats) -> str:
    if not found.embedding:
        return ""
    return f"{found.embedding}, {number(found.vectors)} vectors of {found.dimensions}"


def sound(found: Stats) -> int:
    """An index that failed, an archive that is damaged or a folder that is away is a warning."""
    bad = found.index == "failed" or any(
        file.state in {"damaged", "missing"} for file in found.archive_files
    )
    return EXIT_NO if bad else present(Folders(folders=found.folders))


COMMANDS = (
    Command("stats", recall.STATS, show_stats, verdict=sound, examples=("arcanum memory stats",)),
    Command(
        "import",
        recall.IMPORT,
        show_imported,
        run=job,
        add=add_detach,
        verdict=whole,
        examples=(
            "arcanum memory import everything.jsonl",
            "arcanum memory import a.jsonl --namespace b",
        ),
    ),
    Command(
        "archive",
        recall.ARCHIVE,
        show_archived,
        run=job,
        add=add_detach,
        examples=("arcanum memory archive", "arcanum memory archive --namespace a --days 90"),
    ),
    Command(
        "watch",
        recall.WATCH,
        show_watched,
        examples=(
            "arcanum memory watch ~/notes",
            "arcanum memory watch /srv/manuals --namespace house --pinned",
        ),
    ),
    Command(
        "unwatch",
        recall.UNWATCH,
        show_unwatched,
        examples=("arcanum memory unwatch ~/notes",),
    ),
    Command(
        "folders",
        None,
        show_folders,
        run=folders,
        verdict=present,
        summary="The folders that are remembered",
        also=(recall.STATS,),
        examples=("arcanum memory folders",),
    ),
    Command(
        "sync",
        recall.SYNC,
        show_folders,
        run=job,
        add=add_detach,
        verdict=present,
        examples=("arcanum memory sync", "arcanum memory sync --detach"),
    ),
    Command(
        "rebuild",
        recall.REBUILD,
        show_stats,
        run=job,
        add=add_detach,
        verdict=sound,
        examples=("arcanum memory rebuild",),
    ),
)
