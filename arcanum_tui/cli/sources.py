"""``arcanum media sources`` and ``clients``: where files came from, and who else holds them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Invocation, value
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import moment, number, plural
from engine.contract import media
from engine.contract.base import Empty, PathRef, now
from engine.contract.errors import EXIT_DEGRADED, EXIT_OK
from engine.contract.sources import (
    SourceCount,
    SourceReport,
    SourceSummary,
    TorrentClients,
    likelihood,
)

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser
    from arcanum_tui.cli.terminal import Terminal

_SHOWN = 10


def show_sources(found: SourceReport, terminal: Terminal) -> None:
    if found.summary is not None:
        _show_summary(found.summary, terminal)
        return
    if all(source.kind == "appeared" for source in found.sources):
        terminal.line("Nothing tells where it came from, only since when it is here.", "title")
    for source in found.sources:
        words = likelihood(source.confidence)
        title = " · ".join(filter(None, (source.kind, source.origin)))
        terminal.line(f"{title}  ({words}, {source.confidence:.0%})", "title")
        noted = f"{source.at.astimezone():%Y-%m-%d %H:%M}"
        pairs = [("referrer", source.referrer), *source.evidence.items(), ("noted", noted)]
        terminal.fields([(name, told) for name, told in pairs if told])


def _show_summary(found: SourceSummary, terminal: Terminal) -> None:
    if not found.files:
        terminal.line(
            "No file is catalogued yet: arcanum media add PATH, arcanum media scan LIBRARY"
        )
        return
    many = f"{number(found.known)} ({found.known / found.files:.0%})" if found.known else "none"
    terminal.line(
        f"{plural(found.files, 'file')}; it is known where {many} of them came from", "title"
    )
    if found.waiting:
        terminal.line(f"? {plural(found.waiting, 'file')} not looked into yet", "warn")
    for title, counts in (
        ("KIND", found.kinds),
        ("HOST", found.hosts),
        ("TRACKER", found.trackers),
        ("CAMERA", found.cameras),
    ):
        if counts:
            _show_counts(title, counts, terminal)


def _show_counts(title: str, counts: tuple[SourceCount, ...], terminal: Terminal) -> None:
    terminal.table(
        (title, "FILES"),
        (Column(grow=True, least=20), Column(right=True)),
        ((count.name, number(count.files)) for count in counts[:_SHOWN]),
    )
    if len(counts) > _SHOWN:
        terminal.note(f"and {number(len(counts) - _SHOWN)} more: --json names them")


def show_clients(found: TorrentClients, terminal: Terminal) -> None:
    if not found.clients:
        terminal.line("No torrent client is configured: [[media.clients]] in config.toml")
        return
    present = now()
    terminal.table(
        ("CLIENT", "KIND", "STATE", "TORRENTS", "SEEDING", "FILES", "ASKED", "ADDRESS"),
        (
            Column(),
            Column(rank=2),
            Column(),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(),
            Column(grow=True, rank=1),
        ),
        (
            (
                client.name,
                client.kind,
                client.state,
                number(client.torrents),
                number(client.seeding),
                number(client.claimed),
                moment(client.asked_at, present) if client.asked_at else "never",
                client.address,
            )
            for client in found.clients
        ),
    )
    if any(client.state == "not asked" for client in found.clients):
        terminal.note("Not asked: not since this engine started. arcanum media clients --now asks.")
    for client in found.clients:
        if client.note:
            terminal.line(f"! {client.name}: {client.note}", "warn")
        if client.unfound:
            where = client.example.display if client.example else "where the client says"
            terminal.line(
                f"! {client.name}: of {plural(client.unfound, 'torrent')} no file was found here:"
                f" {where} (media.clients.paths maps folders)",
                "warn",
            )


def _add_path(parser: Parser) -> None:
    """As it was typed: what is not absolute is below the library, wherever one stands."""
    help_ = media.SOURCES.request.model_fields["path"].description
    parser.add_argument("path", metavar="PATH", nargs="?", help=help_)


async def _sources(run: Invocation) -> int:
    typed: str | None = run.options.path
    run.options.path = None if typed is None else PathRef.of(os.fsencode(typed))
    async with run.client() as client:
        return run.tell(value(await client.call(media.SOURCES, run.request())))


def _add_now(parser: Parser) -> None:
    parser.add_argument("--now", action="store_true", help="ask them first")


async def _clients(run: Invocation) -> int:
    operation = media.ASK_CLIENTS if run.options.now else media.CLIENTS
    async with run.client() as client:
        return run.tell(value(await client.call(operation, Empty())))


def _verdict(found: TorrentClients) -> int:
    failing = any(client.state == "failing" for client in found.clients)
    return EXIT_DEGRADED if failing else EXIT_OK


SOURCES = Command(
    "sources",
    media.SOURCES,
    show_sources,
    run=_sources,
    skip=("path",),
    add=_add_path,
    examples=(
        "arcanum media sources films",
        "arcanum media sources films dune/dune.mkv",
        "arcanum media sources films dune/dune.mkv --json",
    ),
)
CLIENTS = Command(
    "clients",
    media.CLIENTS,
    show_clients,
    run=_clients,
    also=(media.ASK_CLIENTS,),
    add=_add_now,
    verdict=_verdict,
    examples=("arcanum media clients", "arcanum media clients --now"),
)
