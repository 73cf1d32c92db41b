"""``arcanum media duplicates``: files with the same bytes, and pictures that look alike."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from arcanum_tui.cli.arguments import request_of
from arcanum_tui.cli.command import Command, Invocation, value
from arcanum_tui.cli.follow import job_result
from arcanum_tui.state.text import number, plural, size
from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.copies import (
    AskNear,
    ComparePictures,
    Copy,
    DuplicateGroup,
    DuplicatePage,
    DuplicateTotals,
    ExportDuplicates,
    ExportedDuplicates,
    FindDuplicates,
    FoundDuplicates,
    NearGroup,
    NearPage,
)
from engine.contract.errors import Invalid

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser
    from arcanum_tui.cli.terminal import Terminal
    from arcanum_tui.state.grid import Tone

_SHOWN = 10
_TONES: dict[str, Tone] = {"keep": "ok", "stay": "muted", "spare": "plain"}


def show(
    found: DuplicatePage | FoundDuplicates | NearPage | ExportedDuplicates, terminal: Terminal
) -> None:
    match found:
        case ExportedDuplicates():
            _show_exported(found, terminal)
        case NearPage():
            _show_near(found, terminal)
        case FoundDuplicates():
            _show_groups(found.groups, found.totals, terminal)
            _show_search(found, terminal)
        case _:
            _show_groups(found.groups, found.totals, terminal)
            if found.not_duplicates:
                terminal.note(
                    f"{plural(found.not_duplicates, 'group')} left out: no duplicates now"
                )
            if found.candidates:
                terminal.note(
                    f"{plural(found.candidates, 'file')} not hashed yet may be duplicates:"
                    " arcanum media duplicates --read"
                )
            elif found.pending:
                terminal.note(
                    f"{plural(found.pending, 'file')} not hashed yet: none of those sizes"
                )
            if found.unread:
                terminal.note(
                    f"{plural(found.unread, 'file')} could not be read, and may be duplicates:"
                    " arcanum media list --state unreadable"
                )
            _more(found.next, terminal)


def _more(after: str | None, terminal: Terminal) -> None:
    if after is not None:
        terminal.note(f"More: the same with --after '{after}'")


def _show_groups(
    groups: tuple[DuplicateGroup, ...], totals: DuplicateTotals, terminal: Terminal
) -> None:
    for group in groups:
        freed = f"{size(group.frees)} to free" if group.frees else "nothing to free"
        terminal.line(f"{plural(group.count, 'copy', 'copies')} of {size(group.size)}, {freed}")
        for copy in group.copies[:_SHOWN]:
            _show_copy(copy, terminal)
        if group.count > _SHOWN:
            terminal.line(f"  … and {number(group.count - _SHOWN)} more", "muted")
    if not totals.groups:
        terminal.line("No duplicates.", "ok")
        return
    terminal.note(
        f"{plural(totals.groups, 'group')}, {plural(totals.copies, 'copy', 'copies')},"
        f" at most {size(totals.frees)} to free"
    )


def _show_copy(copy: Copy, terminal: Terminal) -> None:
    where = f"{copy.library}: {copy.path.display}" if copy.library else copy.path.display
    why = "; ".join(copy.reasons)
    if copy.shares in {"some", "unknown"} and copy.role == "spare":
        told = "how much it shares is unknown" if copy.shares == "unknown" else "shares some bytes"
        why = f"{why}; {told}, frees {size(copy.frees)}"
    terminal.line(f"  {copy.role:<6}{where}  ({why})", _TONES[copy.role])
    for name in copy.names[:_SHOWN]:
        terminal.line(f"        also named {name.path.display}", "muted")


def _show_search(found: FoundDuplicates, terminal: Terminal) -> None:
    terminal.note(
        f"{plural(found.files, 'file')} met, {size(found.read_bytes)} read in {found.seconds:.1f} s"
    )
    if found.changed:
        terminal.note(f"{plural(found.changed, 'file')} changed meanwhile: left out", "warn")
    if found.unreadable:
        terminal.note(f"{plural(found.unreadable, 'name')} could not be read: unknown", "warn")


def _show_near(found: NearPage, terminal: Terminal) -> None:
    for group in found.groups:
        _show_alike(group, terminal)
    if not found.groups:
        terminal.line("No pictures that look alike.", "ok")
    terminal.note(
        f"{plural(found.total, 'group')} among {plural(found.compared, 'picture')};"
        f" {number(found.plain)} too plain to compare, {number(found.failed)} unreadable"
    )
    _more(found.next, terminal)


def _show_alike(group: NearGroup, terminal: Terminal) -> None:
    terminal.line(f"{plural(group.count, 'picture')} that look alike")
    for one in group.pictures[:_SHOWN]:
        pixels = f"{one.width} × {one.height}, " if one.width else ""
        terminal.line(
            f"  {one.distance:>2} bits  {one.library}: {one.path.display}"
            f"  ({pixels}{size(one.size)})"
        )


def _show_exported(found: ExportedDuplicates, terminal: Terminal) -> None:
    told = f"{plural(found.files, 'file')} in {plural(found.groups, 'group')}"
    terminal.line(f"✓ {told} written to {found.path.display}, {size(found.size)}", "ok")
    if found.untold:
        terminal.note(f"{plural(found.untold, 'file')} of large groups left out", "warn")


def _path(text: str) -> PathRef:
    """The bytes of the argument, made absolute."""
    return PathRef.of(os.fsencode(Path(text).absolute()))


def _add(parser: Parser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        type=_path,
        help="folders to look into, whatever lies there; none: the libraries",
    )
    parser.add_argument(
        "--library",
        metavar="NAME",
        action="append",
        default=[],
        help="only copies in this library; can be repeated",
    )
    parser.add_argument(
        "--read",
        action="store_true",
        help="read first what is not hashed yet and may be a duplicate",
    )
    parser.add_argument("--near", action="store_true", help="pictures that look alike, instead")
    parser.add_argument(
        "--distance",
        metavar="BITS",
        default=argparse.SUPPRESS,
        help="with --near: bits of 64 that may differ, from 0 to 11 (6)",
    )
    parser.add_argument(
        "--export",
        metavar="FILE",
        type=_path,
        help="write every group to a new file: .csv, .jsonl or .md",
    )


async def _run(run: Invocation) -> int:
    options = run.options
    libraries = tuple(options.library)
    paths: tuple[PathRef, ...] = tuple(options.paths)
    paged = any(hasattr(options, name) for name in ("after", "at"))
    if paths and (libraries or options.near or options.read or paged):
        raise Invalid(
            "Folders are looked into as they are: --library, --read, --near, --after and --at are"
            " for libraries.",
            "Leave out the folders, or those.",
        )
    if options.export and (paths or paged or hasattr(options, "limit")):
        raise Invalid(
            "--export writes every group of libraries.",
            "Leave out the folders, --limit, --after and --at.",
        )
    # Checked before an engine is asked for, or started.
    compare = request_of(ComparePictures, options, libraries=libraries)
    search = request_of(FindDuplicates, options, paths=paths, libraries=libraries)
    near = request_of(AskNear, options, libraries=libraries)
    request = run.request(libraries=libraries)
    async with run.client() as client:
        if paths:
            return run.tell(await job_result(run, client, media.FIND_DUPLICATES, search))
        if options.near and not paged:
            await job_result(run, client, media.COMPARE_PICTURES, compare)
        if options.read:
            few = search.model_copy(update={"limit": 1})
            await job_result(run, client, media.FIND_DUPLICATES, few)
        if options.export:
            export = ExportDuplicates(
                path=options.export, libraries=libraries, sort=request.sort, near=options.near
            )
            return run.tell(await job_result(run, client, media.EXPORT_DUPLICATES, export))
        if options.near:
            return run.tell(value(await client.call(media.NEAR, near)))
        return run.tell(value(await client.call(media.DUPLICATES, request)))


DUPLICATES = Command(
    "duplicates",
    media.DUPLICATES,
    show,
    run=_run,
    skip=("libraries",),
    also=(
        media.FIND_DUPLICATES,
        media.NEAR,
        media.COMPARE_PICTURES,
        media.EXPORT_DUPLICATES,
    ),
    add=_add,
    examples=(
        "arcanum media duplicates",
        "arcanum media duplicates --library films --sort count --json",
        "arcanum media duplicates ~/Downloads /srv/films",
        "arcanum media duplicates --near",
        "arcanum media duplicates --library films --export copies.csv",
    ),
)
