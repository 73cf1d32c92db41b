"""Pictures of a report as SVG: drawn by us, one element with its title and what it shows in words.

Colours are classes (``s0`` … for series, ``p0`` … for parts): the page says what they look like,
in light and in the dark. Every picture stands beside a table with its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from arcanum_tui.reports.document import Areas, Bars, Parts, size
from engine.contract.base import visible

WIDTH = 720
_LABEL = 170
_LEFT = 64
_ROW = 26
_LONGEST = 26
_MOST_BARS = 30


def drawn(picture: Bars | Areas | Parts, key: str) -> str:
    """The picture; ``key`` makes its ids unique on the page."""
    if isinstance(picture, Areas):
        height, body = _areas(picture)
    elif isinstance(picture, Parts):
        height, body = _parts(picture)
    elif picture.upright:
        height, body = _columns(picture)
    else:
        height, body = _bars(picture)
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{text(picture.title)}</title>'
        f'<desc id="{key}-d">{text(picture.told)}</desc>{"".join(body)}</svg>'
    )


def text(value: str) -> str:
    """Any text, safe in an element and in an attribute."""
    return escape(visible(value))


def meter(part: int, most: int) -> str:
    """A thin bar for a cell of a table, whose number stands beside it."""
    width = 60 * part / most if most > 0 else 0
    return (
        '<svg class="meter" viewBox="0 0 60 8" aria-hidden="true">'
        f'<rect class="rail" width="60" height="8" rx="2"/>'
        f'<rect class="s0" width="{width:.1f}" height="8" rx="2"/></svg>'
    )


def _short(label: str) -> str:
    shown = visible(label)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _label(x: float, y: float, value: str, anchor: str = "start", kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{mark}>{text(value)}</text>'


def _rect(x: float, y: float, width: float, height: float, *, kind: str, told: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}"'
        f' height="{max(height, 0):.1f}"><title>{text(told)}</title></rect>'
    )


def steps(most: int) -> list[int]:
    """Where the lines of a scale from 0 to ``most`` bytes stand: round numbers, three to six."""
    if most <= 0:
        return [0]
    rough = -(-most // 4)
    tenth = 10 ** (len(str(rough)) - 1)
    tens = (tenth * factor for factor in (10, 20, 25, 50, 100))
    step = next(each // 10 for each in tens if each % 10 == 0 and each // 10 >= rough)
    return [step * number for number in range(-(-most // step) + 1)]


# --- bars -----------------------------------------------------------------------------------------


def _bars(picture: Bars) -> tuple[int, list[str]]:
    """Lying, a label before each and its size behind."""
    pairs = list(zip(picture.labels, picture.values, strict=True))[:_MOST_BARS]
    most = max((value for _, value in pairs), default=0)
    room = WIDTH - _LABEL - 90
    body = []
    for place, (label, value) in enumerate(pairs):
        y = place * _ROW + 4
        width = max(2, room * value / most) if value else 0
        body += [
            _label(_LABEL - 10, y + 13, _short(label), "end"),
            _rect(_LABEL, y, width, _ROW - 8, kind="s0", told=f"{label}: {size(value)}"),
            _label(_LABEL + width + 8, y + 13, size(value), kind="n"),
        ]
    return len(pairs) * _ROW + 4, body


def _columns(picture: Bars) -> tuple[int, list[str]]:
    """Upright, in an order of time."""
    pairs = list(zip(picture.labels, picture.values, strict=True))
    top, bottom = 12, 220
    marks = steps(max((value for _, value in pairs), default=0))
    body = list(_grid(marks, top, bottom))
    room = (WIDTH - _LEFT - 10) / max(1, len(pairs))
    every = math.ceil(len(pairs) / 16)
    for place, (label, value) in enumerate(pairs):
        x = _LEFT + place * room
        height = (bottom - top) * value / (marks[-1] or 1)
        body.append(
            _rect(
                x + room * 0.14,
                bottom - height,
                min(room * 0.72, 60),
                height,
                kind="s0",
                told=f"{label}: {size(value)}",
            )
        )
        if (len(pairs) - 1 - place) % every == 0:
            middle = x + room * 0.14 + min(room * 0.72, 60) / 2
            body.append(_label(middle, bottom + 18, label, "middle", "n"))
    return bottom + 28, body


def _grid(marks: Sequence[int], top: int, bottom: int) -> Iterable[str]:
    for mark in marks:
        y = bottom - (bottom - top) * mark / (marks[-1] or 1)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - 6}" y1="{y:.1f}" y2="{y:.1f}"/>'
        number, _, unit = size(mark).partition(" ")
        round_ = number.rstrip("0").rstrip(".") if "." in number else number
        yield _label(_LEFT - 8, y + 4, f"{round_} {unit}", "end", "n")


# --- areas ----------------------------------------------------------------------------------------


def _areas(picture: Areas) -> tuple[int, list[str]]:
    top, bottom = 12, 250
    sums = [sum(values) for values in picture.values]
    marks = steps(max(sums, default=0))
    body = list(_grid(marks, top, bottom))
    places = _places(picture.months)

    def point(month: int, value: int) -> str:
        return f"{places[month]:.1f},{bottom - (bottom - top) * value / (marks[-1] or 1):.1f}"

    below = [0] * len(sums)
    for number, name in enumerate(picture.series):
        # What left may have weighed more than what is known to have come.
        above = [
            low + max(0, values[number]) for low, values in zip(below, picture.values, strict=True)
        ]
        line = [point(month, value) for month, value in enumerate(above)]
        back = [point(month, value) for month, value in enumerate(below)][::-1]
        told = f"{name}: {size(picture.values[-1][number])} in {picture.months[-1]}"
        body.append(
            f'<polygon class="s{number}" points="{" ".join([*line, *back])}">'
            f"<title>{text(told)}</title></polygon>"
        )
        below = above
    body += _months(picture.months, places, bottom)
    legend, height = _legend(picture.series, bottom + 44, "s")
    return height, [*body, *legend]


def _ordinal(month: str) -> int:
    year, _, number = month.partition("-")
    return 12 * int(year) + int(number)


def _places(months: Sequence[str]) -> list[float]:
    """Where each month stands: those in which nothing moved take their room too."""
    ordinals = [_ordinal(month) for month in months]
    span = max(1, ordinals[-1] - ordinals[0])
    room = WIDTH - _LEFT - 12
    return [_LEFT + room * (ordinal - ordinals[0]) / span for ordinal in ordinals]


def _months(months: Sequence[str], places: Sequence[float], bottom: int) -> Iterable[str]:
    """As many labels as there is room for; the last month has one."""
    free = float(WIDTH)
    for month, x in zip(reversed(months), reversed(places), strict=True):
        at = min(max(x, _LEFT + 10), WIDTH - 30)
        if at + 30 <= free:
            yield _label(at, bottom + 18, month, "middle", "n")
            free = at - 34


# --- parts ----------------------------------------------------------------------------------------


def _parts(picture: Parts) -> tuple[int, list[str]]:
    """A bar as long as the room for each label, divided by its parts."""
    body = []
    room = WIDTH - _LABEL - 8
    pairs = list(zip(picture.labels, picture.values, strict=True))[:_MOST_BARS]
    for place, (label, values) in enumerate(pairs):
        y, x, whole = place * _ROW + 4, float(_LABEL), sum(values)
        body.append(_label(_LABEL - 10, y + 13, _short(label), "end"))
        if not whole:
            body.append(_label(_LABEL, y + 13, "nothing", kind="n"))
            continue
        widths = _widths(values, room)
        for number, (value, width) in enumerate(zip(values, widths, strict=True)):
            if value:
                told = f"{label}: {picture.states[number]}, {size(value)}"
                body.append(_rect(x, y, width, _ROW - 8, kind=f"p{number}", told=told))
                x += width
    legend, height = _legend(picture.states, len(pairs) * _ROW + 26, "p")
    return height, [*body, *legend]


def _widths(values: Sequence[int], room: float) -> list[float]:
    """By share; a part that is there is seen, however small (damage above all)."""
    least = 4.0
    whole = sum(values)
    widths = [max(least, room * value / whole) if value else 0.0 for value in values]
    spare = sum(widths) - room
    large = sum(width for width in widths if width > least)
    return [width - spare * width / large if width > least and large else width for width in widths]


def _legend(names: Sequence[str], y: float, kind: str) -> tuple[list[str], int]:
    """Rows of coloured squares with their names; also how high all is."""
    body, x = [], float(_LEFT)
    for number, name in enumerate(names):
        shown = _short(name)
        width = 34 + 7.4 * len(shown)
        if x + width > WIDTH and x > _LEFT:
            x, y = float(_LEFT), y + 20
        body.append(
            f'<rect class="{kind}{number}" x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12"/>'
        )
        body.append(_label(x + 18, y, shown))
        x += width
    return body, int(y + 10)
