"""Ports: what one part of the engine asks of another, without knowing which part that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from engine.contract.approvals import Card, Outcome
from engine.contract.base import Json, Wire
from engine.contract.call import Call
from engine.contract.media import Library
from engine.contract.memory import RecallHit, Turn, TurnStatus
from engine.contract.operation import Operation, Risk

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)
Req_contra = TypeVar("Req_contra", bound=Wire, contravariant=True)

# --- models -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What is asked of a model. ``temperature`` 0 is greedy: the same prompt, the same answer."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer, usually one token.

    The last has a ``finish``: ``stop`` (the model ended) or ``length`` (``max_tokens`` reached).
    """

    text: str
    finish: str | None = None


class ModelState(StrEnum):
    """Where a model is between absent and ready."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What a backend says of itself. Sizes in bytes, context in tokens, both 0 where unknown.

    ``local`` is False where a prompt would leave this machine. ``simulated`` marks the scripted
    fallback, which every face must label.
    """

    backend: str
    model: str
    state: ModelState
    reason: str = ""
    context: int = 0
    size: int = 0
    pid: int | None = None
    endpoint: str = ""
    local: bool = True
    simulated: bool = False


class Backend(Protocol):
    """A model provider. Methods raise ModelFailed, Unavailable or PromptTooLong."""

    def info(self) -> BackendInfo: ...

    async def load(self) -> None:
        """Makes the model ready. Safe to call at any time; simultaneous calls load one copy."""
        ...

    def stream(self, generation: Generation) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Opens an answer, loading the model where needed; leaving the context stops generation."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt, with the model's own tokenizer and chat template."""
        ...

    async def unload(self) -> None:
        """Frees the model's memory. The next ``stream`` loads it again."""
        ...


class ModelWatch(Protocol):
    """What other rooms may know of the model in use."""

    @property
    def state(self) -> str:
        """As in ``model.ModelInfo``."""
        ...


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be used here. ``name`` is what a person types after ``model use``."""

    name: str
    backend: str
    description: str
    endpoint: str = ""
    size: int = 0


class BackendCatalog(Protocol):
    """Which models can be used on this machine, and how to reach one."""

    def choices(self) -> tuple[ModelChoice, ...]:
        """What is known without asking the network: bundled, configured, the scripted fallback."""
        ...

    async def discover(self) -> tuple[ModelChoice, ...]:
        """Servers that answer on this machine now (Ollama, llama-server), each model a choice."""
        ...

    def create(self, name: str) -> Backend:
        """A backend for the named choice, not yet loaded. Raises NotFound or Unavailable."""
        ...

    @property
    def default(self) -> str:
        """The name of the choice to start with."""
        ...


# --- memory -------------------------------------------------------------------------------------


class TurnLog(Protocol):
    """The durable conversation. Returning means committed."""

    async def open(self, session: str, question: str, call: Call) -> Turn: ...

    async def close(
        self, turn: Turn, status: TurnStatus, answer: str, note: str, model: str
    ) -> Turn: ...

    async def recent(self, session: str, limit: int) -> list[Turn]:
        """The newest closed turns of the session that have an answer, oldest first."""
        ...

    async def recall(
        self, session: str, query: str, limit: int, exclude: Sequence[int] = ()
    ) -> list[RecallHit]:
        """Earlier turns of this session, and of no other, that bear on ``query``, best first."""
        ...


# --- media --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A file as the catalogue knows it. ``path`` is relative to the library's root.

    (dev, ino, size, mtime_ns, ctime_ns) is its identity; ``blake3`` (hex) is None until hashed.
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


class Catalogue(Protocol):
    """What other rooms may ask of the media room."""

    async def libraries(self) -> list[Library]: ...

    async def library(self, name: str) -> Library:
        """Raises NotFound, naming the libraries that there are."""
        ...

    def oldest_first(self, library: str) -> AsyncIterator[list[CatalogueFile]]:
        """All files of the library in batches, by modification time, then path."""
        ...

    async def refresh(self, library: str, paths: Sequence[bytes]) -> None:
        """Looks at these relative paths again, now, and takes what is there into the catalogue."""
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

    def progress(self, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Cheap: told to faces at most a few times a second."""
        ...


class Severity(StrEnum):
    NEEDS_YOU = "needs_you"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Concern:
    """One line under "needs you" or "broken or unknown". ``link`` names where a key should lead."""

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

    def unary(
        self,
        operation: Operation[Req, Res],
        handler: Callable[[Req, Call], Awaitable[Res]],
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
