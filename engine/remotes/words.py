"""How sizes, times and counts are put into words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOLD = 20


def size(count: float) -> str:
    """Bytes for people, in powers of 1000, as limits are given: 198 GB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def span(seconds: float) -> str:
    """How long, roughly: 40 s, 18 m, 5 h."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def when(time_ns: int) -> datetime:
    """A time of 64 bits in nanoseconds: it lies between 1677 and 2262."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def some(problems: Sequence[str]) -> tuple[str, ...]:
    """At most twenty of them, and how many more there are."""
    if len(problems) <= _TOLD:
        return tuple(problems)
    return (*problems[:_TOLD], f"and {len(problems) - _TOLD:,} more")
