"""How much was held month by month: what came, less what left."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from engine.contract.report import MOST_MONTHS, MOST_SERIES, Amount, Growth, Month
from engine.media.paging import when

_BEFORE = ""
"""Stands for the time before the first month; it sorts before all of them."""


@dataclass(slots=True)
class _Sum:
    files: int = 0
    bytes: int = 0

    def add(self, files: int, size: int) -> None:
        self.files += files
        self.bytes += size

    @property
    def amount(self) -> Amount:
        return Amount(files=self.files, bytes=self.bytes)


class _Flow(defaultdict[str, _Sum]):
    """Sums by month."""

    def __init__(self) -> None:
        super().__init__(_Sum)


def ledger(db: sqlite3.Connection, names: Mapping[int, str]) -> Growth:
    """Every file that is held came once and stays; one that left came and went."""
    came, left = _Flow(), _Flow()
    net: dict[int, _Flow] = {library: _Flow() for library in names}

    def note(flow: _Flow, library: int, month: str, files: int, size: int) -> None:
        flow[month].add(files, size)
        sign = 1 if flow is came else -1
        net[library][month].add(sign * files, sign * size)

    for row in _by_month(db, "times", "month"):
        note(came, *row)
    for row in _by_month(db, "stays", "came"):
        note(came, *row)
    for row in _by_month(db, "stays", "left"):
        note(left, *row)
    months = sorted({*came, *left} - {_BEFORE})
    shown = months[-MOST_MONTHS:]
    first = shown[0] if shown else "~"
    before = _Sum()
    for flow, sign in ((came, 1), (left, -1)):
        for month, moved in flow.items():
            if month < first:
                before.add(sign * moved.files, sign * moved.bytes)
    series = _series(net)
    rows, held = [], before.amount
    levels = [sum(_until(net[library], first) for library in group) for group in series]
    for month in shown:
        arrived, gone = came[month].amount, left[month].amount
        held = Amount(
            files=held.files + arrived.files - gone.files,
            bytes=held.bytes + arrived.bytes - gone.bytes,
        )
        for place, group in enumerate(series):
            levels[place] += sum(net[library][month].bytes for library in group)
        rows.append(Month(month=month, arrived=arrived, left=gone, held=held, bytes=tuple(levels)))
    since = db.execute(
        "SELECT min(at) FROM history CROSS JOIN shown USING (library) WHERE what = 'gone'"
    ).fetchone()[0]
    return Growth(
        before=before.amount,
        months=tuple(rows),
        series=tuple(names[group[0]] if len(group) == 1 else "" for group in series),
        since=None if since is None else when(since),
    )


def _by_month(db: sqlite3.Connection, table: str, column: str) -> list[tuple[int, str, int, int]]:
    return [
        tuple(row)
        for row in db.execute(
            f"SELECT library, {column}, sum(files), sum(bytes) FROM {table} GROUP BY 1, 2"  # noqa: S608
        )
    ]


def _until(flow: _Flow, month: str) -> int:
    return sum(moved.bytes for when_, moved in flow.items() if when_ < month)


def _series(net: Mapping[int, _Flow]) -> list[list[int]]:
    """Groups of libraries that are told as one: the largest by themselves, then all others."""
    ordered = sorted(net, key=lambda library: -_until(net[library], "~"))
    alone, others = ordered[:MOST_SERIES], ordered[MOST_SERIES:]
    if len(others) == 1:
        return [[library] for library in ordered]
    return [*([library] for library in alone), *([others] if others else [])]
