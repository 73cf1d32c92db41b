"""What was measured: rows of one table, printed for people and stored as JSON."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["met", "missed", "unknown", ""]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure. ``scratch`` is a folder of this run that is removed at its end.

    ``rounds`` is how often ours and the peer take turns; ``quick`` asks for a rough look.
    """

    rounds: int
    quick: bool
    scratch: Path


@dataclass(frozen=True, slots=True)
class Aim:
    """``ours`` at most ``value`` (in the row's unit), and at most ``ratio`` times the peer.

    None: not asked for.
    """

    value: float | None = None
    ratio: float | None = None

    def __str__(self) -> str:
        parts = [f"≤ {self.ratio:g}×"] if self.ratio is not None else []
        parts += [f"≤ {number(self.value)}"] if self.value is not None else []
        return ", ".join(parts) or "—"


@dataclass(frozen=True, slots=True)
class Row:
    """One line. ``ours`` and ``peer`` are of the same ``unit``; smaller is better.

    ``note`` says why a number is missing, or what must be known to read it; ``samples`` are the
    single measurements in the order in which they were made.
    """

    name: str
    unit: str
    ours: float | None
    peer: float | None = None
    peer_name: str = ""
    aim: Aim = Aim()
    note: str = ""
    samples: dict[str, tuple[float, ...]] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    """Where the ratio lies, at 95 %."""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.ours is not None and self.peer else None

    @property
    def verdict(self) -> Verdict:
        """Whether the medians meet the aim; unknown where a number that it needs is missing."""
        if self.aim == Aim():
            return ""
        held: list[bool | None] = []
        if self.aim.value is not None:
            held.append(None if self.ours is None else self.ours <= self.aim.value)
        if self.aim.ratio is not None:
            held.append(None if self.ratio is None else self.ratio <= self.aim.ratio)
        if False in held:
            return "missed"
        return "unknown" if None in held else "met"

    @property
    def unclear(self) -> bool:
        """Whether another run might well find the opposite: the interval spans the aim."""
        if self.interval is None or self.aim.ratio is None:
            return False
        low, high = self.interval
        return low <= self.aim.ratio < high

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer,
            "peer_name": self.peer_name,
            "ratio": self.ratio,
            "interval": self.interval,
            "aim": {"value": self.aim.value, "ratio": self.aim.ratio},
            "verdict": self.verdict,
            "unclear": self.unclear,
            "note": self.note,
            "samples": {name: list(values) for name, values in self.samples.items()},
        }


def versus(
    name: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    peer_name: str,
    aim: Aim = Aim(),
    share: float = 0.5,
    note: str = "",
) -> Row:
    """A row of samples of both: their medians, or with ``share`` another percentile (0.95)."""
    return Row(
        name,
        unit,
        percentile(ours, share) if ours else None,
        percentile(peer, share) if peer else None,
        peer_name,
        aim,
        note,
        {"ours": tuple(ours), "peer": tuple(peer)},
    )


def paired(
    name: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    peer_name: str,
    aim: Aim = Aim(),
    note: str = "",
) -> Row:
    """A row of pairs, ours and the peer's measured right after one another: with an interval."""
    row = versus(name, unit, ours, peer, peer_name=peer_name, aim=aim, note=note)
    return replace(row, interval=_interval(ours, peer))


_DRAWS = 2_000


def _interval(ours: Sequence[float], peer: Sequence[float]) -> tuple[float, float] | None:
    """Where the ratio of the medians lies, at 95 %, by the bootstrap over whole pairs.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
    """
    pairs = list(zip(ours, peer, strict=True))
    if len(pairs) < 3:
        return None
    draw = random.Random(1993)  # The same samples, the same interval.
    ratios = []
    for _ in range(_DRAWS):
        drawn = draw.choices(pairs, k=len(pairs))
        ratios.append(
            statistics.median(one for one, _ in drawn) / statistics.median(two for _, two in drawn)
        )
    return percentile(ratios, 0.025), percentile(ratios, 0.975)


def missing(name: str, unit: str, why: str, *, aim: Aim = Aim()) -> Row:
    """A row that could not be measured, with the reason."""
    return Row(name, unit, None, aim=aim, note=why)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0–1) of the values lie, linear between neighbours."""
    if share == 0.5:
        return statistics.median(values)
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def number(value: float | None) -> str:
    """Three figures that tell something; a dash where nothing is known."""
    if value is None:
        return "—"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


_HEADS = ("", "unit", "ours", "peer", "ratio", "aim", "", "")


def render(rows: Sequence[Row]) -> str:
    """The table as text, aligned for a terminal."""
    lines = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS) - 1)]
    return "\n".join(_line(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "—" if row.ratio is None else f"{row.ratio:.2f}×"
    if row.interval is not None:
        ratio += f" ({row.interval[0]:.2f}–{row.interval[1]:.2f})"
    peer = f"{number(row.peer)} {row.peer_name}".strip() if row.peer is not None else "—"
    marks = {"met": "✓ met", "missed": "✗ missed", "unknown": "? unknown", "": ""}
    mark = marks[row.verdict] + (", unclear" if row.unclear else "")
    return (row.name, row.unit, number(row.ours), peer, ratio, str(row.aim), mark, row.note)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *columns, note = cells
    padded = [
        cell.rjust(width) if index in {2, 4} else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(columns, widths, strict=True))
    ]
    return "  ".join([*padded, note]).rstrip()
