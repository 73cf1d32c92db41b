"""The client of every other process: JSON-RPC 2.0 over the engine's private unix socket.

Standard library only below the models: a shell command pays for this module.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from engine.clients import wire
from engine.contract.base import ErrorInfo, Json, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending, Snapshot
from engine.contract.errors import ArcanumError, Disconnected, from_wire
from engine.contract.events import Event, parse
from engine.contract.jobs import JobStarted
from engine.contract.operation import Kind, Operation

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)

_END = object()
_STREAM_BOUND = 1000


class SocketClient:
    """Implements ``EngineClient``. Make one with ``SocketClient.connect``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, asyncio.Queue[Any]] = {}
        self._lost: ArcanumError | None = None
        self._pump = asyncio.create_task(self._receive(), name="socket-client")

    @classmethod
    async def connect(cls, path: Path) -> SocketClient:
        """Raises OSError where nobody listens."""
        reader, writer = await asyncio.open_unix_connection(path, limit=wire.MAX_LINE)
        return cls(reader, writer)

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> Done[Res] | Pending:
        answer = await self._ask(operation.name, _params(request, call))
        if "pending" in answer:
            return Pending(int(answer["pending"]))
        model: type[Any] = JobStarted if operation.kind is Kind.JOB else operation.result
        return Done(model.model_validate(answer["done"]))

    @asynccontextmanager
    async def stream(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> AsyncIterator[AsyncIterator[Any]]:
        adapter: TypeAdapter[Any] = TypeAdapter(operation.item)
        async with self._items(
            operation.name, _params(request, call), adapter.validate_python
        ) as items:
            yield items

    @asynccontextmanager
    async def events(self, after: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        async with self._items(wire.EVENTS, {"after": after}, parse) as items:
            yield items

    async def snapshot(self, topics: Sequence[Operation[Any, Any]]) -> Snapshot:
        answer = await self._ask(wire.SNAPSHOT, {"topics": [topic.name for topic in topics]})
        results = {
            topic.name: topic.result.model_validate(answer["results"][topic.name])
            for topic in topics
            if topic.name in answer["results"]
        }
        failures = {
            name: ErrorInfo.model_validate(info) for name, info in answer["failures"].items()
        }
        return Snapshot(int(answer["seq"]), results, failures)

    async def close(self) -> None:
        """Ends the connection; the engine goes on."""
        self._pump.cancel()
        with suppress(asyncio.CancelledError):
            await self._pump
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    # --- the connection -------------------------------------------------------------------------

    async def _send(self, line: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        try:
            self._writer.write(line)
            await self._writer.drain()
        except OSError as error:
            raise _gone() from error

    async def _ask(self, method: str, params: Json) -> Any:
        """One request and its answer. Where the caller is cancelled, so is the request."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._send(wire.request(number, method, params))
            return await future
        except asyncio.CancelledError:
            await self._cancel(number)
            raise
        finally:
            self._answers.pop(number, None)

    async def _cancel(self, number: int) -> None:
        with suppress(ArcanumError):  # The connection is gone: so is the request.
            await self._send(wire.notification(wire.CANCEL, {"id": number}))

    @asynccontextmanager
    async def _items(
        self, method: str, params: Json, read: Callable[[Any], Any]
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Enters once the other side has opened the stream, so that a refusal is raised here."""
        number = next(self._numbers)
        queue: asyncio.Queue[Any] = asyncio.Queue(_STREAM_BOUND)
        self._streams[number] = queue
        await self._send(wire.request(number, method, params))
        ended = False

        async def items() -> AsyncIterator[Any]:
            nonlocal ended
            while True:
                item = await queue.get()
                if item is _END:
                    ended = True
                    return
                if isinstance(item, ArcanumError):
                    ended = True
                    raise item
                value = read(item)
                if value is not None:
                    yield value

        try:
            opened = await queue.get()
            if isinstance(opened, ArcanumError):
                ended = True
                raise opened
            yield items()
        finally:
            self._streams.pop(number, None)
            if not ended:
                await self._cancel(number)

    async def _receive(self) -> None:
        lost: ArcanumError = _gone()
        try:
            while line := await self._reader.readline():
                await self._dispatch(json.loads(line))
        except (OSError, ValueError) as error:
            lost = _gone(str(error))
        finally:
            self._lost = lost
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(lost)
            for queue in self._streams.values():
                while queue.full():
                    queue.get_nowait()
                queue.put_nowait(lost)

    async def _dispatch(self, message: Json) -> None:
        if message.get("method") == wire.ITEM:
            queue = self._streams.get(message["params"]["id"])
            if queue is not None:
                # A full queue holds the whole connection: the engine bounds what it sends.
                await queue.put(message["params"].get("item"))
            return
        number = message.get("id")
        problem = message.get("error")
        answer: Any = from_wire(problem["data"]) if problem else message.get("result")
        if number in self._streams:
            await self._streams[number].put(answer if problem else _END)
        elif number in self._answers and not self._answers[number].done():
            if problem:
                self._answers[number].set_exception(answer)
            else:
                self._answers[number].set_result(answer)


def _params(request: Wire, call: Call | None) -> Json:
    return {
        "request": request.model_dump(mode="json"),
        "call": wire.call_to_wire(call or Call()),
    }


def _gone(detail: str = "") -> Disconnected:
    return Disconnected(
        "The engine's process ended or closed the connection"
        + (f" ({detail})." if detail else "."),
        "Try again: a new engine is started where none runs.",
    )
