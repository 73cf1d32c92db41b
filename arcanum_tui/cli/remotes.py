"""``arcanum remotes``: what rclone reaches, compared with the libraries, and sent to."""

from __future__ import annotations

import os

from arcanum_tui.cli.arguments import Parser
from arcanum_tui.cli.command import Command, Group, Invocation, call
from arcanum_tui.cli.follow import add_detach, job
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import moment, number, percent, plural, size, span
from engine.contract import remotes
from engine.contract.base import PathRef, now
from engine.contract.errors import EXIT_NO, EXIT_OK
from engine.contract.remotes import (
    CheckResult,
    Holders,
    Inventory,
    RemoteList,
    TransferList,
)

_SHOWN = 10
_ANSWERS = {True: "✓ answers", False: "✗ does not answer", None: ""}
_KINDS = (
    ("missing_there", "missing there"),
    ("missing_here", "missing here"),
    ("differing", "differing"),
    ("size_only", "compared by size alone"),
    ("unknown", "not known"),
)


def show_remotes(found: RemoteList, terminal: Terminal) -> None:
    if not found.remotes:
        terminal.line(f"No remote in {found.config.display}: rclone config makes them.")
        return
    present = now()
    terminal.table(
        ("REMOTE", "TYPE", "WHERE", "", "FILES", "SIZE", "LISTED", "NOTE"),
        (
            Column(),
            Column(),
            Column(most=40),
            Column(),
            Column(right=True),
            Column(right=True),
            Column(),
            Column(grow=True),
        ),
        (
            (
                f"{remote.name}:",
                remote.type,
                remote.where,
                _ANSWERS[remote.reachable],
                "" if remote.files is None else number(remote.files),
                "" if remote.bytes is None else size(remote.bytes),
                moment(remote.listed_at, present) if remote.listed_at else "never",
                remote.problem,
            )
            for remote in found.remotes
        ),
    )
    terminal.note(f"rclone {found.rclone}, {found.config.display}")


def show_inventory(found: Inventory, terminal: Terminal) -> None:
    hashed = f", {number(found.hashed)} with {found.hash}" if found.hash else ""
    terminal.line(
        f"✓ {found.remote}: {plural(found.files, 'file')}, {size(found.bytes)}{hashed}"
        f" in {found.seconds:.1f} s",
        "ok",
    )
    for trouble in found.troubles:
        terminal.line(f"! {trouble}", "warn")
    if found.folders:
        terminal.table(
            ("SIZE", "FILES", "FOLDER"),
            (Column(right=True), Column(right=True), Column(grow=True)),
            ((size(f.bytes), number(f.files), f.name or ".") for f in found.folders[:_SHOWN]),
        )
    for file in found.largest[:_SHOWN]:
        terminal.line(f"{size(file.size):>9}  {file.path.display}")


def show_check(found: CheckResult, terminal: Terminal) -> None:
    by = f"by {found.hash}" if found.hash else "by size alone: the remote has no hash"
    terminal.line(
        f"{'✓' if found.alike else '!'} {found.library} and {found.remote}, {by}:"
        f" {number(found.same)} the same",
        "ok" if found.alike else "warn",
    )
    for kind, words in _KINDS:
        count = getattr(found, kind)
        if not count:
            continue
        terminal.line(f"  {number(count)} {words}", "warn")
        for each in [d for d in found.differences if d.kind == kind][:_SHOWN]:
            why = f"  ({each.why})" if each.why else ""
            terminal.line(f"    {size(each.size):>9}  {each.path.display}{why}")
    if found.read:
        terminal.note(
            f"{size(found.read)} were read here for it."
            f" [media] hashes in config.toml keeps {found.hash} in the catalogue."
        )


def show_transfers(found: TransferList, terminal: Terminal) -> None:
    limit = f"at most {size(found.bandwidth)}/s" if found.bandwidth else "no limit"
    if not found.transfers:
        terminal.line(f"Nothing is sent now ({limit}).")
        return
    terminal.table(
        ("ID", "STATE", "WHAT", "DONE", "FILES", "SENT", "RATE", "ETA", "NOW"),
        (
            Column(right=True),
            Column(),
            Column(),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(grow=True),
        ),
        (
            (
                f"#{one.id}",
                one.state,
                f"{one.library} → {one.remote}",
                f"{percent(one.bytes, one.total_bytes):.0f} %" if one.total_bytes else "",
                f"{number(one.done)} of {number(one.total)}",
                f"{size(one.bytes)} of {size(one.total_bytes)}",
                f"{size(one.rate)}/s" if one.rate else "",
                "" if one.eta_s is None else span(one.eta_s),
                one.now[0].display if one.now else "",
            )
            for one in found.transfers
        ),
    )
    terminal.note(limit)


def show_holders(found: Holders, terminal: Terminal) -> None:
    if not found.holders:
        terminal.line(f"No inventory names {found.path.display}.")
        terminal.note("An inventory is taken by: arcanum remotes inventory REMOTE:FOLDER")
        return
    present = now()
    for holder in found.holders:
        sure = holder.by if holder.by != "size" else "size and name alone: not sure"
        where = f"{holder.remote.rstrip('/')}/{holder.path.display}".replace(":/", ":")
        terminal.line(f"{where}  by {sure}, {moment(holder.at, present)}")


def _answers(found: RemoteList) -> int:
    silent = any(remote.reachable is False for remote in found.remotes)
    return EXIT_NO if silent else EXIT_OK


def _alike(found: CheckResult) -> int:
    return EXIT_OK if found.alike else EXIT_NO


def _read(found: Inventory) -> int:
    return EXIT_NO if found.unread else EXIT_OK


def _held(found: Holders) -> int:
    return EXIT_OK if found.holders else EXIT_NO


def _add_folder(parser: Parser) -> None:
    """As it was typed: what is not absolute is below the library, wherever one stands."""
    help_ = remotes.CHECK.request.model_fields["folder"].description
    parser.add_argument("--folder", metavar="FOLDER", help=help_)


def _add_path(parser: Parser) -> None:
    help_ = remotes.FIND.request.model_fields["path"].description
    parser.add_argument("path", metavar="PATH", help=help_)


def _add_check(parser: Parser) -> None:
    _add_folder(parser)
    add_detach(parser)


def _as_typed(run: Invocation, field: str) -> None:
    typed: str | None = getattr(run.options, field)
    if typed is None:
        delattr(run.options, field)
    else:
        setattr(run.options, field, PathRef.of(os.fsencode(typed)))


async def _check(run: Invocation) -> int:
    _as_typed(run, "folder")
    return await job(run)


async def _send(run: Invocation) -> int:
    _as_typed(run, "folder")
    return await call(run)


async def _find(run: Invocation) -> int:
    _as_typed(run, "path")
    return await call(run)


def sync(group: str) -> Command:
    """The command as it stands in ``group``: a library's mirror is a matter of media too."""
    return Command(
        "sync",
        remotes.SYNC,
        run=_send,
        skip=("folder",),
        add=_add_folder,
        examples=(f"arcanum {group} sync films backup:films",),
    )


GROUP = Group(
    "remotes",
    (
        Command(
            "list",
            remotes.LIST,
            show_remotes,
            verdict=_answers,
            examples=("arcanum remotes list", "arcanum remotes list --probe"),
        ),
        Command(
            "inventory",
            remotes.INVENTORY,
            show_inventory,
            run=job,
            verdict=_read,
            add=add_detach,
            examples=("arcanum remotes inventory backup:films",),
        ),
        Command(
            "check",
            remotes.CHECK,
            show_check,
            run=_check,
            verdict=_alike,
            skip=("folder",),
            add=_add_check,
            examples=(
                "arcanum remotes check films backup:films",
                "arcanum remotes check films backup:films/2024 --folder 2024",
            ),
        ),
        Command(
            "copy",
            remotes.COPY,
            run=_send,
            skip=("folder",),
            add=_add_folder,
            examples=(
                "arcanum remotes copy films backup:films",
                "arcanum remotes copy films backup:films --bandwidth 4MB",
            ),
        ),
        sync("remotes"),
        Command(
            "transfers",
            remotes.TRANSFERS,
            show_transfers,
            examples=("arcanum remotes transfers",),
        ),
        Command("pause", remotes.PAUSE, show_transfers, examples=("arcanum remotes pause 44",)),
        Command("resume", remotes.RESUME, show_transfers, examples=("arcanum remotes resume 44",)),
        Command("cancel", remotes.CANCEL, show_transfers, examples=("arcanum remotes cancel 44",)),
        Command(
            "limit",
            remotes.LIMIT,
            show_transfers,
            examples=("arcanum remotes limit 4MB", "arcanum remotes limit 0"),
        ),
        Command(
            "find",
            remotes.FIND,
            show_holders,
            run=_find,
            verdict=_held,
            skip=("path",),
            add=_add_path,
            examples=("arcanum remotes find films dune/dune.mkv",),
        ),
    ),
)
