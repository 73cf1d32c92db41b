"""Numbers, times and hostile text as short plain text. Pure; no Textual, no pydantic at import."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.contract.shown import visible

BLOCKS = "▁▂▃▄▅▆▇█"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def clean(text: str) -> str:
    """``text`` on one line, with nothing in it that moves a terminal's cursor, or is unseen."""
    return visible(text)


def size(count: float) -> str:
    """Bytes in decimal units, as the cards write them: ``0 B``, ``9.2 MB``, ``198 GB``."""
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1000.0
        unit += 1
    if unit == 0:
        return f"{value:.0f} B"
    return f"{value:.{1 if abs(value) < 9.95 else 0}f} {_UNITS[unit]}"


def number(count: int) -> str:
    """An integer with thousands apart: ``100,000``."""
    return f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 file``, ``2 files``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def span(seconds: float) -> str:
    """A length of time in its largest unit: ``0 s``, ``4 m``, ``22 h``, ``9 d``."""
    value = max(0.0, seconds)
    for bound, step, unit in ((90, 1, "s"), (90 * 60, 60, "m"), (36 * 3600, 3600, "h")):
        if value < bound:
            return f"{value / step:.0f} {unit}"
    return f"{value / 86400:.0f} d"


def ago(then: datetime, now: datetime) -> str:
    """How long ago ``then`` was."""
    return span((now - then).total_seconds())


def until(then: datetime, now: datetime) -> str:
    """How long it is until ``then``; ``now`` where it has passed."""
    left = (then - now).total_seconds()
    return span(left) if left > 0 else "now"


def clock(at: datetime) -> str:
    """Hour and minute, in local time."""
    return at.astimezone().strftime("%H:%M")


def day(at: datetime) -> str:
    """Day and month, in local time: ``27 Nov``."""
    return f"{at.astimezone():%d %b}".lstrip("0")


def moment(at: datetime, now: datetime) -> str:
    """The clock for today, the day and the clock for any other day."""
    local = at.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%d %b %H:%M}"


def minute(at: datetime) -> str:
    """The date and the clock, here."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def percent(part: float, whole: float) -> float:
    """``part`` of ``whole`` in percent; 0 where there is no whole."""
    return 100.0 * part / whole if whole else 0.0


def bar(share: float, width: int) -> str:
    """A bar of ``width`` cells, ``share`` (0–1) of them full, at least one where it is not 0."""
    full = min(width, max(1 if share > 0 else 0, round(share * width)))
    return "█" * full + "░" * (width - full)


def spark(values: Iterable[float | None], width: int, top: float) -> str:
    """The last ``width`` values as block characters, 0 to ``top``; unknown values are ``·``."""
    cells = [
        "·" if v is None else BLOCKS[min(7, max(0, int(8 * v / top)))] if top > 0 else BLOCKS[0]
        for v in values
    ]
    return "".join(cells[-width:]).rjust(width)
