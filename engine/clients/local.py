"""The client of the process that runs the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from engine.contract.base import ErrorInfo, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending, Snapshot
from engine.contract.errors import ArcanumError, Disconnected, Invalid
from engine.contract.events import Event
from engine.contract.operation import Kind, Operation, Risk
from engine.core.engine import Engine
from engine.core.gate import validate

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)


class LocalClient:
    """Implements ``EngineClient`` over the gate. ``on_close`` stops what was started for it."""

    def __init__(
        self, engine: Engine, on_close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._engine = engine
        self._on_close = on_close
        self._closed = False

    def _open(self) -> Engine:
        if self._closed:
            raise Disconnected("This client was closed.", "Connect again.")
        return self._engine

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> Done[Res] | Pending:
        return await self._open().gate.call(operation, request, call or Call())

    @asynccontextmanager
    async def stream(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> AsyncIterator[AsyncIterator[Any]]:
        own: Exception | None = None
        async with self._open().gate.stream_of(operation, request, call or Call()) as items:
            try:
                yield items
            except ArcanumError:
                raise
            except Exception as error:  # noqa: BLE001 - raised again below
                own = error  # The face's own: all that the engine hears is that it left.
        if own is not None:
            raise own

    def events(self, after: int | None = None) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._open().feed.open(after)

    async def ping(self) -> None:
        self._open()

    async def snapshot(self, topics: Sequence[Operation[Any, Any]]) -> Snapshot:
        # The number is read first: an event between it and a read is folded twice, never missed.
        seq = self._open().bus.last_seq
        answers = await asyncio.gather(*(self._topic(topic) for topic in topics))
        results: dict[str, Any] = {}
        failures: dict[str, ErrorInfo] = {}
        for topic, answer in zip(topics, answers, strict=True):
            if isinstance(answer, ErrorInfo):
                failures[topic.name] = answer
            else:
                results[topic.name] = answer
        return Snapshot(seq, results, failures)

    async def _topic(self, topic: Operation[Any, Any]) -> Wire | ErrorInfo:
        try:
            if topic.kind is not Kind.UNARY or topic.risk is not Risk.READ:
                raise Invalid(f"{topic.name} is no read: a snapshot changes nothing.")
            answer = await self.call(topic, validate(topic, {}))
        except ArcanumError as error:
            return ErrorInfo.of(error)
        assert isinstance(answer, Done)
        result: Wire = answer.result
        return result

    async def close(self) -> None:
        """Ends this client, and the engine where it was started for it. Safe to call twice."""
        if not self._closed:
            self._closed = True
            if self._on_close is not None:
                await self._on_close()
