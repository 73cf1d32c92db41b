"""The engine's private unix socket: JSON-RPC 2.0 over any ``EngineClient``.

Only processes of the same user get in: the folder is 0700 and the peer's uid is checked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from engine.clients import wire
from engine.contract.base import Json, Wire, visible
from engine.contract.client import Done, EngineClient
from engine.contract.errors import (
    ArcanumError,
    Busy,
    Cancelled,
    Disconnected,
    Failed,
    Internal,
    Invalid,
)
from engine.contract.operation import Kind, Operation, Risk, find
from engine.core.gate import validate
from engine.worker.failures import said

_log = logging.getLogger("arcanum.socket")
_MOST_IN_FLIGHT = 64
_MOST_CONNECTIONS = 64
_CLOSE_WITHIN_S = 2.0
_ASK_WITHIN_S = 1.0


class SocketServer:
    """Serves ``client`` on a unix socket."""

    def __init__(self, client: EngineClient, path: Path) -> None:
        self._client = client
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listens. The caller holds the engine's lock: a socket that lies there is a dead one."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._accept, self._path, limit=wire.MAX_LINE
        )
        self._path.chmod(0o600)

    def refuse(self) -> None:
        """Listens no more; who is connected is still served."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Stops listening, cancels what runs for others, closes their connections."""
        self.refuse()
        await asyncio.gather(*(connection.close() for connection in self._connections))
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def idle(self) -> None:
        """Waits until no work of another process runs; who only watches does not count.

        Who has connected and asked nothing yet is about to: it gets a moment.
        """
        while True:
            pending = [task for c in self._connections for task in c.working]
            pending += [c.asked for c in self._connections if not c.asked.done()]
            if not pending:
                return
            await asyncio.wait(pending)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if _peer_uid(writer) not in {None, os.getuid()} or (
            len(self._connections) >= _MOST_CONNECTIONS
        ):
            writer.close()
            return
        connection = _Connection(self._client, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)


def _peer_uid(writer: asyncio.StreamWriter) -> int | None:
    """Who is on the other side; None where the system cannot tell (the folder is private)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    peer: socket.socket = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    _pid, uid, _gid = struct.unpack(
        "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return int(uid)


def _is_request(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and isinstance(message.get("id"), int | str | None)
        and isinstance(message.get("params"), dict | None)
    )


class _Connection:
    def __init__(
        self,
        client: EngineClient,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._client = client
        self._reader = reader
        self._writer = writer
        self._in_flight: dict[Any, asyncio.Task[None]] = {}
        self._windows: dict[Any, asyncio.Semaphore] = {}
        self._called_off: set[Any] = set()
        """Requests that the other side wants no more."""
        self.working: set[asyncio.Task[Any]] = set()
        self.asked = asyncio.ensure_future(asyncio.sleep(_ASK_WITHIN_S))
        """Done with the first message, or where none came for a while."""

    async def serve(self) -> None:
        try:
            await self._send(wire.notification(wire.HELLO, {"pid": os.getpid()}))
            while line := await self._reader.readline():
                self._receive(line)
                self.asked.cancel()
                await self._writer.drain()
                await asyncio.sleep(0)  # A flood of messages may not hold the engine.
        except ValueError:
            problem = Invalid(f"A message is longer than {wire.MAX_LINE} bytes.")
            self._write(wire.error(None, problem, wire.INVALID_REQUEST))
        except OSError:
            pass  # The other side is gone; so is what it asked for.
        finally:
            await self.close()

    async def close(self) -> None:
        """Cancels what runs for the other side; who does not read any more is not waited for."""
        self.asked.cancel()
        for task in self._in_flight.values():
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight.values(), timeout=_CLOSE_WITHIN_S)
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._writer.wait_closed()
        except OSError:  # Also a TimeoutError.
            self._writer.transport.abort()

    def _write(self, line: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(line)

    async def _send(self, line: bytes) -> None:
        """Waits for a slow reader, so that nothing piles up here."""
        self._write(line)
        with suppress(OSError):
            await self._writer.drain()

    def _receive(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._refuse(None, f"This is not JSON: {error}", wire.PARSE_ERROR)
            return
        if not _is_request(message):
            self._refuse(None, "This is not a JSON-RPC 2.0 request.", wire.INVALID_REQUEST)
            return
        number, method = message.get("id"), message["method"]
        params = message.get("params") or {}
        if method in {wire.CANCEL, wire.MORE}:
            self._steer(method, params)
        elif number is None or number in self._in_flight:
            self._refuse(number, "A request needs an id of its own.", wire.INVALID_REQUEST)
        elif len(self._in_flight) >= _MOST_IN_FLIGHT:
            busy = Busy(f"{_MOST_IN_FLIGHT} calls of this connection run already.")
            self._write(wire.error(number, busy))
        else:
            self._begin(number, method, params)

    def _refuse(self, number: Any, problem: str, code: int) -> None:
        self._write(wire.error(number, Invalid(visible(problem)), code))

    def _steer(self, method: str, params: Json) -> None:
        """A message about a request that runs. One that has ended meanwhile is no error."""
        number, items = params.get("id"), params.get("items")
        if not isinstance(number, int | str):
            return
        task, window = self._in_flight.get(number), self._windows.get(number)
        if method == wire.CANCEL and task is not None:
            self._called_off.add(number)
            task.cancel()
        elif method == wire.MORE and window is not None and isinstance(items, int):
            for _ in range(min(items, wire.WINDOW)):
                window.release()

    def _begin(self, number: Any, method: str, params: Json) -> None:
        task = asyncio.create_task(self._answer(number, method, params), name=f"socket:{method}")
        self._in_flight[number] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._in_flight[number]
            self._windows.pop(number, None)
            if task.cancelled():  # Before its first step: nobody has answered.
                self._write(wire.error(number, self._why_ended(number, method)))
            self._called_off.discard(number)

        task.add_done_callback(ended)

    def _why_ended(self, number: Any, method: str) -> ArcanumError:
        """Of a request that was cancelled. Where nobody called it off the engine is about to end,
        by whatever it ends first: who hears so may connect again."""
        if number in self._called_off:
            return Cancelled(f"{visible(method)} was cancelled.")
        return Disconnected("The engine is stopping.", "Connect again.")

    async def _answer(self, number: Any, method: str, params: Json) -> None:
        try:
            line = wire.result(number, await self._perform(number, method, params))
            if len(line) > wire.MAX_LINE:
                problem = Failed(f"The answer is {len(line)} bytes long.", "Ask for less at once.")
                line = wire.error(number, problem)
            await self._send(line)
        except ArcanumError as error:
            await self._send(wire.error(number, error))
        except asyncio.CancelledError:
            # Without waiting: it may have been cancelled because nobody reads.
            self._write(wire.error(number, self._why_ended(number, method)))
        except Exception as error:  # noqa: BLE001 - the other side is told, the engine goes on
            _log.exception("%s failed", method)
            defect = Internal(visible(said(error)))
            await self._send(wire.error(number, defect))

    async def _perform(self, number: Any, method: str, params: Json) -> Json:
        if method == wire.EVENTS:
            return await self._events(number, params)
        if method == wire.SNAPSHOT:
            return await self._snapshot(params)
        if method == wire.PING:
            return {}
        operation = find(method)
        call = wire.call_from_wire(params.get("call", {"actor": ["operator", "socket"]}))
        request = validate(operation, params.get("request", {}))
        task = asyncio.current_task()
        if task is not None and (
            operation.kind is not Kind.STREAM or operation.risk is not Risk.READ
        ):
            self.working.add(task)
            task.add_done_callback(self.working.discard)
        if operation.kind is Kind.STREAM:
            adapter: TypeAdapter[Any] = TypeAdapter(operation.item)
            async with self._client.stream(operation, request, call) as items:
                await self._pass_on(number, items, lambda i: adapter.dump_python(i, mode="json"))
            return {"done": {}}
        answer = await self._client.call(operation, request, call)
        if isinstance(answer, Done):
            result: Wire = answer.result
            return {"done": result.model_dump(mode="json")}
        return {"pending": answer.approval_id}

    async def _pass_on(
        self, number: Any, items: AsyncIterator[Any], dump: Callable[[Any], Any]
    ) -> None:
        """At the pace of the one who reads them."""
        window = self._windows[number] = asyncio.Semaphore(wire.WINDOW)
        await self._send(wire.notification(wire.ITEM, {"id": number, "opened": True}))
        async for item in items:
            await window.acquire()
            await self._send(wire.notification(wire.ITEM, {"id": number, "item": dump(item)}))

    async def _events(self, number: Any, params: Json) -> Json:
        after = params.get("after")
        if after is not None and type(after) is not int:
            raise Invalid("after must be a sequence number.")
        async with self._client.events(after) as events:
            await self._pass_on(number, events, lambda event: event.model_dump(mode="json"))
        return {"done": {}}

    async def _snapshot(self, params: Json) -> Json:
        names = params.get("topics")
        if not isinstance(names, list) or len(names) > _MOST_IN_FLIGHT:
            raise Invalid("topics must be a list of operation names.")
        topics: list[Operation[Any, Any]] = [find(str(name)) for name in names]
        snapshot = await self._client.snapshot(topics)
        return {
            "seq": snapshot.seq,
            "results": {k: v.model_dump(mode="json") for k, v in snapshot.results.items()},
            "failures": {k: v.model_dump(mode="json") for k, v in snapshot.failures.items()},
        }
