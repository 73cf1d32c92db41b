"""What a list of files is narrowed to, and in which order it stands. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from arcanum_tui.state.grid import Column, Piece, Row, Tone, muted
from arcanum_tui.state.text import clean, number, size

if TYPE_CHECKING:
    from engine.contract.listing import Facet

SORTS = ("path", "size", "modified", "added", "taken")
SORTED = {
    "path": ("path", "path backwards"),
    "size": ("size", "size, the smallest first"),
    "modified": ("modified", "modified, the oldest first"),
    "added": ("added", "added, the oldest first"),
    "taken": ("taken", "taken, the oldest first"),
}

FACETS = ("library", "kind", "type", "year", "state", "source", "host", "camera", "larger")
TITLES = {
    "library": "LIBRARY", "kind": "KIND", "type": "TYPE", "year": "YEAR", "state": "STATE",
    "source": "SOURCE", "host": "HOST", "camera": "CAMERA", "larger": "AT LEAST",
}  # fmt: skip
COLUMNS = (Column(), Column(grow=True, least=8), Column(right=True))

DAMAGED = (("state", "damaged"), ("state", "unreadable"))
"""Chosen: what is not what it was, and what cannot be read."""

ALL = "\0all"
"""The key of the row that stands for all libraries."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """``chosen``: facet and value. ``folder``: the one that is looked into, None in the flat view:
    its bytes in base64 and how it is shown, "" for the root."""

    library: str = ""
    text: str = ""
    chosen: tuple[tuple[str, str], ...] = ()
    folder: tuple[str, str] | None = None
    sort: str = SORTS[0]
    reverse: bool = False

    def toggle(self, facet: str, value: str) -> Narrowing:
        """Takes a value, or leaves it. A library, and a least size, there can be only one of."""
        pair = (facet, value)
        kept = tuple(p for p in self.chosen if p != pair)
        if facet == "larger":
            kept = tuple(p for p in kept if p[0] != "larger")
        return replace(self, chosen=kept if pair in self.chosen else (*kept, pair))

    @property
    def narrowed(self) -> bool:
        return bool(self.text or self.chosen)

    def fields(self) -> dict[str, Any]:
        """The fields of a request. What looks into a folder sees what lies directly in it, as long
        as nothing narrows it."""
        found: dict[str, Any] = {"library": None if self.library == ALL else self.library}
        found["filter"] = self.text
        for facet, value in self.chosen:
            if facet == "larger":
                found["larger"] = int(value)
            elif facet == "year":
                found[facet] = (*found.get(facet, ()), int(value))
            elif facet == "library":
                found["library"] = value
            else:
                found[facet] = (*found.get(facet, ()), value)
        if self.folder is not None and self.library != ALL:
            raw, shown = self.folder
            found["under"] = {"raw": raw, "display": shown}
            found["direct"] = not self.narrowed
        return found

    def words(self) -> list[Piece]:
        """How it is narrowed, for a heading."""
        pieces = [Piece(f" · {_shown(facet, value)}", "info") for facet, value in self.chosen]
        if self.text:
            pieces.append(Piece(f" · contains “{self.text}”", "info"))
        return pieces


def _shown(facet: str, value: str) -> str:
    return f"≥ {size(int(value))}" if facet == "larger" else clean(value)


def facet_rows(facets: dict[str, Facet | None], chosen: tuple[tuple[str, str], ...]) -> list[Row]:
    """The panel: each facet under its title; None where it is still being counted. What is chosen
    stands there, even if nothing has it any more."""
    rows: list[Row] = []
    for name, facet in facets.items():
        taken = [value for of, value in chosen if of == name]
        if facet is not None and facet.counted and not taken and len(facet.values) < 2:
            only = facet.values[0].value if facet.values else ""
            if not only or name == "library":
                continue
        rows.append(_title(name, facet))
        values = [(v.value, v.files) for v in facet.values] if facet else []
        listed = {value for value, _files in values}
        values = [(value, 0) for value in taken if value not in listed and facet] + values
        for value, files in values:
            box = Piece("■", "key") if value in taken else muted("□")
            tone: Tone = "strong" if value in taken else "plain"
            rows.append(
                Row(
                    (box, Piece(_shown(name, value), tone), muted(number(files))), f"{name}:{value}"
                )
            )
        if facet is not None and facet.more:
            rows.append(Row((Piece(""), muted(f"and {number(facet.more)} more"), Piece(""))))
    return rows


def _title(name: str, facet: Facet | None) -> Row:
    if facet is None:
        said = muted("…")
    elif not facet.counted:
        said = Piece("not counted", "unknown")
    else:
        said = Piece("")
    return Row((Piece(""), Piece(TITLES[name], "title"), said))
