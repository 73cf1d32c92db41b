"""``arcanum media show``: all that is known of one file."""

from __future__ import annotations

import os
from datetime import datetime

from arcanum_tui.cli.arguments import Parser
from arcanum_tui.cli.command import Command, Invocation, value
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.asset import UNVERIFIED, elsewhere, unverified
from arcanum_tui.state.past import past
from arcanum_tui.state.text import number, size
from engine.contract import media
from engine.contract.base import PathRef
from engine.contract.traits import AssetDetail, Traits


def show_asset(found: AssetDetail, terminal: Terminal) -> None:
    asset = found.asset
    lines = [
        ("file", asset.path.display),
        ("library", f"{found.library}, number {asset.id}"),
        ("size", f"{size(asset.size)} ({number(asset.size)} bytes)"),
        ("modified", _moment(asset.modified_at)),
        ("first seen", _moment(found.first_seen_at)),
        *(_traits(found.traits) if found.traits else [("holds", "not looked into yet")]),
        ("BLAKE3", _known(found)),
        *((kind, digest) for kind, digest in found.hashes.items()),
        ("read whole", _moment(found.checked_at) if found.checked_at else ""),
        ("unreachable", _unreachable(found)),
        ("damage", ": ".join(filter(None, (found.damage, found.reason)))),
    ]
    for source in found.sources:
        told = " ← ".join(filter(None, (source.origin, source.referrer)))
        words = filter(None, (source.kind, told, f"({source.confidence:.0%})"))
        lines.append(("source", " ".join(words)))
    lines += [(name or "copies", told) for name, told in elsewhere(found)]
    lines += [("history", f"{what}: {told}") for what, told in past(found)]
    for name, told in lines:
        if told:
            terminal.line(f"{name:<12}{told}")


def _unreachable(found: AssetDetail) -> str:
    away = found.unreachable
    if away is None:
        return ""
    why = f"{away.place.display} since {_moment(away.since)} ({away.why})"
    return f"{why}; last seen {_moment(away.seen_at)}"


def _traits(traits: Traits) -> list[tuple[str, str]]:
    pixels = f"{traits.width} × {traits.height}" if traits.width else ""
    seconds = (traits.duration_ms or 0) / 1000
    length = f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{seconds % 60:06.3f}"
    where = f"{traits.latitude}, {traits.longitude}" if traits.latitude is not None else ""
    return [
        ("holds", f"{traits.kind}, {traits.type}"),
        ("pixels", pixels),
        ("length", length if traits.duration_ms else ""),
        ("container", traits.container),
        ("codecs", traits.codecs),
        ("made", _moment(traits.taken_at) if traits.taken_at else ""),
        ("camera", traits.camera),
        ("place", where),
        *((name.replace("_", " ")[:11], told) for name, told in traits.details.items()),
        ("problem", traits.problem),
    ]


def _known(found: AssetDetail) -> str:
    blake3 = found.held or found.asset.blake3
    if blake3 is None:
        return "none" if found.damage else "not yet"
    return f"{blake3} ({UNVERIFIED})" if unverified(found) else blake3


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _add_path(parser: Parser) -> None:
    """As it was typed: what is not absolute is below the library, wherever one stands."""
    help_ = media.SHOW.request.model_fields["path"].description
    parser.add_argument("path", metavar="PATH", nargs="?", help=help_)


async def _show(run: Invocation) -> int:
    typed: str | None = run.options.path
    run.options.path = None if typed is None else PathRef.of(os.fsencode(typed))
    async with run.client() as client:
        return run.tell(value(await client.call(media.SHOW, run.request())))


SHOW = Command(
    "show",
    media.SHOW,
    show_asset,
    run=_show,
    skip=("path",),
    add=_add_path,
    examples=(
        "arcanum media show films dune/dune.mkv",
        "arcanum media show --id 12 --json",
    ),
)
