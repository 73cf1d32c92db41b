"""A small strict OpenAI-compatible server on loopback, which can misbehave in each known way."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.loopback import Loopback

MODEL = "fake-model"
NEEDED = {"model", "messages", "stream", "max_tokens", "temperature", "stop"}
OPTIONAL = {"stream_options", "response_format", "logprobs", "top_logprobs"}
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
        await self.chunk(b"data: " + self.encoded(value) + b"\n\n")

    @staticmethod
    def encoded(value: Any) -> bytes:
        return json.dumps(value).encode()

    async def piece(self, text: str | None, finish: str | None = None, **more: Any) -> None:
        delta = {} if text is None else {"content": text}
        choice = {"index": 0, "delta": delta, "finish_reason": finish} | more
        await self.event({"choices": [choice]})

    async def end(self) -> None:
        await self.chunk(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Behaviour = Callable[[Reply, Request], Awaitable[None]]


@dataclass
class OpenAIServer(Loopback):
    """``misbehave`` replaces the answer to a chat; ``hold`` makes it pause after two words.

    ``extra`` answers paths before all else: with a value (bytes as they are), with what it makes
    of the request, or with 404 for None. ``takes`` are
    the fields that it knows beside those that it needs, ``words`` what it answers. ``requests``
    are those that came, ``active`` counts the chats under way.
    """

    key: str = ""
    misbehave: Behaviour | None = None
    hold: asyncio.Event | None = None
    takes: set[str] = field(default_factory=lambda: set(OPTIONAL))
    words: list[str] = field(default_factory=lambda: list(WORDS))
    extra: dict[str, Any] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": MODEL, "object": "model", "owned_by": "tests"}]
    )
    requests: list[Request] = field(default_factory=list)
    active: int = 0

    def asked(self, path: str) -> list[Request]:
        return [each for each in self.requests if each.path == path]

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = Reply(writer)
        try:
            request = await _read(reader)
            self.requests.append(request)
            await self._route(reply, request, reader)
        except Refuse as error:
            await reply.json(400, {"error": {"message": str(error), "type": "invalid_request"}})

    async def _route(self, reply: Reply, request: Request, reader: asyncio.StreamReader) -> None:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            await reply.json(401, {"error": {"message": "Incorrect API key provided"}})
        elif request.path in self.extra:
            answer = self.extra[request.path]
            answer = answer(request) if callable(answer) else answer
            if isinstance(answer, bytes):
                await reply.whole(200, answer, "application/json")
            else:
                await reply.json(404 if answer is None else 200, answer)
        elif request.path == "/v1/models" and request.method == "GET":
            await reply.json(200, {"object": "list", "data": self.models})
        elif request.path == "/v1/chat/completions" and request.method == "POST":
            await self._chat(reply, request, reader)
        elif request.path == "/v1/embeddings" and request.method == "POST":
            await reply.json(200, {"object": "list", "data": _vectors(request.body)})
        else:
            await reply.json(404, {"error": {"message": f"no route {request.path}"}})

    async def _chat(self, reply: Reply, request: Request, reader: asyncio.StreamReader) -> None:
        _check(request.body, NEEDED | self.takes)
        self.active += 1
        # A client says nothing more; the end of its stream is its leaving.
        leaving = asyncio.create_task(reader.read())
        behave = self.misbehave or self._answer
        answering = asyncio.ensure_future(behave(reply, request))
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
        body = request.body
        words, limit = self.words, body["max_tokens"]
        if shape := body.get("response_format"):
            words = list(json.dumps(_fitting(shape["json_schema"]["schema"])))
        await reply.start()
        await reply.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        await reply.chunk(b": a comment\n\n")
        for number, word in enumerate(words[:limit]):
            if number == 2 and self.hold is not None:
                await self.hold.wait()
            told: dict[str, Any] = {}
            if "logprobs" in body:
                told["logprobs"] = _logprobs(word, body["top_logprobs"])
            await reply.piece(word, **told)
        await reply.piece(None, "length" if limit < len(words) else "stop")
        if body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": 12, "completion_tokens": min(limit, len(words))}
            cached = {"prompt_tokens_details": {"cached_tokens": 3}}
            await reply.event({"choices": [], "usage": usage | cached})
        await reply.end()


def _logprobs(word: str, most: int) -> dict[str, Any]:
    others = [{"token": f"{word}{n}", "logprob": -0.5 - n} for n in range(most)]
    return {"content": [{"token": word, "logprob": -0.5, "top_logprobs": others}]}


def _fitting(schema: Any) -> Any:
    """A value that fits a simple schema, as a constrained model would write one."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: _fitting(each) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [_fitting(schema["items"])] * schema.get("minItems", 1)
    plain = {"string": "word", "integer": 1, "number": 1.5, "boolean": True, "null": None}
    return plain[kind]


def _vectors(body: Any) -> list[dict[str, Any]]:
    """Vectors of eight numbers, in any order, as servers with several workers send them."""
    if not isinstance(body.get("model"), str) or not isinstance(body.get("input"), list):
        raise Refuse("a model and an input are needed")
    found = []
    for index, text in enumerate(body["input"]):
        numbers = [each / 255 for each in hashlib.sha256(text.encode()).digest()[:8]]
        found.append({"index": index, "embedding": numbers})
    return found[::-1]


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {}
    for line in filter(None, head[1:]):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, json.loads(data) if data else None)


def _check(body: Any, known: set[str]) -> None:
    """What OpenAI's own server insists on."""
    if not isinstance(body, dict) or body.get("stream") is not True:
        raise Refuse("stream must be true")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refuse("you must provide a model parameter")
    if unknown := set(body) - known:
        raise Refuse(f"unrecognized request arguments: {sorted(unknown)}")
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    if not isinstance(most, int) or most < 1:
        raise Refuse("max_tokens must be a positive integer")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refuse("messages must not be empty")
    for message in messages:
        if set(message) != {"role", "content"} or not isinstance(message["content"], str):
            raise Refuse("a message has a role and a content")
        if message["role"] not in {"system", "user", "assistant"}:
            raise Refuse(f"unknown role {message['role']!r}")
