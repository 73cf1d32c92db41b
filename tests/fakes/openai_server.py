"""A small strict OpenAI-compatible server on loopback, which can misbehave in each known way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

MODEL = "fake-model"
WORDS = [f"word{n} " for n in range(1, 41)]


class Refuse(Exception):
    """A request that a strict server does not take."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Reply:
    """Writes one HTTP/1.1 reply."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def json(self, status: int, value: Any, headers: str = "") -> None:
        await self.whole(status, json.dumps(value).encode(), "application/json", headers)

    async def whole(self, status: int, data: bytes, kind: str, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        await self.raw(f"{head}{headers}Connection: close\r\n\r\n".encode() + data)

    async def start(self, headers: str = "") -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        await self.raw(f"{head}{headers}Transfer-Encoding: chunked\r\n\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, value: Any) -> None:
        await self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    async def piece(self, text: str | None, finish: str | None = None) -> None:
        delta = {} if text is None else {"content": text}
        await self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    async def end(self) -> None:
        await self.chunk(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Behaviour = Callable[[Reply, Request], Awaitable[None]]


@dataclass
class OpenAIServer:
    """``misbehave`` replaces the answer to a chat; ``hold`` makes it pause after two words.

    ``requests`` are those that came, ``active`` counts the chats under way.
    """

    key: str = ""
    misbehave: Behaviour | None = None
    hold: asyncio.Event | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": MODEL, "object": "model", "owned_by": "tests"}]
    )
    requests: list[Request] = field(default_factory=list)
    active: int = 0
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OpenAIServer]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await server.wait_closed()

    def asked(self, path: str) -> list[Request]:
        return [each for each in self.requests if each.path == path]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = Reply(writer)
        try:
            request = await _read(reader)
            self.requests.append(request)
            await self._route(reply, request, reader)
        except Refuse as error:
            await reply.json(400, {"error": {"message": str(error), "type": "invalid_request"}})
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client left.
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _route(self, reply: Reply, request: Request, reader: asyncio.StreamReader) -> None:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            await reply.json(401, {"error": {"message": "Incorrect API key provided"}})
        elif request.path == "/v1/models" and request.method == "GET":
            await reply.json(200, {"object": "list", "data": self.models})
        elif request.path == "/v1/chat/completions" and request.method == "POST":
            await self._chat(reply, request, reader)
        elif request.path in self.extra:
            await reply.json(200, self.extra[request.path])
        else:
            await reply.json(404, {"error": {"message": f"no route {request.path}"}})

    async def _chat(self, reply: Reply, request: Request, reader: asyncio.StreamReader) -> None:
        _check(request.body)
        if self.misbehave is not None:
            await self.misbehave(reply, request)
            return
        self.active += 1
        # A client says nothing more; the end of its stream is its leaving.
        leaving = asyncio.create_task(reader.read())
        answering = asyncio.create_task(self._answer(reply, request))
        try:
            await asyncio.wait({leaving, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ConnectionError("left")
            await answering
        finally:
            self.active -= 1
            for task in (leaving, answering):
                task.cancel()
            await asyncio.wait({leaving, answering})

    async def _answer(self, reply: Reply, request: Request) -> None:
        limit = request.body["max_tokens"]
        await reply.start()
        await reply.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        await reply.chunk(b": a comment\n\n")
        for number, word in enumerate(WORDS[:limit]):
            if number == 2 and self.hold is not None:
                await self.hold.wait()
            await reply.piece(word)
        await reply.piece(None, "length" if limit < len(WORDS) else "stop")
        await reply.event({"choices": [], "usage": {"total_tokens": 3}})
        await reply.end()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {}
    for line in filter(None, head[1:]):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, json.loads(data) if data else None)


def _check(body: Any) -> None:
    """What OpenAI's own server insists on."""
    if not isinstance(body, dict) or body.get("stream") is not True:
        raise Refuse("stream must be true")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refuse("you must provide a model parameter")
    if unknown := set(body) - {"model", "messages", "stream", "max_tokens", "temperature", "stop"}:
        raise Refuse(f"unrecognized request arguments: {sorted(unknown)}")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise Refuse("max_tokens must be a positive integer")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refuse("messages must not be empty")
    for message in messages:
        if set(message) != {"role", "content"} or not isinstance(message["content"], str):
            raise Refuse("a message has a role and a content")
        if message["role"] not in {"system", "user", "assistant"}:
            raise Refuse(f"unknown role {message['role']!r}")
