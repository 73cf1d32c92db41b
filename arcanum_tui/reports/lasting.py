"""The sections of the media report that tell of time: age, growth, and when files were read."""

from __future__ import annotations

from arcanum_tui.reports.document import Areas, Column, Parts, Section, Table, size
from arcanum_tui.reports.tables import bars, divided, minute
from engine.contract.report import Amount, Integrity, MediaReport, Month

_SHOWN_MONTHS = 24
_INTACT = (
    "Files by when they were last read whole and held what they should: within 30 days, a quarter,"
    " a year, or longer ago. What was never read, or cannot be, is not sound: it is unknown."
)
STATES = (
    "30 days", "a quarter", "a year", "longer ago", "not known when", "never", "cannot be read",
    "damaged",
)  # fmt: skip
"""When files were last read whole and right, from the best to the worst."""


def age(found: MediaReport) -> Section:
    tables = (
        divided(
            found.modified,
            found.total,
            "Year",
            unknown="dated in the future",
            kind="text",
            title="Last modified",
            others="before",
            metered=False,
        ),
        divided(
            found.first_seen,
            found.total,
            "Year",
            unknown="not known",
            kind="text",
            title="First seen here",
            others="before",
        ),
    )
    picture = bars(found.modified, "Size by the year of the last change", {}, upright=True)
    return Section("How old it is", (), (picture,) if found.modified.rows else (), tables)


def growth(found: MediaReport) -> Section:
    part, months = found.growth, found.growth.months
    text = [
        "A file counts as large as it is now; one that left, as it was then, by each of its names."
    ]
    if part.since is not None:
        text.append(f"What left is known since {minute(part.since)}.")
    shown = months[-_SHOWN_MONTHS:]
    before = part.before if shown == months else months[-len(shown) - 1].held
    bottom = (("before", "", "", "", "", before.files, before.bytes),)
    table = Table(
        columns=(
            Column("Month"),
            Column("Came", "number"),
            Column("Size", "bytes"),
            Column("Left", "number"),
            Column("Size", "bytes"),
            Column("Held", "number"),
            Column("Size", "bytes"),
        ),
        rows=tuple(_month(month) for month in reversed(shown)),
        bottom=bottom if shown else (),
    )
    if not months:
        return Section("Growth", ("Nothing came or went yet.",))
    names = tuple(name or "all others" for name in part.series)
    first, last = months[0], months[-1]
    picture = Areas(
        "What was held at the end of each month",
        f"From {size(first.held.bytes)} in {first.month} to {size(last.held.bytes)} in"
        f" {last.month}.",
        tuple(month.month for month in months),
        names,
        tuple(month.bytes for month in months),
    )
    return Section("Growth", tuple(text), (picture,) if len(months) > 1 else (), (table,))


def _month(month: Month) -> tuple[str | int, ...]:
    amounts = (month.arrived, month.left, month.held)
    return (month.month, *(n for amount in amounts for n in (amount.files, amount.bytes)))


def _parts(one: Integrity) -> tuple[Amount, ...]:
    damaged = Amount(
        files=one.rotten.files + one.unreadable.files,
        bytes=one.rotten.bytes + one.unreadable.bytes,
    )
    sound = (one.month, one.quarter, one.year, one.older)
    return (*sound, one.unchecked, one.pending, one.unread, damaged)


def integrity(found: MediaReport) -> Section:
    counts = [
        (*(part.files for part in _parts(one)), one.unreadable_names) for one in found.integrity
    ]
    rows: tuple[tuple[str | int, ...], ...] = tuple(
        (one.library, one.verdict, *numbers)
        for one, numbers in zip(found.integrity, counts, strict=True)
    )
    sums = [sum(column) for column in zip(*counts, strict=True)]
    table = Table(
        columns=(
            Column("Library", "name"),
            Column("Verdict"),
            *(Column(state, "number") for state in STATES),
            Column("unreadable names", "number"),
        ),
        rows=rows,
        bottom=(("all", "", *sums),) if rows else (),
    )
    values = tuple(tuple(part.bytes for part in _parts(one)) for one in found.integrity)
    picture = Parts(
        "When the files were last read whole, and were right",
        "; ".join(f"{one.library}: {one.verdict}" for one in found.integrity) + ".",
        tuple(one.library for one in found.integrity),
        STATES,
        values,
    )
    return Section("Whether it is intact", (_INTACT,), (picture,) if rows else (), (table,))


def unknown(one: Integrity) -> int:
    return one.unchecked.files + one.pending.files + one.unread.files + one.unreadable_names
