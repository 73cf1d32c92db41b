"""What happened to a file, in words: when, what changed, and by whose yes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcanum_tui.state.text import minute, size

if TYPE_CHECKING:
    from engine.contract.integrity import Happening
    from engine.contract.traits import AssetDetail

SHORT = 8
"""Digits of a hash that are enough to tell one from another."""


def past(found: AssetDetail) -> list[tuple[str, str]]:
    """Each happening, the newest first. What it held after one is what the next one found."""
    now = found.library, found.asset.path.display, found.asset.size, found.asset.blake3
    told: list[tuple[str, str]] = []
    for one in found.history:
        before = one.library, one.path.display, one.size, one.blake3
        parts = (minute(one.at), *_changed(one, before, now), by(one))
        told.append((one.what, " · ".join(filter(None, parts))))
        now = before
    return told


_State = tuple[str, str, int, str | None]


def _changed(one: Happening, before: _State, after: _State) -> tuple[str, ...]:
    library, path, held, blake3 = before
    if one.what == "changed":
        new = "not read yet" if one.note == "unread" else _short(after[3])
        sizes = size(held) if held == after[2] else f"{size(held)} → {size(after[2])}"
        if held != after[2] and size(held) == size(after[2]):
            sizes = f"{held:,} → {after[2]:,} bytes"
        return path, sizes, f"{_short(blake3)} → {new}"
    if one.what == "moved":
        whence = path if library == after[0] else f"{library}: {path}"
        return (f"{whence} → {after[1]}",)
    if one.what == "rotten":
        return path, f"{_short(one.note)} was read instead of {_short(blake3)}"
    if one.what == "unreadable":
        return path, one.note
    return path, size(held), _short(blake3)


def _short(blake3: str | None) -> str:
    return blake3[:SHORT] if blake3 else "not known"


def by(one: Happening) -> str:
    """The approval that it went by, or that was undone."""
    if one.approval is None:
        return ""
    return f"by #{one.approval}" if one.what == "gone" else f"#{one.approval} was undone"
