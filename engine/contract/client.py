"""How a face reaches the engine. A face cannot tell which client it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from engine.contract.base import ErrorInfo, Wire
from engine.contract.call import Call
from engine.contract.events import Event
from engine.contract.operation import Operation

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)
Res_co = TypeVar("Res_co", bound=Wire, covariant=True)


@dataclass(frozen=True, slots=True)
class Done(Generic[Res_co]):
    """The operation ran; this is its result."""

    result: Res_co


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing was touched: a person must answer this approval first."""

    approval_id: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Results of argument-free reads, by operation name, and the durable ``seq`` they include.

    Folding the events after ``seq`` onto the results gives the present. What could not be read is
    in ``failures``, so that one broken room costs one panel.
    """

    seq: int
    results: dict[str, Any]
    failures: dict[str, ErrorInfo]


class EngineClient(Protocol):
    """The front door."""

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> Done[Res] | Pending:
        """Runs a unary operation, or starts a job (the result is then a ``JobStarted``)."""
        ...

    def stream(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        """Opens a stream; leaving the context cancels it, on the wire too.

        A stream that needs an approval raises ``NeedsApproval`` on entering.
        """
        ...

    def events(self, after: int | None = None) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Events from now on; with ``after``, first every durable event behind that number."""
        ...

    async def snapshot(self, topics: Sequence[Operation[Any, Any]]) -> Snapshot: ...

    async def ping(self) -> None:
        """Returns when the engine's loop has turned since: at once in its own process. Raises
        Disconnected where there is none any more."""
        ...

    async def close(self) -> None: ...
