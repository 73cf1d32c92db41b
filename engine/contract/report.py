"""Reports: what there is, in numbers that add up, to be shown, kept or handed on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.contract.assets import LibraryState
from engine.contract.base import Name, PathRef, Wire
from engine.contract.copies import DuplicateTotals
from engine.contract.operation import Limits, Operation

MOST_ROWS = 40
"""Rows of a breakdown; what is beyond them is summed up."""
MOST_YEARS = 30
MOST_MONTHS = 120
MOST_SERIES = 7
"""Libraries whose growth is told apart from the others'."""


class ReportMedia(Wire):
    libraries: Annotated[tuple[Name, ...], Field(max_length=100)] = Field(
        (), description="only these libraries; none: all"
    )
    most: Annotated[int, Field(ge=0, le=200)] = Field(
        20, description="name so many of the largest files, and of the duplicates"
    )
    no_paths: bool = Field(
        False,
        description="leave out what things are called here: files, folders, libraries, servers and"
        " the machine",
    )


class Amount(Wire):
    """``files`` are names in a library; ``bytes`` counts a file that has several of them once."""

    files: int = 0
    bytes: int = 0


class Share(Amount):
    """What is called ``name``."""

    name: str


class Breakdown(Wire):
    """``others`` is what is beyond ``rows``, ``unknown`` that of which it is not known. All of them
    together are the total of the report."""

    rows: tuple[Share, ...]
    others: Amount
    unknown: Amount


class Total(Amount):
    """The sum of the libraries. ``bytes_once``: what several libraries hold (one lies in the other)
    is counted once. ``pending`` files were never read, ``damaged`` ones are not what they were,
    ``unreadable`` names could not be looked at and are in none of the numbers."""

    bytes_once: int
    pending: int
    damaged: int
    unreadable: int


class LibraryShare(Amount):
    """A library as the catalogue knows it. ``path`` is None where paths are left out."""

    library: str
    path: PathRef | None
    state: LibraryState
    note: str
    last_scan_at: datetime | None


class Month(Wire):
    """``arrived`` and ``left`` within the ``month`` (2026-11, UTC); ``held`` at its end is what was
    held at the end of the one before, and what arrived, less what left. ``bytes``: what each of the
    growth's ``series`` held then."""

    month: str
    arrived: Amount
    left: Amount
    held: Amount
    bytes: tuple[int, ...]


class Growth(Wire):
    """The months in which something came or went, ``before`` them what was held already. The last
    of them ends with the total.

    A file counts as large as it is now, or was when it left; one that left, by each of its names.
    ``series`` are the largest libraries; an empty name stands for the others. ``since``: what left
    before is no longer known (None: nothing left that is known).
    """

    before: Amount
    months: tuple[Month, ...]
    series: tuple[str, ...]
    since: datetime | None


class LargeFile(Wire):
    """``kind`` is None where it was not looked into. ``path`` is relative to its library."""

    library: str
    path: PathRef | None
    size: int
    links: int
    modified_at: datetime
    kind: str | None


class HeldTwice(Wire):
    """Files of the same bytes, ``size`` each; one of their names. ``frees``: bytes, at most."""

    size: int
    copies: int
    frees: int
    library: str
    path: PathRef | None


class Duplicates(Wire):
    """``pending`` files are not hashed yet and not among the ``totals``; empty files never are."""

    totals: DuplicateTotals
    pending: int
    groups: tuple[HeldTwice, ...]


class Sources(Wire):
    """By the most telling evidence of each file: its kind, and the server that it names."""

    kinds: Breakdown
    hosts: Breakdown


class Integrity(Wire):
    """The files of a library by when they were last read whole and held what they should: within
    30 days, a quarter, a year, or longer ago. ``unchecked``: it is not known when. ``pending`` were
    never read, ``unread`` could not be, and were not before, ``unreadable`` can be no more.
    ``unreadable_names`` are in none of these. ``verdict`` is 'sound' only where nothing of that,
    and no name, is unknown."""

    library: str
    verdict: Literal["sound", "damaged", "unknown"]
    month: Amount
    quarter: Amount
    year: Amount
    older: Amount
    unchecked: Amount
    pending: Amount
    unread: Amount = Amount()
    rotten: Amount
    unreadable: Amount
    unreadable_names: int


class LimitShare(Wire):
    """A library against its limit, in bytes; ``in_trash`` is not in ``used``."""

    library: str
    used: int
    limit: int
    over: int
    in_trash: int
    state: Literal["ok", "over", "unknown"]


class MediaReport(Wire):
    """What the libraries hold, as the catalogue knew it ``at`` one moment. Sizes in bytes.

    ``limits`` is None where they could not be asked for, and holds the libraries that have one.
    """

    version: Literal[1] = 1
    at: datetime
    machine: str
    seconds: float
    total: Total
    libraries: tuple[LibraryShare, ...]
    kinds: Breakdown
    types: Breakdown
    cameras: Breakdown
    modified: Breakdown
    first_seen: Breakdown
    growth: Growth
    largest: tuple[LargeFile, ...]
    duplicates: Duplicates
    sources: Sources
    integrity: tuple[Integrity, ...]
    limits: tuple[LimitShare, ...] | None = None


MEDIA = Operation(
    "report.media",
    "What the libraries hold, in numbers that add up",
    ReportMedia,
    MediaReport,
    limits=Limits(concurrent=2, timeout_s=600),
    positional=("libraries",),
)
