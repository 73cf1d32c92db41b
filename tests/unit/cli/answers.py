"""A client that answers from a script: what a command does with an answer, not what an engine does.

Requests travel as JSON, and an operation without an answer is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from engine.contract.call import Call
from engine.contract.client import Done, Pending, Snapshot
from engine.contract.events import Event
from engine.contract.operation import Kind, Operation


class Answers:
    """``script``: operation name → a result, a ``Pending``, an error to raise, or a stream's items.

    An error among a stream's items is raised at its place. ``requests`` keeps what was asked.
    """

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.closed = 0

    async def attach(self, *, host: str, start_all: bool = False) -> Answers:
        return self

    def _take(self, operation: Operation[Any, Any], request: Any) -> Any:
        copy = operation.request.model_validate_json(request.model_dump_json())
        self.requests.append((operation.name, copy.model_dump(mode="json")))
        found = self.script[operation.name]
        if isinstance(found, BaseException):
            raise found
        return found

    async def call(
        self, operation: Operation[Any, Any], request: Any, call: Call | None = None
    ) -> Done[Any] | Pending:
        assert operation.kind is not Kind.STREAM
        found = self._take(operation, request)
        return found if isinstance(found, Pending) else Done(found)

    @asynccontextmanager
    async def stream(
        self, operation: Operation[Any, Any], request: Any, call: Call | None = None
    ) -> AsyncIterator[AsyncIterator[Any]]:
        assert operation.kind is Kind.STREAM
        items = self._take(operation, request)

        async def each() -> AsyncIterator[Any]:
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                yield item

        yield each()

    @asynccontextmanager
    async def events(self, after: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        async def none() -> AsyncIterator[Event]:
            await asyncio.Event().wait()
            yield Event(kind="never")

        yield none()

    async def snapshot(self, topics: Sequence[Operation[Any, Any]]) -> Snapshot:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed += 1
