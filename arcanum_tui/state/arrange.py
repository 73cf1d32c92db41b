"""Where the overview's panels stand at a given size. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDE = 100
HUGE = 170


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the screen, in cells."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Want:
    """A panel's wish: at least so many lines, its heading included, and at most."""

    name: str
    least: int
    most: int


def share(height: int, wants: Sequence[Want], filler: str = "") -> dict[str, int]:
    """Lines for each panel: first what each needs, then one more in turn, as far as they want.

    What is left goes to ``filler``. Where there is too little, the last panels lose first.
    """
    given = {w.name: w.least for w in wants}
    for want in reversed(wants):
        excess = sum(given.values()) - height
        if excess <= 0:
            break
        given[want.name] = max(0, given[want.name] - excess)
    spare = height - sum(given.values())
    while spare > 0:
        hungry = [w for w in wants if given[w.name] < w.most][:spare]
        if not hungry:
            break
        for want in hungry:
            given[want.name] += 1
        spare -= len(hungry)
    if filler in given:
        given[filler] += max(0, spare)
    return given


def want(name: str, rows: int, least: int) -> Want:
    """The wish of a panel with so many rows; without rows its heading is enough."""
    return Want(name, 1 + min(rows, least), 1 + rows)


def overview(width: int, height: int, rows: Mapping[str, int]) -> dict[str, Box]:
    """The panels' places. ``rows``: how many rows each panel has; a huge window has room for
    a card, too."""
    if width >= HUGE:
        left = width * 3 // 5
        boxes = _wide(left - 1, height, rows, with_since=False)
        card = min(height // 2, 18)
        boxes["card"] = Box(left, 0, width - left, card)
        boxes["since"] = Box(left, card, width - left, height - card)
        return boxes
    return _wide(width, height, rows) if width >= WIDE else _narrow(width, height, rows)


def _narrow(width: int, height: int, rows: Mapping[str, int]) -> dict[str, Box]:
    order = ("needs", "broken", "storage", "since", "jobs", "machines")
    least = {"needs": 3, "broken": 2}
    wants = [want(name, rows[name], least.get(name, 1)) for name in order]
    return _stack(0, 0, width, share(height, wants, "since"))


def _wide(
    width: int, height: int, rows: Mapping[str, int], *, with_since: bool = True
) -> dict[str, Box]:
    half = width * 11 // 20
    left = ("since", "jobs") if with_since else ("jobs",)
    middle = max(
        sum(1 + max(1, min(rows[name], 4)) for name in left), 1 + max(1, min(rows["storage"], 8))
    )
    bottom = 1 + min(rows["machines"], 2 if height < 30 else 6)
    top = share(
        max(2, height - middle - bottom),
        [want("needs", rows["needs"], 3), want("broken", rows["broken"], 2)],
    )
    boxes = _stack(0, 0, width, top)
    y = sum(top.values())
    middle = height - bottom - y
    lines = share(middle, [want(name, rows[name], 2) for name in reversed(left)], "jobs")
    boxes |= _stack(0, y, half, {name: lines[name] for name in left})
    boxes["storage"] = Box(half + 1, y, width - half - 1, middle)
    boxes["machines"] = Box(0, height - bottom, width, bottom)
    return boxes


def _stack(x: int, y: int, width: int, lines: Mapping[str, int]) -> dict[str, Box]:
    boxes = {}
    for name, height in lines.items():
        boxes[name] = Box(x, y, width, height)
        y += height
    return boxes
