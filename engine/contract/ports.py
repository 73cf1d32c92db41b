"""Ports: what one part of the engine asks of another, without knowing which part that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from engine.contract.approvals import Card, Outcome
from engine.contract.assets import Library
from engine.contract.backend import Backend, Message
from engine.contract.base import Json, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending
from engine.contract.memories import Recollection
from engine.contract.memory import Turn, TurnStatus
from engine.contract.model import ModelInfo
from engine.contract.operation import Operation, Risk
from engine.contract.report import MediaReport

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)
Share = tuple[int, int]
Req_contra = TypeVar("Req_contra", bound=Wire, contravariant=True)

# --- models -------------------------------------------------------------------------------------


class Models(Protocol):
    """The models of this machine: loaded when needed, within the memory there is."""

    def info(self) -> ModelInfo:
        """The model in use, without its placement."""
        ...

    def lease(self) -> AbstractAsyncContextManager[Backend]:
        """The model in use, loaded, and kept so while the context is open.

        Raises ModelFailed or Unavailable where it cannot be loaded or does not fit.
        """
        ...

    def opens_with(self, messages: Sequence[Message]) -> None:
        """Every prompt begins like this: a model that is loaded ahead reads it meanwhile."""
        ...

    def tell(self) -> None:
        """Tells the faces how the model in use is now."""
        ...


# --- memory -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attached:
    """A text that was read with a question."""

    name: str
    text: str


class TurnLog(Protocol):
    """The durable conversation. Returning means committed."""

    async def open(
        self,
        session: str,
        question: str,
        call: Call,
        *,
        after: int | None = None,
        attached: Sequence[Attached] = (),
    ) -> Turn:
        """Writes a question down. It follows ``after`` (None: the last turn, 0: none), which makes
        its branch the current one. Raises NotFound where that is no turn of the session, Refused
        where the session was deleted, Invalid for attachments beyond MAX_ATTACHED."""
        ...

    async def save(self, turn: Turn, answer: str, model: str) -> None:
        """What came of the answer so far, and what was recalled for it, should the engine die; the
        turn stays open."""
        ...

    async def close(
        self, turn: Turn, status: TurnStatus, answer: str, note: str, model: str
    ) -> Turn:
        """The turn as it is now, with what ``turn`` says was recalled for it."""
        ...

    async def parent(self, session: str, after: int | None) -> int | None:
        """The turn that a question would follow, None where it would begin the conversation.
        Raises as ``open`` does."""
        ...

    async def path(self, turn: Turn, least: int, most: int) -> list[Turn]:
        """The answered turns that lead to ``turn``, oldest first, without itself.

        Between ``least`` and ``most`` of them where there are so many; how many changes rarely
        from one turn to the next, so that prompts begin alike and need not be read again.
        """
        ...

    async def attached(self, turn_ids: Sequence[int]) -> dict[int, list[Attached]]:
        """What was read with these turns' questions."""
        ...

    async def untitled(self, session: str) -> Turn | None:
        """The first answered turn of a conversation that has no title yet."""
        ...

    async def entitle(self, session: str, title: str) -> None:
        """Gives the conversation a title, unless it has one."""
        ...


class Recall(Protocol):
    """What was said before, found again."""

    async def recall(
        self,
        session: str,
        query: str,
        limit: int,
        exclude: Sequence[int] = (),
        *,
        last: int | None = None,
    ) -> Recollection:
        """What bears on ``query``: of the session's turns those of the branch that ends
        with ``last`` (None: the current one) and are not in ``exclude``, the notes of its
        namespace, and what is pinned. Raises Unavailable."""
        ...

    async def used(self, memories: Sequence[int]) -> None:
        """These memories were of use in an answer."""
        ...


# --- media --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A file as the catalogue knows it. ``path`` is relative to the library's root.

    (dev, ino, size, mtime_ns, ctime_ns) is its identity; ``blake3`` (hex) is None until that
    was hashed.
    ``digests``: other hashes by kind, in hex, where they were asked for.
    """

    id: int
    path: bytes
    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    nlink: int
    blake3: str | None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Described:
    """A catalogued file in words. ``facts``: a line each; ``text``: the file's own words where it
    is UTF-8 text of at most 64 KiB, else empty."""

    name: str
    facts: tuple[str, ...]
    text: str = ""


class Catalogue(Protocol):
    """What other rooms may ask of the media room."""

    async def libraries(self) -> list[Library]: ...

    async def library(self, name: str) -> Library:
        """Raises NotFound, naming the libraries that there are."""
        ...

    def oldest_first(self, library: str) -> AsyncIterator[list[CatalogueFile]]:
        """All files of the library in batches, by modification time, then path."""
        ...

    def by_path(self, library: str, folder: bytes = b"") -> AsyncIterator[list[CatalogueFile]]:
        """The library's files below ``folder`` with their digests, in batches, by path."""
        ...

    async def file(self, library: str, path: bytes) -> CatalogueFile | None:
        """One file with its digests; None where none is catalogued at that relative path."""
        ...

    async def describe(self, library: str, path: bytes) -> Described:
        """What is known of one file, and its words. Raises NotFound."""
        ...

    async def refresh(self, library: str, paths: Sequence[bytes]) -> None:
        """Looks at these relative paths again, now, and takes what is there into the catalogue."""
        ...


class MediaCounts(Protocol):
    """What the catalogue holds, in numbers."""

    async def count(self, libraries: Sequence[str], most: int) -> MediaReport:
        """Of these libraries (none: all), with ``most`` names in a list. Raises NotFound."""
        ...


TRASH_FOLDER = b".arcanum-trash"
"""The trash, directly in a library's root: the same file system, and skipped by every scan."""


# --- approvals ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """What a high-risk operation would do: the digest covers request, payload and preconditions.

    ``request`` is the request in the form that execution needs (defaults filled in). ``card`` is
    for eyes only and may tell clocks and forecasts. ``ttl_s``: seconds until it expires.
    """

    request: Json
    payload: Json
    preconditions: tuple[Json, ...]
    card: Card
    ttl_s: float = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A draft as it was stored, in whichever process, and approved by its digest."""

    approval_id: int
    operation: str
    request: Json
    payload: Json
    preconditions: tuple[Json, ...]
    digest: str
    progress: Json = field(default_factory=dict)


class Execution(Protocol):
    """What an executing plan tells and asks of whoever runs it."""

    @property
    def call(self) -> Call: ...

    def stopping(self) -> bool:
        """True when the engine wants to stop: finish the item in flight, start no other."""
        ...

    async def progress(self, done: int, total: int, note: str = "") -> None: ...


class HighRisk(Protocol[Req_contra]):
    """The four acts that a high-risk operation binds."""

    async def plan(self, request: Req_contra, call: Call) -> Draft: ...

    async def check(self, plan: StoredPlan) -> list[str]:
        """What moved since the plan was made, in words; empty when every precondition holds."""
        ...

    async def execute(self, plan: StoredPlan, run: Execution) -> Outcome:
        """Does it, re-checking each precondition just before its own act."""
        ...

    async def settle(self, plan: StoredPlan) -> Outcome:
        """After a crash: completes or rolls back the one item in flight, starts no other.

        Returns how far it got. Called before anything else may touch the same things.
        """
        ...


class ApprovalDesk(Protocol):
    """Where the gate leaves a plan for a person to answer."""

    async def submit(self, operation: str, draft: Draft, call: Call) -> int:
        """Stores the plan durably; returns the approval's id."""
        ...

    async def taken_back(self, operation: str, request: Json) -> None:
        """This undo was called and is complete: marks the approval that it belongs to."""
        ...


class Operations(Protocol):
    """The gate, for a room that does something by itself."""

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call
    ) -> Done[Res] | Pending:
        """Calls an operation as everybody does: it is admitted and audited. Raises ArcanumError."""
        ...


class HighRiskOperations(Protocol):
    """What the approvals room asks of the gate."""

    async def propose(self, operation: str, request: Json, call: Call) -> int:
        """Makes a plan for the request and leaves it to be answered; the approval's id."""
        ...

    async def acts(self, operation: str) -> HighRisk[Any]:
        """What the owning room bound, started where needed. Raises Unavailable."""
        ...


# --- jobs, status -------------------------------------------------------------------------


class JobControl(Protocol):
    """What a running job tells and asks. ``checkpoint`` waits while paused and raises Cancelled."""

    @property
    def job_id(self) -> int: ...

    @property
    def call(self) -> Call: ...

    async def checkpoint(self) -> None: ...

    def progress(
        self, done: int, total: int | None, unit: str, note: str = "", *, files: Share | None = None
    ) -> None:
        """Cheap: told a few times a second at most. ``files``: beside bytes, how many of them."""
        ...


class Severity(StrEnum):
    NEEDS_YOU = "needs_you"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Concern:
    """One line under "needs you" or "broken or unknown". ``link`` names where a key should lead:
    a screen and a thing there; ``media/films/damaged``: what is damaged of a library."""

    severity: Severity
    subject: str
    text: str
    since: datetime | None = None
    link: str = ""


StatusProbe = Callable[[], Awaitable[Sequence[Concern]]]
"""A room's contribution to the status. It must answer from memory or the database, at once."""


class Settings(Protocol):
    """Settings made through operations (not ``config.toml``): small JSON values by name."""

    async def get(self, name: str) -> Any | None: ...

    async def put(self, name: str, value: Any) -> None: ...


class Door(Protocol):
    """Where a room binds its handlers. ``risk`` narrows the declared risk for one request."""

    async def ensure(self, room: str) -> None:
        """Starts another room whose port is only now and then of use. Raises Unavailable."""
        ...

    def unary(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], Awaitable[Res]],
        *,
        risk: Callable[[Req, Call], Risk] | None = None,
        high: HighRisk[Req] | None = None,
    ) -> None: ...

    def stream(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], AbstractAsyncContextManager[AsyncIterator[Any]]],
        *,
        risk: Callable[[Req, Call], Risk] | None = None,
        high: HighRisk[Req] | None = None,
    ) -> None: ...

    def job(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, JobControl], Awaitable[Res]],
        subject: Callable[[Req], str],
    ) -> None: ...

    def high(self, operation: Operation[Req, Res], acts: HighRisk[Req]) -> None: ...
