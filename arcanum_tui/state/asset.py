"""One file, closely: what it is, where it came from, who else has it, what happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from arcanum_tui.state.grid import NOTHING, Column, Piece, Row, Tone, wrap
from arcanum_tui.state.groups import place
from arcanum_tui.state.media import STATES
from arcanum_tui.state.past import past
from arcanum_tui.state.text import minute, number, plural, size

if TYPE_CHECKING:
    from engine.contract.copies import DuplicateGroup, NearGroup, NearPicture
    from engine.contract.listing import Folder
    from engine.contract.traits import AssetDetail, Traits

LABEL = 11
"""Cells of the names."""

COLUMNS = (Column(width=LABEL), Column(grow=True))
NO_ROW = Row((NOTHING, NOTHING))

UNVERIFIED = "not verified since it could be read"


def details(found: AssetDetail, width: int) -> list[Row]:
    """Names and values, under headings; values are wrapped."""
    asset = found.asset
    word, tone = STATES[found.damage or ("sound" if asset.blake3 else "pending")]
    state = {"✓": "✓ sound", "○ not yet": "○ not hashed yet", "! no read": "! unreadable"}
    read = f", read whole {minute(found.checked_at)}" if found.checked_at else ""
    rows = [*_pair("path", asset.path.display, width), *_pair("library", found.library, width)]
    rows += _pair("size", f"{size(asset.size)} ({number(asset.size)} bytes)", width)
    rows += _pair("modified", minute(asset.modified_at), width)
    rows += _pair("first seen", minute(found.first_seen_at), width)
    why = f": {found.reason}" if found.reason else ""
    rows += _unreachable(found, width)
    told = f"{state.get(word, word)}{why}{read}"
    if found.unreachable:
        rows += _pair("was", told, width, tone if found.damage else "muted")
    else:
        rows += _pair("state", told, width, tone)
    rows += _section("HOLDS", _traits(found.traits), width)
    rows += _section("SOURCE", _sources(found), width)
    rows += _section("COPIES", elsewhere(found) or [("", "none is known")], width)
    happened = past(found) or [("", "nothing happened since it was first seen")]
    rows += _section("HISTORY", happened, width)
    return rows + _hashes(found, width)


def _unreachable(found: AssetDetail, width: int) -> list[Row]:
    """That nobody can say how it is now, and what to look at."""
    if (away := found.unreachable) is None:
        return []
    told = f"? unreachable since {minute(away.since)}: {away.place.display} ({away.why})"
    rows = _pair("state", told, width, "unknown")
    return rows + _pair("last seen", minute(away.seen_at), width)


def elsewhere(found: AssetDetail) -> list[tuple[str, str]]:
    """Its other names and its copies. Of a damaged file a copy that is right is the good one."""
    told = [("also named", f"{n.library}: {n.path.display}") for n in found.names]
    for copy in found.copies:
        away = ", unreachable now" * copy.unreachable
        where = f"{copy.library}: {copy.path.display}{away}"
        read = f"read whole {minute(copy.checked_at)}" if copy.checked_at else "not read again yet"
        good = ("good copy", f"{where} ({read})")
        told.append(good if found.damage else ("same bytes", where))
    if found.copies_total > len(found.copies):
        told.append(("", f"{plural(found.copies_total, 'file')} in all with the same bytes"))
    for held in found.remotes:
        where = f"{held.remote.rstrip('/')}/{held.path.display}".replace(":/", ":")
        good = ("good copy", f"{where} (by {held.by}, listed {minute(held.at)})")
        told.append(good if found.damage else (f"same {held.by}", where))
    if found.held and not found.copies and not found.remotes:
        told.append(("", "no other file with the bytes that it should have is known"))
    damaged = "damaged too" if found.damage else "damaged"
    return told + [(damaged, f"{c.library}: {c.path.display}") for c in found.damaged_copies]


def _hashes(found: AssetDetail, width: int) -> list[Row]:
    """Of a damaged file those that it should have, and what was read instead."""
    blake3 = found.held or found.asset.blake3 or ("none" if found.damage else "not yet")
    title = "HASHES that it should have" if found.held else "HASHES"
    since = [("", UNVERIFIED)] if unverified(found) else []
    rows = _section(title, [("BLAKE3", blake3), *found.hashes.items(), *since], width)
    if found.found:
        rows += _pair("✗ BLAKE3", f"{found.found} was read instead", width, "bad", "bad")
    return rows


def unverified(found: AssetDetail) -> bool:
    """Whether its hash is that of what it held when it could be read last."""
    return found.damage == "unreadable" and bool(found.held or found.asset.blake3)


def _sources(found: AssetDetail) -> list[tuple[str, str]]:
    told = []
    for source in found.sources:
        where = " ← ".join(filter(None, (source.origin, source.referrer)))
        said = where or ", ".join(source.evidence.values())
        told.append((source.kind, f"{said} ({source.confidence:.0%})".strip()))
    return told or [("", f"not known: it appeared {minute(found.first_seen_at)}")]


def _traits(traits: Traits | None) -> list[tuple[str, str]]:
    if traits is None:
        return [("", "not looked into yet")]
    place = f"{traits.latitude}, {traits.longitude}" if traits.latitude is not None else ""
    pairs = [
        ("type", f"{traits.kind}, {traits.type}"),
        ("pixels", f"{traits.width} × {traits.height}" if traits.width else ""),
        ("length", length(traits.duration_ms)),
        ("container", traits.container),
        ("codecs", traits.codecs),
        ("taken", minute(traits.taken_at) if traits.taken_at else ""),
        ("camera", traits.camera),
        ("place", place),
        *((name.replace("_", " "), told) for name, told in traits.details.items()),
        ("problem", traits.problem),
    ]
    return [(name, told) for name, told in pairs if told]


def length(milliseconds: int | None) -> str:
    """``1:04:09``; "" where there is none."""
    if not milliseconds:
        return ""
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def folder(found: Folder, library: str, width: int) -> list[Row]:
    """A folder with all that lies below it, once it is counted."""
    rows = [*_pair("folder", found.path.display, width), *_pair("library", library, width)]
    if found.files is None or found.bytes is None:
        return rows
    rows += _pair("files", number(found.files), width)
    told = f"{size(found.bytes)} ({number(found.bytes)} bytes), each hardlinked file once"
    return rows + _pair("size", told, width)


def copies(group: DuplicateGroup, width: int) -> list[Row]:
    """The files of a group, each with what is proposed for it and why. A row's key is the number
    of its file."""
    words: dict[str, tuple[str, Tone]] = {
        "keep": ("✓ keep", "ok"),
        "stay": ("– stays", "muted"),
        "spare": ("○ spare", "warn"),
    }
    rows: list[Row] = []
    for copy in group.copies:
        word, tone = words[copy.role]
        how: Tone = "strong" if copy.role == "keep" else "plain"
        told = _pair(word, place(copy), width, how, tone)
        told += _pair("", " · ".join(copy.reasons), width, "muted")
        rows += _keyed(told, copy.id)
        for name in copy.names:
            rows += _keyed(_pair("", f"= {name.path.display}", width), name.id)
    if group.count > len(group.copies):
        rows += _pair("", f"{plural(group.count, 'copy', 'copies')} in all", width)
    rows.append(NO_ROW)
    return rows + _pair("BLAKE3", group.blake3, width)


def alike(group: NearGroup, width: int) -> list[Row]:
    """The pictures of a group, each with how far it is from the first, and what it is. A row's key
    is the number of its file."""
    rows: list[Row] = []
    for picture in group.pictures:
        apart = plural(picture.distance, "bit") if rows else "the first"
        told = _pair(apart, place(picture), width)
        told += _pair("", _picture(picture), width, "muted")
        rows += _keyed(told, picture.id)
    if group.count > len(group.pictures):
        rows += _pair("", f"{plural(group.count, 'picture')} in all", width)
    legend = "bits of 64 that differ from the first; which to keep is for you to say"
    return [*rows, NO_ROW, *_pair("", legend, width, "muted")]


def _keyed(rows: Iterable[Row], file: int | None) -> list[Row]:
    return [replace(row, key=str(file or "")) for row in rows]


def _picture(picture: NearPicture) -> str:
    taken = f"taken {minute(picture.taken_at)}" if picture.taken_at else ""
    pixels = f"{picture.width} × {picture.height}" if picture.width else ""
    copies = f"in {number(picture.copies)} copies" if picture.copies > 1 else ""
    return " · ".join(filter(None, (pixels, size(picture.size), taken, copies)))


def _section(title: str, pairs: Iterable[tuple[str, str]], width: int) -> list[Row]:
    rows = [NO_ROW, Row((Piece(title, "title"), NOTHING))]
    for name, told in pairs:
        rows += _pair(name, told, width)
    return rows


def _pair(
    name: str, told: str, width: int, tone: Tone = "plain", name_tone: Tone = "muted"
) -> list[Row]:
    """A name and its value, which is wrapped beside it."""
    if not told:
        return []
    first, *others = wrap(told.replace("\n", " "), max(8, width - LABEL - 2))
    rows = [Row((Piece(name, name_tone), Piece(first, tone)))]
    return rows + [Row((NOTHING, Piece(line, tone))) for line in others]
