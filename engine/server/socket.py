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
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from engine.clients import wire
from engine.contract.base import Json, Wire
from engine.contract.client import Done, EngineClient
from engine.contract.errors import (
    ArcanumError,
    Busy,
    Cancelled,
    Disconnected,
    Internal,
    Invalid,
)
from engine.contract.operation import Kind, Operation, Risk, find
from engine.core.gate import validate

_log = logging.getLogger("arcanum.socket")
_MOST_IN_FLIGHT = 64
_MOST_CONNECTIONS = 64
_CLOSE_WITHIN_S = 2.0


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

    async def stop(self) -> None:
        """Stops listening, cancels what runs for others, closes their connections."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for connection in tuple(self._connections):
            await connection.close()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def idle(self) -> None:
        """Waits until no work of another process runs; who only watches does not count."""
        while pending := [task for c in self._connections for task in c.working]:
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
        self.in_flight: dict[Any, asyncio.Task[None]] = {}
        self.working: set[asyncio.Task[Any]] = set()
        self._ending: Disconnected | None = None

    async def serve(self) -> None:
        try:
            while line := await self._reader.readline():
                await self._receive(line)
        except ValueError:
            problem = Invalid(f"A message is longer than {wire.MAX_LINE} bytes.")
            await self._send(wire.error(None, problem, wire.INVALID_REQUEST))
        except OSError:
            pass  # The other side is gone; so is what it asked for.
        finally:
            await self.close()

    async def close(self) -> None:
        self._ending = Disconnected("The engine is stopping.", "Connect again.")
        tasks = list(self.in_flight.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_WITHIN_S)
        if self.in_flight:
            self._writer.transport.abort()  # Who does not read any more is not waited for.
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _send(self, line: bytes) -> None:
        """Waits for a slow reader, so that a stream goes at the pace of the one who reads it."""
        with suppress(OSError):
            self._writer.write(line)
            await self._writer.drain()

    async def _receive(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            number, method = message.get("id"), message["method"]
            params = dict(message.get("params") or {})
            hash(number)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            problem = Invalid(f"Not a JSON-RPC 2.0 request: {error}.")
            await self._send(wire.error(None, problem, wire.PARSE_ERROR))
            return
        if method == wire.CANCEL:
            task = self.in_flight.get(params.get("id"))
            if task is not None:
                task.cancel()
            return
        if number is None or number in self.in_flight:
            problem = Invalid("A request needs an id of its own.")
            await self._send(wire.error(number, problem, wire.INVALID_REQUEST))
            return
        if len(self.in_flight) >= _MOST_IN_FLIGHT:
            busy = Busy(f"{_MOST_IN_FLIGHT} calls of this connection run already.")
            await self._send(wire.error(number, busy))
            return
        task = asyncio.create_task(self._answer(number, method, params), name=f"socket:{method}")
        self.in_flight[number] = task

    async def _answer(self, number: Any, method: str, params: Json) -> None:
        try:
            await self._send(wire.result(number, await self._perform(number, method, params)))
        except ArcanumError as error:
            await self._send(wire.error(number, error))
        except asyncio.CancelledError:
            problem = Cancelled(f"{method} was cancelled.")
            await self._send(wire.error(number, self._ending or problem))
        except Exception as error:  # noqa: BLE001 - the other side is told, the engine goes on
            _log.exception("%s failed", method)
            await self._send(wire.error(number, Internal(str(error) or type(error).__name__)))
        finally:
            self.in_flight.pop(number, None)

    async def _perform(self, number: Any, method: str, params: Json) -> Json:
        if method == wire.EVENTS:
            return await self._events(number, params)
        if method == wire.SNAPSHOT:
            return await self._snapshot(params)
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
                await self._opened(number)
                async for item in items:
                    await self._item(number, adapter.dump_python(item, mode="json"))
            return {"done": {}}
        answer = await self._client.call(operation, request, call)
        if isinstance(answer, Done):
            result: Wire = answer.result
            return {"done": result.model_dump(mode="json")}
        return {"pending": answer.approval_id}

    async def _opened(self, number: Any) -> None:
        await self._send(wire.notification(wire.ITEM, {"id": number, "opened": True}))

    async def _item(self, number: Any, item: Any) -> None:
        await self._send(wire.notification(wire.ITEM, {"id": number, "item": item}))

    async def _events(self, number: Any, params: Json) -> Json:
        after = params.get("after")
        if after is not None and not isinstance(after, int):
            raise Invalid("after must be a sequence number.")
        async with self._client.events(after) as events:
            await self._opened(number)
            async for event in events:
                await self._item(number, event.model_dump(mode="json"))
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
