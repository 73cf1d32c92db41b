"""``arcanum media verify``, ``damaged`` and ``history``: are files still what they were?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from arcanum_tui.cli.arguments import Parser
from arcanum_tui.cli.command import Command, Invocation, call
from arcanum_tui.cli.follow import add_detach, job
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.past import by
from arcanum_tui.state.text import number, plural, size
from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.errors import EXIT_DEGRADED, EXIT_NO, EXIT_OK
from engine.contract.integrity import (
    Compared,
    Damaged,
    DamagedPage,
    Happening,
    History,
    VerifyResult,
)

_LISTED = 20
_WAITING = {
    "unread": "its new bytes were not read yet",
    "touched": "its size and modification time did not; it was not read since",
}


def show_verified(found: VerifyResult, terminal: Terminal) -> None:
    read = f"{plural(found.checked, 'file')} read, {size(found.checked_bytes)}"
    took = f"in {found.seconds:.1f} s"
    if found.compared is None:
        bad = found.rotten + found.unreadable
        if not bad and found.fresh:
            fresh = f"{plural(found.fresh, 'file')} too fresh to tell, else nothing damaged"
            terminal.line(f"! {found.library}: {fresh} · {read} {took}", "warn")
        elif bad:
            terminal.line(f"✗ {found.library}: {number(bad)} damaged · {read} {took}", "bad")
        else:
            terminal.line(f"✓ {found.library}: nothing damaged · {read} {took}", "ok")
    else:
        _show_compared(found.library, found.compared, f"{read} {took}", terminal)
    _show_damaged(found.damaged, terminal)
    for one in found.troubles[:_LISTED]:
        where = f"line {one.line}" if one.path is None else one.path.display
        terminal.line("  ".join(filter(None, (f"! {one.kind.replace('_', ' ')}", where, one.why))))
    if len(found.troubles) > _LISTED:
        terminal.note(f"More of them: --json names the first of each kind, {_LISTED} stand here")
    if found.mended:
        terminal.line(f"✓ {plural(found.mended, 'file')} can be read and is right again", "ok")
    if found.edited:
        terminal.note(f"{plural(found.edited, 'file')} had changed: looked at anew")
    if found.fresh:
        terminal.note(
            f"{plural(found.fresh, 'file')} with other bytes than before, too fresh to tell whether"
            " that is damage or an edit: verify again in a minute"
        )
    if found.unread:
        terminal.line(
            f"! {plural(found.unread, 'file')} could not be read, so nothing can be said of them:"
            f" arcanum media list {found.library} --state unreadable",
            "warn",
        )
    if waiting := found.pending - found.unread:
        terminal.line(
            f"! {plural(waiting, 'file')} never hashed yet, so nothing can be said of them:"
            f" arcanum media scan {found.library}",
            "warn",
        )


def _show_compared(library: str, found: Compared, read: str, terminal: Terminal) -> None:
    counts = (
        (found.differing, "differing"),
        (found.missing, "missing here" if found.remote else "missing"),
        (found.unreadable, "unreadable"),
        (found.bad_lines, f"bad {'line' if found.bad_lines == 1 else 'lines'}"),
        (found.extra, "not there" if found.remote else "not in the list"),
        (found.unsure, "not sure" if found.hash else "compared by size alone"),
    )
    told = ", ".join(f"{number(count)} {what}" for count, what in counts if count)
    bad = found.differing + found.missing + found.unreadable + found.bad_lines
    whole = not bad and found.matching + found.unsure == found.entries
    said = f"on {found.remote}, by {found.hash or 'size'}" if found.remote else "as the list says"
    terminal.line(
        f"{'✓' if whole else '✗'} {library}: {number(found.matching)} of"
        f" {number(found.entries)} {said}{f', {told}' if told else ''} · {read}",
        "ok" if whole else "bad",
    )


def _show_damaged(damaged: Sequence[Damaged], terminal: Terminal) -> None:
    for one in damaged[:_LISTED]:
        since = f" since {_moment(one.since)}" if one.since else ""
        reason = f": {one.reason}" if one.reason else ""
        terminal.line(f"{one.damage}  {one.library}: {one.path.display}{since}{reason}", "bad")
        for copy in one.copies:
            read = f"read {_moment(copy.checked_at)}" if copy.checked_at else "not read again yet"
            terminal.line(f"    good copy  {copy.library}: {copy.path.display} ({read})")
        for held in one.remotes:
            where = f"{held.remote.rstrip('/')}/{held.path.display}".replace(":/", ":")
            by = "same size and name: not sure" if held.by == "size" else f"by {held.by}"
            terminal.line(f"    good copy  {where} ({by}, listed {_moment(held.at)})")
        if not one.copies and not one.remotes:
            terminal.line("    no other file with these bytes is known")
    if len(damaged) > _LISTED:
        terminal.note("More of them: arcanum media damaged")


def show_damaged(found: DamagedPage, terminal: Terminal) -> None:
    if not found.total:
        terminal.line("No damaged file is known.")
    _show_damaged(found.damaged, terminal)
    if found.next is not None:
        terminal.note(f"{plural(found.total, 'file')} in all. More: --after {found.next}")


def show_history(found: History, terminal: Terminal) -> None:
    if found.file is not None:
        file = found.file
        terminal.fields(
            (
                ("file", f"{file.library}: {file.path.display}"),
                ("number", str(file.id)),
                ("first seen", _moment(file.first_seen_at)),
                ("read whole", _moment(file.checked_at) if file.checked_at else "not yet"),
                ("BLAKE3", file.blake3 or "not yet"),
                *file.hashes.items(),
                ("damage", file.damage or ""),
            )
        )
    if not found.happenings:
        terminal.line("Nothing has happened since it was first seen.")
        return
    terminal.table(
        ("AT", "WHAT", "SIZE", "BLAKE3", "WHERE IT WAS", "NOTE"),
        (
            Column(),
            Column(),
            Column(right=True, rank=2),
            Column(rank=1),
            Column(grow=True),
            Column(),
        ),
        (
            (
                _moment(one.at),
                one.what,
                size(one.size),
                one.blake3[:12] if one.blake3 else "not known",
                f"{one.library}: {one.path.display}",
                _note(one),
            )
            for one in found.happenings
        ),
    )
    if found.next is not None:
        terminal.note(f"More: --before {found.next}")


def _note(happening: Happening) -> str:
    if happening.what == "rotten":
        return f"found {happening.note[:12]}"
    if happening.approval is not None:
        return by(happening)
    return _WAITING.get(happening.note, happening.note)


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def verified(found: VerifyResult) -> int:
    """2 where something is not what it was, 1 where something is left unsaid."""
    listed = found.compared
    if found.rotten or found.unreadable or found.refused:
        return EXIT_DEGRADED
    if listed is not None:
        if listed.matching + listed.unsure < listed.entries or listed.bad_lines:
            return EXIT_DEGRADED
        unsaid = listed.extra or listed.unsure or found.fresh or found.pending
        return EXIT_NO if unsaid else EXIT_OK
    return EXIT_NO if found.fresh or found.pending else EXIT_OK


def sound(found: DamagedPage) -> int:
    """2 where a damaged file is known."""
    return EXIT_DEGRADED if found.total else EXIT_OK


# --- paths, as they were typed: files that are not absolute are below the library ----------------


def _add_verify(parser: Parser) -> None:
    help_ = "only these files and folders: absolute, or below the library"
    parser.add_argument("paths", metavar="PATHS", nargs="*", help=help_)
    help_ = (
        "compare with a checksum list (of md5sum, sha256sum, b3sum, …), by its path from"
        " the current folder, or with a remote: REMOTE:FOLDER, or a folder of this machine with"
        " --remote"
    )
    parser.add_argument("--against", metavar="LIST|REMOTE:FOLDER", help=help_)
    add_detach(parser)


def _add_history(parser: Parser) -> None:
    help_ = "the file: absolute, or below the library; where it is, or was before it went"
    parser.add_argument("path", metavar="PATH", nargs="?", help=help_)


def _as_meant(typed: str) -> tuple[str | None, PathRef | None]:
    """A remote (REMOTE:FOLDER), or a list: from the folder that one stands in, as it is written by
    other programs. ``./NAME`` is a list, whatever is in it."""
    if ":" in typed.partition("/")[0]:
        return typed, None
    return None, PathRef.of(os.fsencode(Path(typed).absolute()))


async def _verify(run: Invocation) -> int:
    typed: str | None = run.options.against
    remote, run.options.against = _as_meant(typed) if typed else (None, None)
    if remote is not None:
        run.options.remote = remote
    run.options.paths = tuple(PathRef.of(os.fsencode(path)) for path in run.options.paths)
    return await job(run)


async def _history(run: Invocation) -> int:
    typed: str | None = run.options.path
    run.options.path = None if typed is None else PathRef.of(os.fsencode(typed))
    return await call(run)


VERIFY = Command(
    "verify",
    media.VERIFY,
    show_verified,
    run=_verify,
    verdict=verified,
    skip=("paths", "against"),
    add=_add_verify,
    examples=(
        "arcanum media verify films",
        "arcanum media verify films dune --days 30",
        "arcanum media verify films --against /srv/films/SHA256SUMS",
        "arcanum media verify films --against backup:films",
        "arcanum media verify films --hashes md5 sha1 --detach",
    ),
)
DAMAGED = Command(
    "damaged",
    media.DAMAGED,
    show_damaged,
    verdict=sound,
    examples=("arcanum media damaged", "arcanum media damaged films --json"),
)
HISTORY = Command(
    "history",
    media.HISTORY,
    show_history,
    run=_history,
    skip=("path",),
    add=_add_history,
    examples=(
        "arcanum media history films",
        "arcanum media history films dune/dune.mkv --json",
    ),
)
