"""Libraries and files as rows. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.frame import LIBRARY_STATES, UNKNOWN_STATE, WATCH_STATES
from arcanum_tui.state.grid import Column, Piece, Row, muted
from arcanum_tui.state.model import State
from arcanum_tui.state.text import ago, number, percent, plural, size, span

if TYPE_CHECKING:
    from engine.contract.assets import Asset, Library
    from engine.contract.quota import Gauge

LIBRARIES = (
    Column(most=20), Column(), Column(right=True), Column(right=True), Column(), Column(rank=3),
    Column(right=True, rank=2), Column(grow=True, least=6, rank=1),
)  # fmt: skip
FILES = (
    Column(width=9, right=True),
    Column(width=10, rank=2),
    Column(width=12, rank=3),
    Column(grow=True, width=20),
)

PAGE = 500
"""Files that are read at once."""

SORTS = ("path", "size", "modified")


def library_row(library: Library, gauge: Gauge | None, state: State, now: datetime) -> Row:
    """A library, its numbers and its limit."""
    word, tone = LIBRARY_STATES.get(library.state, UNKNOWN_STATE)
    watch, watch_tone = WATCH_STATES.get(library.watch, UNKNOWN_STATE)
    scanned = (
        f"scanned {ago(library.last_scan_at, now)} ago" if library.last_scan_at else "never scanned"
    )
    notes = [library.note] if library.note else []
    if library.pending:
        notes.append(f"{number(library.pending)} to hash")
    if library.unreadable:
        notes.append(f"! {number(library.unreadable)} unreadable")
    notes.append(library.path.display)
    return Row(
        (
            Piece(library.name, "strong"), Piece(word, tone), Piece(plural(library.files, "file")),
            Piece(size(library.bytes)), limit(gauge), Piece(watch, watch_tone),
            Piece(_scan(library, state) or scanned, "muted"), Piece(" · ".join(notes), "muted"),
        ),
        library.name,
    )  # fmt: skip


def limit(gauge: Gauge | None) -> Piece:
    """How a library stands to its limit."""
    if gauge is None or gauge.limit is None:
        return Piece("– no limit", "muted")
    share = f"{percent(gauge.used, gauge.limit):.0f} % of {size(gauge.limit)}"
    match gauge.state:
        case "over":
            return Piece(f"! {share}", "warn")
        case "ok":
            return Piece(f"✓ {share}", "ok")
    return Piece(f"? of {size(gauge.limit)}", "unknown")


def _scan(library: Library, state: State) -> str:
    for job in state.running:
        if job.operation == "media.scan" and job.subject == library.name:
            p = job.progress
            share = f"{percent(p.done, p.total):.0f} %" if p.total else number(p.done)
            return f"{share}{f', ETA {span(p.eta_s)}' if p.eta_s is not None else ''}"
    return ""


def asset_row(asset: Asset) -> Row:
    """A file: how big, how old, whether it was hashed, and its path in the library. Its ``link``
    is the path as the disk knows it."""
    hashed = Piece(asset.blake3[:10], "muted") if asset.blake3 else Piece("○ not yet", "unknown")
    links = f" ({asset.links} links)" if asset.links > 1 else ""
    return Row(
        (
            Piece(size(asset.size)), muted(f"{asset.modified_at.astimezone():%Y-%m-%d}"),
            hashed, Piece(asset.path.display + links),
        ),
        str(asset.id),
        asset.path.raw,
    )  # fmt: skip
