"""Operations: declared once, in the files beside this one; bound by the room that owns them.

Command line, palette, socket and (later) HTTP are made from these declarations. The first part
of an operation's name is the contract module that declares it: looking one up imports one file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any, Generic, TypeVar

from engine.contract.base import Empty, Wire
from engine.contract.call import EVERYONE, ActorKind
from engine.contract.errors import NotFound

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)

ROOMS = (
    "agent0",
    "approvals",
    "audit",
    "discovery",
    "engine",
    "jobs",
    "media",
    "memory",
    "model",
    "quota",
    "recall",
    "remotes",
    "report",
    "telemetry",
)
"""The contract modules, which are also the first parts of all operation names."""


class Kind(StrEnum):
    UNARY = "unary"
    STREAM = "stream"
    JOB = "job"


class Risk(StrEnum):
    READ = "read"
    WRITE = "write"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return ("read", "write", "high").index(self.value)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that the gate keeps for one operation.

    ``max_bytes`` of the request's JSON; ``concurrent`` calls at once; ``per_minute`` starts;
    ``timeout_s`` when the caller gives no deadline of its own (None: none).
    """

    max_bytes: int = 64 * 1024
    concurrent: int | None = 32
    per_minute: int | None = None
    timeout_s: float | None = 30.0


@dataclass(frozen=True, slots=True)
class Operation(Generic[Req, Res]):
    """A declared request to a room. ``risk`` is the highest that any request of it can have.

    ``item`` is what a stream yields. ``audit`` names the request's fields that go into the audit
    log (never content). ``positional`` names the fields that a shell gives without a flag.
    """

    name: str
    summary: str
    request: type[Req]
    result: type[Res]
    kind: Kind = Kind.UNARY
    risk: Risk = Risk.READ
    item: Any = None
    actors: frozenset[ActorKind] = EVERYONE
    limits: Limits = field(default_factory=Limits)
    audit: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name in _declared:
            raise ValueError(f"{self.name} is declared twice")
        _declared[self.name] = self

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]


_declared: dict[str, Operation[Any, Any]] = {}


def find(name: str) -> Operation[Any, Any]:
    """The operation called ``name``. Raises NotFound."""
    room = name.partition(".")[0]
    if room in ROOMS:
        import_module(f"engine.contract.{room}")
    operation = _declared.get(name)
    if operation is None:
        raise NotFound(f"There is no operation {name!r}.", "arcanum --help lists the commands.")
    return operation


def of_room(room: str) -> tuple[Operation[Any, Any], ...]:
    """The operations that one contract module declares, in the order of declaration."""
    import_module(f"engine.contract.{room}")
    return tuple(op for op in _declared.values() if op.room == room)


def every() -> tuple[Operation[Any, Any], ...]:
    """All operations of all rooms. Imports every contract module."""
    return tuple(op for room in ROOMS for op in of_room(room))


__all__ = ["ROOMS", "Empty", "Kind", "Limits", "Operation", "Risk", "every", "find", "of_room"]
