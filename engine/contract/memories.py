"""Memories: what is remembered, as it is shown, added, forgotten, carried elsewhere, put away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from engine.contract.base import Name, PathRef, Wire

MAX_TEXT = 32_000
"""Characters of one memory."""
MAX_NOTES = 1_000
"""Notes that are added in one call."""
DEFAULT = "main"
"""The namespace that is meant where none is named."""

MemoryKind = Literal["turn", "note", "document"]
MemoryState = Literal["live", "merged", "replaced", "archived"]
IndexState = Literal["ready", "building", "lexical", "off", "failed"]


_SHAPE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}([Tt ].+)?)?)?")
_EXPECTED = "it should be a date or a time, as 2026-05-04, 2026-05-04T18:30, 2026-05 or 2026"


def _moment(given: Any, parse: ValidatorFunctionWrapHandler) -> datetime:
    """A number is no time: a year would pass for seconds since 1970. Raises ValueError."""
    if isinstance(given, str) and _SHAPE.fullmatch(given):
        given += "-01-01"[len(given) - 4 :] if len(given) < len("2026-05-04") else ""
    elif not isinstance(given, datetime):
        raise ValueError(_EXPECTED)
    try:
        at: datetime = parse(given)
        at = at if at.tzinfo is not None else at.astimezone()
        at.astimezone(UTC)  # The first and the last days of the calendar have none.
    except (ValidationError, OverflowError, ValueError) as error:
        raise ValueError(_EXPECTED) from error
    return at


Moment = Annotated[datetime, WrapValidator(_moment)]
"""A time of ISO 8601. A day, a month or a year is its beginning; without a zone it is this
machine's."""
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


def _said(text: str) -> str:
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise ValueError("it should hold something that can be read")
    return text


Said = Annotated[Text, AfterValidator(_said)]
"""A text of a person's: not blank."""
Label = Annotated[str, Field(max_length=200)]
MemoryId = Annotated[int, Field(ge=1, le=2**32 - 1)]
Namespace = Annotated[Name, Field(description="the namespace: a conversation's name, or another")]

Finder = Annotated[
    Name, Field(description="who finds it: the conversation of this name, or another namespace")
]


class Replaced(Wire):
    """What a newer memory has taken the place of. ``how``: the same said again, or otherwise."""

    id: int
    text: str
    at: datetime
    how: Literal["merged", "replaced"]


class Memory(Wire):
    """Something remembered.

    ``kind``: ``turn`` (a question of a conversation, by its person), ``note`` (added or imported)
    or ``document`` (a passage of a file that is kept in step). ``at``: when it was said or written.
    ``source`` says where it is from, ``ref`` what it is called there.

    ``importance``: 0 to 1, estimated from the text unless a person has set it. ``uses``: how often
    it was recalled for an answer or opened. ``state``: ``live``, ``merged`` into ``replaced_by``
    (the same, said again), ``replaced`` by it (a newer one contradicts it), or ``archived``
    (unused for long: its text is in a compressed file; it is still found). ``replaces``: what it
    has taken the place of, newest first. ``unread``: why its text cannot be read, and what to do,
    where its archive is damaged or missing; ``text`` is "" then.
    """

    id: int
    namespace: str
    kind: MemoryKind
    text: str
    at: datetime
    added_at: datetime
    speaker: str = ""
    source: str = ""
    ref: str = ""
    turn_id: int | None = None
    pinned: bool = False
    importance: float = 0.0
    uses: int = 0
    used_at: datetime | None = None
    state: MemoryState = "live"
    replaced_by: int | None = None
    replaces: tuple[Replaced, ...] = ()
    unread: str = ""

    @property
    def said(self) -> str:
        """Its text; where that cannot be read, why not."""
        return self.text or self.unread


class Parts(Wire):
    """What a score is made of: they add up to it.

    ``lexical``: its words; ``dense``: its meaning; ``neighbours``: what was said right before and
    after it; ``time``: the time that was asked for; ``entities``: who was asked about, and whether
    it tells rather than asks.
    """

    lexical: float = 0.0
    dense: float = 0.0
    neighbours: float = 0.0
    time: float = 0.0
    entities: float = 0.0


class Recalled(Wire):
    """Which memory an answer was told, and how it had scored. What it says stands in the memory
    alone, which may be forgotten since."""

    id: int
    score: float
    parts: Parts = Parts()


class RecallHit(Memory):
    """A memory that bears on a question. ``score``: higher is better, comparable within one search
    only."""

    score: float
    parts: Parts = Parts()

    @property
    def recalled(self) -> Recalled:
        """It, without its words."""
        return Recalled(id=self.id, score=self.score, parts=self.parts)


@dataclass(frozen=True, slots=True)
class Recollection:
    """What was found, best first. ``lacking``: what could not be searched or read, in words; "" for
    nothing."""

    hits: list[RecallHit]
    lacking: str = ""


class Note(Wire):
    """Something to remember. A ``ref`` that the namespace has from this ``source`` already is left
    as it is: the same import twice adds nothing. ``at`` None: now."""

    text: Said
    at: Moment | None = None
    speaker: Label = ""
    source: Label = ""
    ref: Label = ""
    pinned: bool = False
    importance: Annotated[float, Field(ge=0, le=1)] | None = None


class Record(Wire):
    """A memory as a line of an export, whole. ``uid`` is the same wherever it is imported.
    ``kept``: a person brought it back, so that nothing takes its place by itself."""

    uid: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    namespace: Name
    kind: MemoryKind
    text: Text
    at: Moment
    added_at: Moment
    speaker: Label = ""
    source: Label = ""
    ref: Label = ""
    pinned: bool = False
    importance: Annotated[float, Field(ge=0, le=1)] | None = None
    uses: Annotated[int, Field(ge=0)] = 0
    used_at: Moment | None = None
    kept: bool = False
    state: MemoryState = "live"
    replaced_by: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""


class ArchiveFile(Wire):
    """A compressed file of memories. ``state``: ``ok``, ``damaged``, ``missing`` or ``unknown``
    (not looked at since it was written). ``live``: how many of them are still only there."""

    name: str
    at: datetime
    memories: int
    live: int
    bytes: int
    state: Literal["ok", "damaged", "missing", "unknown"] = "unknown"


class Unread(Wire):
    """A file, or a place in a folder, that could not be read, and why."""

    path: PathRef
    why: str


class Folder(Wire):
    """``state``: ``ok``, ``reading``, ``waiting`` (not read yet, or it may be another folder than
    was read), ``missing`` or ``unreadable``; nothing is forgotten because a folder is away.
    ``unread``: files that could not be read, ``problems`` are the first of them, ``note`` says in
    words what is wrong (of the folder, or with the first file)."""

    path: PathRef
    namespace: str
    pinned: bool
    state: Literal["ok", "reading", "waiting", "missing", "unreadable"]
    files: int = 0
    passages: int = 0
    unread: int = 0
    problems: tuple[Unread, ...] = ()
    note: str = ""
    read_at: datetime | None = None


class Stats(Wire):
    """``waiting``: memories that are not in the index yet; ``to_embed``: found by their words, and
    not by their meaning yet. ``index_bytes`` on disk, ``resident_bytes`` in memory.
    ``archive_files``: each is read and checked for this."""

    memories: int
    live: int
    pinned: int
    merged: int
    replaced: int
    archived: int
    forgotten: int
    namespaces: int
    waiting: int
    to_embed: int
    index: IndexState
    note: str = ""
    embedding: str = ""
    dimensions: int = 0
    vectors: int = 0
    index_bytes: int = 0
    resident_bytes: int = 0
    archive_files: tuple[ArchiveFile, ...] = ()
    folders: tuple[Folder, ...] = ()


class Forget(Wire):
    """By number, all that a namespace holds, or (``gone``) what copies hold and files said once.

    What they replaced goes along, and the answers that were made with them, unless it is left out:
    by ``keep``, or all with ``keep_older`` and ``keep_answers``.
    """

    ids: tuple[MemoryId, ...] = Field((), max_length=10_000, description="the memories' numbers")
    namespace: Name | None = Field(None, description="everything of this namespace")
    gone: Annotated[bool, Field(description="what files no longer say, from every copy")] = False
    keep_older: Annotated[
        bool, Field(description="leave the older statements that they replaced: live again")
    ] = False
    keep_answers: Annotated[
        bool, Field(description="leave the answers that were made with them")
    ] = False
    keep: Annotated[
        tuple[str, ...], Field(max_length=100_000, description="keys of items to leave out")
    ] = ()


class Forgotten(Wire):
    """``answers``: the turns whose answers went, as these were made with them. ``places``: what was
    cleaned besides the database, in words."""

    ids: tuple[int, ...]
    answers: tuple[int, ...] = ()
    places: tuple[str, ...] = ()
