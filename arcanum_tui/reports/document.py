"""What every form of a report has in common: headings, sentences, tables, and what to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


@dataclass(frozen=True, slots=True)
class Column:
    """``name``: what stands there comes from outside, and is shown as it is, whatever it says."""

    head: str
    kind: Literal["text", "name", "number", "bytes"] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text, or a number of bytes or things. ``bottom`` rows are no part of those that
    the table lists: what is beyond them, what is unknown, and the sum. ``metered``: its sizes are
    drawn beside them, as no picture does it."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | int, ...], ...]
    bottom: tuple[tuple[str | int, ...], ...] = ()
    title: str = ""
    metered: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar for each label, in the unit of bytes."""

    title: str
    told: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    upright: bool = False


@dataclass(frozen=True, slots=True)
class Areas:
    """What each of ``series`` held at the ends of the months, one upon the other."""

    title: str
    told: str
    months: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """For each label, what it is made of. ``states`` are the names of the parts."""

    title: str
    told: str
    labels: tuple[str, ...]
    states: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[Bars | Areas | Parts, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the numbers at the top. ``tone`` says whether it is well; its words say so too."""

    value: str
    label: str
    tone: Literal["plain", "ok", "warn", "bad"] = "plain"


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    about: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]


def count(value: int) -> str:
    return f"{value:,}"


def size(value: float) -> str:
    """Bytes with three digits, in decimal units: ``0 B``, ``9.22 MB``, ``198 GB``."""
    scaled, unit = float(value), 0
    while abs(scaled) >= 999.5 and unit < len(_UNITS) - 1:
        scaled /= 1000.0
        unit += 1
    if unit == 0:
        return f"{scaled:.0f} B"
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {_UNITS[unit]}"


def share(part: int, whole: int) -> str:
    """``12.3 %``; nothing where there is no whole."""
    if whole <= 0 or part <= 0:
        return ""
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.05 else f"{percent:.1f} %"
