"""Libraries and files as rows. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state.frame import LIBRARY_STATES, UNKNOWN_STATE, WATCH_STATES
from arcanum_tui.state.grid import Column, Piece, Row, Tone, muted
from arcanum_tui.state.model import State
from arcanum_tui.state.narrowing import ALL
from arcanum_tui.state.text import ago, minute, number, percent, plural, size, span

if TYPE_CHECKING:
    from engine.contract.assets import Library, ListedAsset
    from engine.contract.listing import Folder
    from engine.contract.quota import Gauge

LIBRARIES = (
    Column(most=20), Column(), Column(right=True), Column(right=True), Column(), Column(rank=3),
    Column(right=True, rank=2), Column(grow=True, least=6, rank=1),
)  # fmt: skip
FILES = (
    Column(width=7, right=True),
    Column(width=10, rank=2),
    Column(most=8, rank=3),
    Column(most=13, rank=4),
    Column(most=16, rank=1),
    Column(grow=True, width=20, middle=True),
)

FOLDER = "folder:"
"""The key of a folder's row begins so."""

PAGE = 500
"""Files that are read at once."""


def library_row(library: Library, gauge: Gauge | None, state: State, now: datetime) -> Row:
    """A library, its numbers and its limit."""
    word, tone = _state(library)
    watch, watch_tone = WATCH_STATES.get(library.watch, UNKNOWN_STATE)
    scanned = (
        f"scanned {ago(library.last_scan_at, now)} ago" if library.last_scan_at else "never scanned"
    )
    notes = [f"✗ {number(library.damaged)} damaged"] if library.damaged else []
    if library.since is not None:
        notes.append(f"since {minute(library.since)}")
    if library.note:
        notes.append(library.note)
    if waiting := library.pending - library.unread:
        notes.append(f"{number(waiting)} to hash")
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


def _state(library: Library) -> tuple[str, Tone]:
    """How a library is: only one in which nothing is wrong, or unread, is simply well."""
    if library.state == "ok" and library.damaged:
        return "✗ damaged", "bad"
    if library.state == "ok" and (library.unreadable or library.unseen):
        return "! in part", "warn"
    return LIBRARY_STATES.get(library.state, UNKNOWN_STATE)


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
            if job.state == "paused":
                return f"{share}, paused"
            return f"{share}{f', ETA {span(p.eta_s)}' if p.eta_s is not None else ''}"
    return ""


def everything_row(libraries: tuple[Library, ...]) -> Row:
    """All libraries together."""
    files = sum(library.files for library in libraries)
    return Row(
        (
            Piece("all", "strong"), muted(plural(len(libraries), "library", "libraries")),
            Piece(plural(files, "file")), Piece(size(sum(x.bytes for x in libraries))),
            *[Piece("")] * 4,
        ),
        ALL,
    )  # fmt: skip


STATES: dict[str, tuple[str, Tone]] = {
    "rotten": ("✗ damaged", "bad"),
    "unreadable": ("! no read", "warn"),
    "unreachable": ("? unreachable", "unknown"),
    "pending": ("○ not yet", "unknown"),
    "sound": ("✓", "ok"),
}


def asset_row(asset: ListedAsset, *, everywhere: bool, sort: str, below: str) -> Row:
    """A file: how big, how old, what it is, how it stands, and where it lies, from ``below`` on.
    Its ``link`` is the path as the disk knows it."""
    state: str = asset.damage or ("sound" if asset.blake3 else "pending")
    if asset.unreachable and state != "rotten":
        state = "unreachable"
    seen = f" (last seen {minute(asset.seen_at)})" if asset.unreachable else ""
    at = {"added": asset.first_seen_at, "taken": asset.taken_at}.get(sort, asset.modified_at)
    links = f" ({asset.links} links)" if asset.links > 1 else ""
    return Row(
        (
            Piece(size(asset.size)), muted(f"{at.astimezone():%Y-%m-%d}" if at else "–"),
            muted(asset.kind or "?"), Piece(*STATES[state]),
            muted(asset.library if everywhere else ""),
            Piece(asset.path.display.removeprefix(below) + links + seen),
        ),
        str(asset.id),
        asset.path.raw,
    )  # fmt: skip


def folder_row(folder: Folder) -> Row:
    """A folder, with all that lies below it, as far as it is counted."""
    name = folder.path.display.rpartition("/")[2]
    files = "…" if folder.files is None else number(folder.files)
    weight = muted("…") if folder.bytes is None else Piece(size(folder.bytes))
    return Row(
        (
            weight, muted(f"{files:>10}"), muted("folder"),
            Piece(""),
            Piece(""), Piece(f"{name}/", "key"),
        ),
        FOLDER + folder.path.raw,
        folder.path.raw,
    )  # fmt: skip
