"""A request for files as SQL: which rows, in which order, by which way through the catalogue. Pure.

In the SQL ``f`` is the file and ``t`` what its bytes hold, as far as that is of these very bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from engine.contract.assets import Matching
from engine.contract.errors import Invalid
from engine.media.catalogue import fold_text

TRAIT = "LEFT JOIN trait t ON t.file = f.id AND t.size = f.size AND t.mtime_ns = f.mtime_ns"
KIND = "coalesce(t.kind, 'unknown')"
TYPE = "coalesce(t.type, 'unknown')"
DATE = "coalesce(f.taken_at, f.mtime_ns)"
STATE = (
    "CASE WHEN f.damage = 'rotten' THEN 'damaged' WHEN f.damage <> '' THEN 'unreadable'"
    " WHEN f.blake3 IS NULL THEN 'pending' ELSE 'sound' END"
)
_STATES = {
    "sound": "(f.damage = '' AND f.blake3 IS NOT NULL)",
    "pending": "(f.damage = '' AND f.blake3 IS NULL)",
    "damaged": "f.damage = 'rotten'",
    "unreadable": "(f.damage <> '' AND f.damage <> 'rotten')",
}
_ANY_DAMAGE = "f.damage <> ''"


@dataclass(frozen=True, slots=True)
class Match:
    """``where`` and its ``values`` are the conditions beyond the library; ``trait``: one of them
    asks what a file holds. ``below``: what the paths lie between, if a folder is meant. ``index``:
    the one that holds little else than what is looked for, if there is one."""

    libraries: tuple[int, ...]
    where: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    trait: bool = False
    below: tuple[bytes, bytes] | None = None
    index: str = ""

    @property
    def everything(self) -> bool:
        """Whether whole libraries are meant."""
        return not self.where

    @property
    def join(self) -> str:
        return TRAIT if self.trait else ""

    @property
    def condition(self) -> str:
        """All conditions, with the libraries; ``bound`` are its values."""
        marks = ", ".join("?" * len(self.libraries))
        return " AND ".join((f"f.library IN ({marks})", *self.where))

    @property
    def bound(self) -> tuple[Any, ...]:
        return (*self.libraries, *self.values)


def match(libraries: Sequence[int], asked: Matching, *, without: str = "") -> Match:
    """``without``: the field of this name is left out. Raises Invalid."""
    made, index = _Made(), _index(asked, without)
    if needle := fold_text(asked.filter):
        made.add("instr(f.folded, ?) > 0", needle)
    below = _below(asked)
    if below is not None:
        made.add("f.path >= ? AND f.path < ?", *below)
    if asked.direct:
        start = 1 if below is None else len(below[0]) + 1
        made.add("instr(substr(f.path, ?), x'2f') = 0", start)
    for name, column in (("kind", KIND), ("type", TYPE), ("camera", "t.camera")):
        if name != without:
            made.any_of(column, getattr(asked, name), trait=True)
    if asked.year and without != "year":
        spans = [_year(year) for year in asked.year]
        each = f"({DATE} >= ? AND {DATE} < ?)"
        made.add(f"({' OR '.join([each] * len(spans))})", *(n for span in spans for n in span))
    for name, column in (("source", "s.kind"), ("host", "s.host")):
        chosen: tuple[str, ...] = () if name == without else getattr(asked, name)
        if chosen:
            marks = ", ".join("?" * len(chosen))
            # Asked from the sources' side: most files have none.
            files = f"SELECT s.file FROM source s WHERE {column} IN ({marks})"  # noqa: S608
            made.add(f"f.id IN ({files})", *chosen)
    if asked.state and without != "state":
        made.add(f"({' OR '.join(_STATES[state] for state in asked.state)})")
        if index:
            made.add(_ANY_DAMAGE)
    if asked.larger and without != "larger":
        made.add("f.size >= ?", asked.larger)
    return replace(made.match(tuple(libraries)), below=below, index=index)


class _Made:
    def __init__(self) -> None:
        self.where: list[str] = []
        self.values: list[Any] = []
        self.trait = False

    def add(self, condition: str, *values: Any) -> None:
        self.where.append(condition)
        self.values += values

    def any_of(self, column: str, chosen: Sequence[str], *, trait: bool) -> None:
        if chosen:
            self.add(f"{column} IN ({', '.join('?' * len(chosen))})", *chosen)
            self.trait = self.trait or trait

    def match(self, libraries: tuple[int, ...]) -> Match:
        return Match(libraries, tuple(self.where), tuple(self.values), self.trait)


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
    damaged = bool(asked.state) and set(asked.state) <= {"damaged", "unreadable"}
    return "file_damaged" if damaged and without != "state" else ""


def _year(year: int) -> tuple[int, int]:
    """Its first nanosecond and the one after its last, as far as 64 bits hold them."""
    bounds = (datetime(y, 1, 1, tzinfo=UTC).timestamp() for y in (year, year + 1))
    least, most = (max(-(2**63), min(2**63 - 1, int(at) * 10**9)) for at in bounds)
    return least, most


# --- order ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Phase:
    """Rows that fulfil ``where``, by a column and then by id. ``indexed``: an index holds those
    rows, and few others, in this order."""

    column: str
    descending: bool
    where: str = ""
    indexed: bool = True

    @property
    def key(self) -> str:
        return f"f.{self.column}"

    @property
    def order(self) -> str:
        way = "DESC" if self.descending else "ASC"
        return f"k {way}, id {way}"

    @property
    def beyond(self) -> str:
        """The condition for what comes behind a row: its key and its id."""
        return f"({self.key}, f.id) {'<' if self.descending else '>'} (?, ?)"


# Paths from a to z; the largest, newest, latest first. What was taken at no known time comes last.
_ORDERS = {
    "path": (Phase("path", descending=False),),
    "size": (Phase("size", descending=True),),
    "modified": (Phase("mtime_ns", descending=True),),
    "added": (Phase("first_seen_at", descending=True),),
    "taken": (
        Phase("taken_at", descending=True, where="f.taken_at IS NOT NULL"),
        Phase("first_seen_at", descending=True, where="f.taken_at IS NULL", indexed=False),
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
