"""The client of every other process: JSON-RPC 2.0 over the engine's private unix socket.

Standard library only below the models: a shell command pays for this module.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from engine.clients import wire
from engine.contract.base import ErrorInfo, Json, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending, Snapshot
from engine.contract.errors import (
    ArcanumError,
    Disconnected,
    Failed,
    Invalid,
    Unavailable,
    from_wire,
)
from engine.contract.events import Event, parse
from engine.contract.operation import Kind, Operation

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)

_END = object()
_HELLO_WITHIN_S = 10.0
_CLOSE_WITHIN_S = 1.0


class SocketClient:
    """Implements ``EngineClient``. Make one with ``SocketClient.connect``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, asyncio.Queue[Any]] = {}
        self._lost: ArcanumError | None = None
        self._greeted = asyncio.Event()
        self._pump = asyncio.create_task(self._receive(), name="socket-client")

    @classmethod
    async def connect(cls, path: Path) -> SocketClient:
        """Raises OSError where nobody listens, Unavailable where the engine does not answer."""
        reader, writer = await asyncio.open_unix_connection(path, limit=wire.MAX_LINE)
        client = cls(reader, writer)
        try:
            async with asyncio.timeout(_HELLO_WITHIN_S):
                await client._greeted.wait()
        except TimeoutError:
            await client.close()
            raise Unavailable(
                f"The engine that listens on {path} does not answer.",
                "If it hangs, end that process: its lock ends with it.",
            ) from None
        except BaseException:
            await client.close()
            raise
        if client._lost is not None:
            await client.close()
            raise ConnectionRefusedError(f"{path}: the engine is stopping")
        return client

    async def call(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> Done[Res] | Pending:
        if operation.kind is Kind.STREAM:
            raise Invalid(f"{operation.name} is a stream.", "Open it instead.")
        answer = await self._ask(operation.name, _params(request, call))
        if "pending" in answer:
            return Pending(int(answer["pending"]))
        model: type[Any] = operation.result
        if operation.kind is Kind.JOB:
            from engine.contract.jobs import JobStarted  # Most commands have no use for it.

            model = JobStarted
        return Done(_read(model.model_validate, answer["done"]))

    @asynccontextmanager
    async def stream(
        self, operation: Operation[Req, Res], request: Req, call: Call | None = None
    ) -> AsyncIterator[AsyncIterator[Any]]:
        if operation.kind is not Kind.STREAM:
            raise Invalid(f"{operation.name} is not a stream.", "Call it instead.")
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
            topic.name: _read(topic.result.model_validate, answer["results"][topic.name])
            for topic in topics
            if topic.name in answer["results"]
        }
        failures = {
            name: _read(ErrorInfo.model_validate, info) for name, info in answer["failures"].items()
        }
        return Snapshot(int(answer["seq"]), results, failures)

    async def ping(self) -> None:
        try:
            await self._ask(wire.PING, {})
        except Disconnected:
            raise
        except ArcanumError:
            return  # One that has too much to do, or does not know the word, has answered.

    async def close(self) -> None:
        """Ends the connection; the engine goes on. Safe to call twice."""
        self._pump.cancel()
        await asyncio.wait([self._pump])
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._writer.wait_closed()
        except OSError:  # Also a TimeoutError: the engine does not read what is left.
            self._writer.transport.abort()

    # --- the connection -------------------------------------------------------------------------

    async def _send(self, line: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        if len(line) > wire.MAX_LINE:
            raise Invalid(
                f"The request is {len(line)} bytes long, at most {wire.MAX_LINE} are taken.",
                "Send less at once.",
            )
        try:
            self._writer.write(line)
            await self._writer.drain()
        except OSError as error:
            raise _gone() from error

    def _notify(self, method: str, params: Json) -> None:
        """At once, without waiting for the other side: it is small, and who leaves may not hang."""
        if self._lost is None and not self._writer.is_closing():
            self._writer.write(wire.notification(method, params))

    async def _ask(self, method: str, params: Json) -> Any:
        """One request and its answer. Where the caller is cancelled, so is the request."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._send(wire.request(number, method, params))
            return await future
        except asyncio.CancelledError:
            self._notify(wire.CANCEL, {"id": number})
            raise
        finally:
            self._answers.pop(number, None)

    @asynccontextmanager
    async def _items(
        self, method: str, params: Json, read: Callable[[Any], Any]
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Enters once the other side has opened the stream, so that a refusal is raised here."""
        number = next(self._numbers)
        # Room for all that may be on its way, the opening and the end.
        queue: asyncio.Queue[Any] = asyncio.Queue(wire.WINDOW + 2)
        self._streams[number] = queue
        ended = False

        async def items() -> AsyncIterator[Any]:
            nonlocal ended
            taken = 0
            while not ended:
                item = await queue.get()
                if item is _END:
                    ended = True
                    return
                if isinstance(item, ArcanumError):
                    ended = True
                    raise item
                taken += 1
                if taken >= wire.WINDOW // 2:
                    self._notify(wire.MORE, {"id": number, "items": taken})
                    taken = 0
                value = _read(read, item)
                if value is not None:
                    yield value

        try:
            await self._send(wire.request(number, method, params))
            opened = await queue.get()
            if isinstance(opened, ArcanumError):
                ended = True
                raise opened
            yield items()
        finally:
            self._streams.pop(number, None)
            if not ended:
                self._notify(wire.CANCEL, {"id": number})

    async def _receive(self) -> None:
        lost: ArcanumError = _gone()
        try:
            while line := await self._reader.readline():
                self._dispatch(json.loads(line))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
            asyncio.QueueFull,
        ) as error:
            lost = _gone(f"{type(error).__name__}: {error}")
        finally:
            self._lost = lost
            self._greeted.set()
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(lost)
            for queue in self._streams.values():
                while queue.full():
                    queue.get_nowait()
                queue.put_nowait(lost)

    def _dispatch(self, message: Json) -> None:
        method = message.get("method")
        if method == wire.HELLO:
            self._greeted.set()
        elif method == wire.ITEM:
            queue = self._streams.get(message["params"]["id"])
            if queue is not None:
                queue.put_nowait(message["params"].get("item"))
        elif method is None:
            self._answered(message)

    def _answered(self, message: Json) -> None:
        number = message.get("id")
        problem = message.get("error")
        answer: Any = from_wire(problem["data"]) if problem else message.get("result")
        if number in self._streams:
            self._streams[number].put_nowait(answer if problem else _END)
        elif number in self._answers and not self._answers[number].done():
            if problem:
                self._answers[number].set_exception(answer)
            else:
                self._answers[number].set_result(answer)


def _read(read: Callable[[Any], Any], value: Any) -> Any:
    """What the engine sent, as a model. Another version's engine may say what is unknown here."""
    try:
        return read(value)
    except ValidationError as error:
        raise Failed(
            "The engine answered in a form that is not known here.",
            "It may be of another version: end it, then start it again.",
        ) from error


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
