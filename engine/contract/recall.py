"""Recall: what is remembered, how it is found again, and what becomes of it.

A memory belongs to one namespace. A conversation lives in the namespace of its own name; others are
made by whoever puts something there. What is pinned is seen from every namespace, and nothing else
of another one is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.contract.approvals import TakenBack
from engine.contract.base import Empty, Name, PathRef, Wire
from engine.contract.call import ONLY_OPERATOR
from engine.contract.events import Event
from engine.contract.memories import (
    DEFAULT,
    MAX_NOTES,
    ArchiveFile,
    Finder,
    Folder,
    Forget,
    Forgotten,
    IndexState,
    Label,
    Memory,
    MemoryId,
    MemoryKind,
    MemoryState,
    Moment,
    Namespace,
    Note,
    RecallHit,
    Record,
    Said,
    Stats,
)
from engine.contract.operation import Kind, Limits, Operation, Risk


class Search(Wire):
    query: Annotated[str, Field(min_length=1, max_length=2_000, description="what to look for")]
    namespace: Namespace = DEFAULT
    limit: Annotated[int, Field(ge=1, le=100, description="at most so many")] = 10
    since: Moment | None = Field(None, description="only what was said from then on")
    until: Moment | None = Field(None, description="only what was said before then")
    speaker: Label = Field("", description="only what this person said")
    kind: MemoryKind | None = Field(None, description="only turns, notes or documents")
    state: Literal["live", "archived"] | None = Field(None, description="only live, or archived")
    pinned: Annotated[bool, Field(description="only what is pinned, anywhere")] = False


class SearchResult(Wire):
    """Best first. ``since`` and ``until``: the time that the query was understood to ask for.
    ``partial`` says, in words, what could not be searched; "" where everything was.
    """

    hits: tuple[RecallHit, ...]
    since: datetime | None = None
    until: datetime | None = None
    partial: str = ""
    seconds: float = 0.0


class ListMemories(Wire):
    """``before`` is the ``next`` of the page before; ``state`` None: whatever is remembered."""

    namespace: Name | None = Field(None, description="only of this namespace")
    kind: MemoryKind | None = Field(None, description="only turns, notes or documents")
    state: MemoryState | None = Field(None, description="only live, merged, replaced or archived")
    pinned: Annotated[bool, Field(description="only what is pinned")] = False
    limit: Annotated[int, Field(ge=1, le=500, description="at most so many, the newest")] = 50
    before: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="the page behind this one: what `next` of the page before says"
    )


class MemoryPage(Wire):
    """The newest first, by when it was said or written. ``total`` is of everything that matches."""

    memories: tuple[Memory, ...]
    total: int
    next: str | None = None


class OneMemory(Wire):
    id: Annotated[MemoryId, Field(description="the memory's number")]


class Shown(Wire):
    """A memory, and what was said right before and after it, in order and itself included."""

    memory: Memory
    around: tuple[Memory, ...]


# --- putting it there ---------------------------------------------------------------------------


class AddNotes(Wire):
    namespace: Namespace = DEFAULT
    notes: Annotated[
        tuple[Note, ...], Field(min_length=1, max_length=MAX_NOTES, description="the notes")
    ]


class Added(Wire):
    """``ids`` in the order of the notes, those that were there already included."""

    namespace: str
    ids: tuple[int, ...]
    added: int


class Pin(Wire):
    id: Annotated[MemoryId, Field(description="the memory's number")]
    off: Annotated[bool, Field(description="unpin it")] = False


class Edit(Wire):
    """What is not given stays. The text that was there is kept as what the new one replaces."""

    id: Annotated[MemoryId, Field(description="the memory's number")]
    text: Said | None = Field(None, description="what it is to say")
    importance: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="from 0 to 1: how soon it may be archived"
    )


# --- carrying it elsewhere ----------------------------------------------------------------------


class Export(Wire):
    namespace: Name | None = Field(None, description="only of this namespace")


class Import(Wire):
    """A file of ``Record`` lines (JSONL). ``namespace`` None: where each line says."""

    path: Annotated[PathRef, Field(description="the file")]
    namespace: Name | None = Field(None, description="put everything there")


class Imported(Wire):
    """``skipped`` were there already, or are forgotten; ``refused`` are lines that are no records,
    ``problems`` says which (the first of them)."""

    lines: int
    added: int
    skipped: int
    refused: int
    problems: tuple[str, ...] = ()
    seconds: float


# --- what becomes of it -------------------------------------------------------------------------


class Archive(Wire):
    """``days`` None: as configured."""

    namespace: Name | None = Field(None, description="only of this namespace")
    days: Annotated[int, Field(ge=0, le=36_500)] | None = Field(
        None, description="unused for so many days"
    )


class Archived(Wire):
    """``kept``: unused as long, and left where they are because they matter."""

    archived: int
    kept: int
    file: ArchiveFile | None = None


class Restore(Wire):
    """Also what was merged or replaced can be made live again, by number."""

    ids: Annotated[tuple[MemoryId, ...], Field(max_length=10_000)] = Field(
        (), description="the memories' numbers"
    )
    everything: Annotated[bool, Field(description="all that is archived")] = False


class Restored(TakenBack):
    ids: tuple[int, ...]
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.problems


class NamespaceInfo(Wire):
    name: str
    memories: int
    pinned: int
    last_at: datetime | None = None
    conversation: bool = False


class Namespaces(Wire):
    namespaces: tuple[NamespaceInfo, ...]


class WatchFolder(Wire):
    """``pinned``: what it holds is seen from every namespace."""

    path: Annotated[PathRef, Field(description="the folder")]
    namespace: Finder = "documents"
    pinned: Annotated[bool, Field(description="seen from every namespace")] = False


class UnwatchFolder(Wire):
    path: Annotated[PathRef, Field(description="the folder")]


class Folders(Wire):
    folders: tuple[Folder, ...]


class MemoryChanged(Event):
    """What is remembered changed. It holds no content. ``ids``: the first of them."""

    kind: Literal["recall.memory_changed"] = "recall.memory_changed"
    change: Literal[
        "added", "imported", "pinned", "unpinned", "edited", "forgotten", "archived", "restored",
        "replaced", "merged", "documents",
    ]  # fmt: skip
    namespace: str = ""
    ids: tuple[int, ...] = ()
    count: int = 0


class IndexMoved(Event):
    """How far the index is behind. Latest wins."""

    durable: ClassVar[bool] = False
    kind: Literal["recall.index_moved"] = "recall.index_moved"
    index: IndexState
    waiting: int
    to_embed: int
    note: str = ""


_LONG = Limits(timeout_s=None)
_WHOLE = Limits(max_bytes=32 * 1024 * 1024, concurrent=16, timeout_s=120.0)

SEARCH = Operation(
    "recall.search", "Find what was said or noted", Search, SearchResult, positional=("query",)
)
LIST = Operation("recall.list", "What is remembered, newest first", ListMemories, MemoryPage)
SHOW = Operation(
    "recall.show",
    "One memory, and what stood around it",
    OneMemory,
    Shown,
    actors=ONLY_OPERATOR,
    positional=("id",),
)
ADD = Operation(
    "recall.add",
    "Remember notes",
    AddNotes,
    Added,
    risk=Risk.WRITE,
    limits=_WHOLE,
    audit=("namespace",),
    positional=("namespace",),
)
PIN = Operation(
    "recall.pin",
    "Share a memory with every namespace, or no longer",
    Pin,
    Memory,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("id", "off"),
    positional=("id",),
)
EDIT = Operation(
    "recall.edit",
    "Correct a memory; what it said is kept as what was replaced",
    Edit,
    Memory,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("id",),
    positional=("id", "text"),
)
FORGET = Operation(
    "recall.forget",
    "Forget for good: gone from the database, every index, archive and copy",
    Forget,
    Forgotten,
    risk=Risk.HIGH,
    audit=("ids", "namespace", "gone", "keep_older", "keep_answers"),
    positional=("ids",),
)
EXPORT = Operation(
    "recall.export",
    "Memories, whole, one a line",
    Export,
    Empty,
    kind=Kind.STREAM,
    item=Record,
    actors=ONLY_OPERATOR,
    limits=_LONG,
    positional=("namespace",),
)
IMPORT = Operation(
    "recall.import",
    "Take in an export: what is there already stays as it is",
    Import,
    Imported,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=_LONG,
    audit=("namespace",),
    positional=("path",),
)
ARCHIVE = Operation(
    "recall.archive",
    "Put what was long unused into a compressed file; it is still found",
    Archive,
    Archived,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=_LONG,
    audit=("namespace", "days"),
)
RESTORE = Operation(
    "recall.restore",
    "Bring archived, merged or replaced memories back",
    Restore,
    Restored,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=Limits(timeout_s=300.0),
    audit=("ids", "everything"),
    positional=("ids",),
)
NAMESPACES = Operation("recall.namespaces", "Where memories are kept apart", Empty, Namespaces)
WATCH = Operation(
    "recall.watch",
    "Remember a folder of Markdown, text and PDF files, and keep it in step",
    WatchFolder,
    Folder,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("path", "namespace", "pinned"),
    positional=("path",),
)
UNWATCH = Operation(
    "recall.unwatch",
    "Remember a folder no longer; its files are not touched",
    UnwatchFolder,
    Folders,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    audit=("path",),
    positional=("path",),
)
SYNC = Operation(
    "recall.sync",
    "Read the folders again, now",
    Empty,
    Folders,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    limits=_LONG,
)
REBUILD = Operation(
    "recall.rebuild",
    "Make the index anew from the database",
    Empty,
    Stats,
    kind=Kind.JOB,
    risk=Risk.WRITE,
    actors=ONLY_OPERATOR,
    limits=_LONG,
)
STATS = Operation("recall.stats", "How much is remembered, and how the index stands", Empty, Stats)
