"""A request for files as SQL: which rows, in which order, by which way through the catalogue. Pure.

In the SQL ``f`` is the file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args

from engine.contract.assets import Matching
from engine.contract.errors import Invalid
from engine.contract.sources import SourceKind
from engine.media.catalogue import fold_text

DATE = "coalesce(f.taken_at, f.mtime_ns)"
_STATES = {
    "sound": "(f.damage = '' AND f.blake3 IS NOT NULL)",
    "pending": "(f.damage = '' AND f.blake3 IS NULL)",
    "damaged": "f.damage = 'rotten'",
    "unreadable": "(f.damage <> '' AND f.damage <> 'rotten')",
}
OF_INDEX = {"file_damaged": "f.damage <> ''", "file_pending": "f.blake3 IS NULL"}
"""What makes SQLite see that an index of few files holds all that is looked for."""
_UNKNOWN = "unknown"
_EVERY_KIND = ", ".join(f"'{kind}'" for kind in get_args(SourceKind))
"""The index of hosts is by kind: so it is entered once for each, and not walked through."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """``column``: kind or host. ``files``: a SELECT of those with a source that is wanted;
    ``of_one``: whether one has it."""

    column: str
    files: str
    of_one: str
    values: tuple[str, ...]

    @property
    def condition(self) -> str:
        return f"f.id IN ({self.files})"


@dataclass(frozen=True, slots=True)
class Match:
    """``where`` and its ``values`` are the conditions beyond the library. ``below``: what the paths
    lie between, if a folder is meant. ``index``: the one that holds little else than what is looked
    for, if there is one. ``covered``: `file_facets` holds all that the conditions ask for.
    ``kinds``, ``types``, ``cameras``: those that are wanted, none: any; of ``kinds`` only where no
    file of an unknown kind is meant. ``dates``: what they lie between; ``least``: the least size;
    ``sourced``: of each condition on sources how it is asked of a file, and the SELECT, with its
    values, of all that fulfil it; ``needle``: what the visible path contains. ``effort``: so many
    files are to be looked up at most, where somebody counted. ``looks``: the kinds, types and
    cameras that are wanted, with "unknown"; ``spans``: what the date lies between; ``states``;
    ``direct``: not in folders below."""

    libraries: tuple[int, ...]
    where: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    below: tuple[bytes, bytes] | None = None
    index: str = ""
    covered: bool = True
    kinds: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    dates: tuple[int, int] | None = None
    least: int = 0
    sourced: tuple[Sourced, ...] = ()
    needle: str = ""
    effort: int | None = None
    looks: tuple[tuple[str, ...], ...] = ((), (), ())
    spans: tuple[tuple[int, int], ...] = ()
    states: tuple[str, ...] = ()
    direct: bool = False

    @property
    def everything(self) -> bool:
        """Whether whole libraries are meant."""
        return not self.where

    @property
    def condition(self) -> str:
        """All conditions, with the libraries; ``bound`` are its values."""
        marks = ", ".join("?" * len(self.libraries))
        return " AND ".join((f"f.library IN ({marks})", *self.where))

    @property
    def by_row(self) -> str:
        """All conditions beyond the library, as a few files are asked; with the same ``values``."""
        of_one = {sourced.condition: sourced.of_one for sourced in self.sourced}
        return " AND ".join(of_one.get(condition, condition) for condition in self.where) or "1"

    @property
    def bound(self) -> tuple[Any, ...]:
        return (*self.libraries, *self.values)


def match(libraries: Sequence[int], asked: Matching, *, without: str = "") -> Match:
    """``without``: the field of this name is left out. Raises Invalid."""
    made, index = _Made(), _index(asked, without)
    if needle := fold_text(asked.filter):
        made.beyond("instr(f.folded, ?) > 0", needle)
    below = _below(asked)
    if below is not None:
        made.beyond("f.path >= ? AND f.path < ?", *below)
    if asked.direct:
        start = 1 if below is None else len(below[0]) + 1
        made.beyond("instr(substr(f.path, ?), x'2f') = 0", start)
    looks = {n: () if n == without else getattr(asked, n) for n in ("kind", "type", "camera")}
    for name in ("kind", "type"):
        made.any_of(f"f.{name}", looks[name])
    if looks["camera"]:
        made.add(f"f.camera IN ({', '.join('?' * len(looks['camera']))})", *looks["camera"])
    spans = [nanoseconds(year) for year in asked.year] if without != "year" else []
    if spans:
        each = f"{DATE} BETWEEN ? AND ?"
        made.add(f"({' OR '.join([each] * len(spans))})", *(n for span in spans for n in span))
    for name, column in (("source", "s.kind"), ("host", "s.host")):
        wanted: tuple[str, ...] = () if name == without else getattr(asked, name)
        if wanted:
            marks = ", ".join("?" * len(wanted))
            # Asked from the sources' side: most files have none.
            of_kind = "" if name == "source" else f"s.kind IN ({_EVERY_KIND}) AND "
            files = f"SELECT s.file AS id FROM source s WHERE {of_kind}{column} IN ({marks})"  # noqa: S608
            of_one = (
                "EXISTS (SELECT 1 FROM source s INDEXED BY source_by_file"  # noqa: S608
                f" WHERE s.file = f.id AND {column} IN ({marks}))"
            )
            sourced = Sourced(column[2:], files, of_one, tuple(wanted))
            made.beyond(sourced.condition, *wanted)
            made.sourced += (sourced,)
    states = () if without == "state" else asked.state
    if states:
        made.beyond(f"({' OR '.join(_STATES[state] for state in states)})")
        if index:
            made.beyond(OF_INDEX[index])
    least = 0 if without == "larger" else int(asked.larger)
    if least:
        made.add("f.size >= ?", least)
    return Match(
        tuple(libraries), tuple(made.where), tuple(made.values), below, index, made.covered,
        () if _UNKNOWN in looks["kind"] else looks["kind"],
        () if _UNKNOWN in looks["type"] else looks["type"], looks["camera"],
        (min(spans)[0], max(spans)[1]) if spans else None, least, made.sourced, needle, None,
        (looks["kind"], looks["type"], looks["camera"]), tuple(spans), states, asked.direct,
    )  # fmt: skip


class _Made:
    def __init__(self) -> None:
        self.where: list[str] = []
        self.values: list[Any] = []
        self.covered = True
        self.sourced: tuple[Sourced, ...] = ()

    def add(self, condition: str, *values: Any) -> None:
        self.where.append(condition)
        self.values += values

    def beyond(self, condition: str, *values: Any) -> None:
        """A condition that the index of facets cannot answer."""
        self.add(condition, *values)
        self.covered = False

    def any_of(self, column: str, chosen: Sequence[str]) -> None:
        known = [value for value in chosen if value != _UNKNOWN]
        ways = [f"{column} IN ({', '.join('?' * len(known))})"] if known else []
        if len(known) < len(chosen):
            ways.append(f"{column} IS NULL")
        if ways:
            self.add(f"({' OR '.join(ways)})", *known)


def _below(asked: Matching) -> tuple[bytes, bytes] | None:
    if asked.under is None:
        return None
    if asked.library is None:
        raise Invalid("A folder lies in a library.", "Name the library, too.")
    return between(folder_of(asked.under.raw))


def folder_of(raw: str) -> bytes:
    """A folder below the root as bytes, without a slash at its ends; b"" is the root. Raises
    Invalid."""
    try:
        path = base64.b64decode(raw, validate=True).rstrip(b"/")
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    if b"\0" in path or (path and any(p in {b"", b".", b".."} for p in path.split(b"/"))):
        raise Invalid("Not a folder below a library's root.", "Name it as `media.tree` does.")
    return path


def between(folder: bytes) -> tuple[bytes, bytes] | None:
    """What the paths below a folder lie between; None for the root: all of them."""
    return (folder + b"/", folder + b"0") if folder else None


def _index(asked: Matching, without: str) -> str:
    """An index that holds little else than what is looked for, if there is one."""
    if not asked.state or without == "state":
        return ""
    if set(asked.state) <= {"damaged", "unreadable"}:
        return "file_damaged"
    return "file_pending" if set(asked.state) == {"pending"} else ""


def nanoseconds(year: int) -> tuple[int, int]:
    """Its first and its last, as far as 64 bits hold them."""
    begin, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    least, most = (max(-(2**63), min(2**63 - 1, at)) for at in (begin * 10**9, end * 10**9 - 1))
    return least, most


# --- order ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Phase:
    """Rows that fulfil ``where``, by a column and then by id. ``index`` holds them in this order;
    ``exact``: and no others."""

    column: str
    index: str
    descending: bool = True
    where: str = ""
    exact: bool = True

    @property
    def key(self) -> str:
        return f"f.{self.column}"

    @property
    def order(self) -> str:
        way = "DESC" if self.descending else "ASC"
        return f"k {way}, id {way}"

    def between(self, found: Match) -> tuple[str, tuple[Any, ...]]:
        """What a match says of the column: so much of the index need not be looked at."""
        if self.column == "path" and found.below:
            return " AND f.path >= ? AND f.path < ?", found.below
        if self.column == "size" and found.least:
            return " AND f.size >= ?", (found.least,)
        if self.where and found.dates:  # By date, in two phases: the column is it, in each.
            return f" AND {self.key} BETWEEN ? AND ?", found.dates
        return "", ()

    @property
    def beyond(self) -> str:
        """The condition for what comes behind a row: its key and its id."""
        return f"({self.key}, f.id) {'<' if self.descending else '>'} (?, ?)"


# Paths from a to z; the largest, newest, latest first. What was taken at no known time comes last,
# by its change.
_ORDERS = {
    "path": (Phase("path", "file_by_path", descending=False),),
    "size": (Phase("size", "file_by_size"),),
    "modified": (Phase("mtime_ns", "file_by_age"),),
    "added": (Phase("first_seen_at", "file_by_first_seen"),),
    "taken": (
        Phase("taken_at", "file_by_taken", where="f.taken_at IS NOT NULL"),
        Phase("mtime_ns", "file_by_age", where="f.taken_at IS NULL", exact=False),
    ),
}


def phases(sort: str, *, reverse: bool) -> tuple[Phase, ...]:
    """The parts of a list, one after the other."""
    if not reverse:
        return _ORDERS[sort]
    return tuple(replace(phase, descending=not phase.descending) for phase in _ORDERS[sort])


@dataclass(frozen=True, slots=True)
class Mark:
    """A row in an order: what comes behind it is the next page."""

    phase: int
    key: Any
    id: int


def mark_at(sort: str, row: Any) -> Mark:
    """Where a row of ``file`` stands."""
    number = 1 if sort == "taken" and row["taken_at"] is None else 0
    return Mark(number, row[_ORDERS[sort][number].column], row["id"])


def cursor(sort: str, reverse: bool, mark: Mark) -> str:
    """The mark as text."""
    key = base64.b64encode(mark.key).decode("ascii") if sort == "path" else mark.key
    order = f"-{sort}" if reverse else sort
    told = json.dumps([order, mark.phase, key, mark.id]).encode()
    return base64.urlsafe_b64encode(told).decode("ascii")


def mark_of(sort: str, reverse: bool, text: str) -> Mark:
    """Raises Invalid where the text is no mark of this order."""
    try:
        of, phase, key, id_ = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        key = base64.b64decode(key, validate=True) if of in {"path", "-path"} else int(key)
        mark = Mark(int(phase), key, int(id_))
        there = 0 <= mark.phase < len(_ORDERS[str(of).removeprefix("-")])
        there = there and all(abs(n) < 2**63 for n in (mark.id, key) if isinstance(n, int))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Invalid("'after' is not the 'next' of a page.", "Start at the first page.") from error
    if not there:
        raise Invalid("'after' is not the 'next' of a page.", "Start at the first page.")
    if of != (f"-{sort}" if reverse else sort):
        raise Invalid(f"'after' belongs to a list by {of!s:.20}.", "Start at the first page.")
    return mark
