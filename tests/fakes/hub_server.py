"""A small strict server on loopback that speaks like a model hub, and can misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fakes.loopback import Loopback

REPO = "maker/small-GGUF"
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]


class Reply:
    """Writes one HTTP/1.1 reply."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def head(self, status: int, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} x", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def json(self, value: Any, **headers: str) -> None:
        data = json.dumps(value).encode()
        await self.head(200, Content_Length=str(len(data)), **headers)
        await self.send(data)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Misbehave = Callable[[Reply, Asked], Awaitable[bool]]
"""Answers in its own way and says True, or leaves it to the server."""


@dataclass
class HubServer(Loopback):
    """One repository. ``content``: its files by path; those in ``plain`` have no SHA-256.

    ``elsewhere``: where files really are (another server's URL), as hubs do it. ``page``: entries
    on a page of the listing. ``ranges``: whether it knows ranges. ``hold``: a file's bytes stop
    after ``hold_at`` until it is set. ``listed`` replaces what the listing says.
    """

    content: dict[str, bytes] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()
    elsewhere: str = ""
    token: str = ""
    page: int = 1000
    ranges: bool = True
    hold: asyncio.Event | None = None
    hold_at: int = 0
    listed: list[Any] | None = None
    misbehave: Misbehave | None = None
    asked: list[Asked] = field(default_factory=list)

    @property
    def files_asked(self) -> list[Asked]:
        return [each for each in self.asked if "/resolve/" in each.path]

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer(await _read(reader), Reply(writer))

    async def _answer(self, asked: Asked, reply: Reply) -> None:
        self.asked.append(asked)
        if self.misbehave is not None and await self.misbehave(reply, asked):
            return
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            await reply.head(401, Content_Length="0")
            return
        path = unquote(urlsplit(asked.path).path)
        about = f"/api/models/{REPO}"
        if path == about:
            siblings = [{"rfilename": name} for name in self.content]
            await reply.json({"id": REPO, "sha": SHA, "siblings": siblings})
        elif path == f"{about}/tree/{SHA}":
            await self._tree(asked, reply)
        elif path.startswith(prefix := f"/{REPO}/resolve/{SHA}/"):
            if self.elsewhere:
                await reply.head(
                    302, Content_Length="0", Location=f"{self.elsewhere}{asked.path}?signed=yes"
                )
            else:
                await self.file(path.removeprefix(prefix), asked, reply)
        else:
            await reply.head(404, Content_Length="0")

    async def _tree(self, asked: Asked, reply: Reply) -> None:
        all_of_it = self.listed if self.listed is not None else [*map(self.entry, self.content)]
        found = re.search(r"[?&]cursor=(\d+)", asked.path)
        start = int(found[1]) if found else 0
        more = {}
        if start + self.page < len(all_of_it):
            base = f"{self.url}/api/models/{REPO}/tree/{SHA}?recursive=true"
            more["Link"] = f'<{base}&cursor={start + self.page}>; rel="next"'
        await reply.json(all_of_it[start : start + self.page], **more)

    def entry(self, name: str) -> dict[str, Any]:
        data = self.content[name]
        told: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
        if name not in self.plain:
            told["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        return told

    async def file(self, name: str, asked: Asked, reply: Reply) -> None:
        data = self.content.get(name)
        if data is None:
            await reply.head(404, Content_Length="0")
            return
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        same = asked.headers.get("if-range", etag) == etag
        start = int(wanted[1]) if wanted and same and self.ranges else 0
        if wanted and same and self.ranges:
            if start >= len(data):
                await reply.head(416, Content_Length="0", Content_Range=f"bytes */{len(data)}")
                return
            told = f"bytes {start}-{len(data) - 1}/{len(data)}"
            await reply.head(
                206, Content_Length=str(len(data) - start), Content_Range=told, ETag=etag
            )
        else:
            await reply.head(200, Content_Length=str(len(data)), ETag=etag)
        if self.hold is not None and start < self.hold_at:
            await reply.send(data[start : self.hold_at])
            await self.hold.wait()
            start = self.hold_at
        await reply.send(data[start:])


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, path, _ = head[0].split(" ")
    assert method == "GET"
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    return Asked(path, {name.lower(): value for name, value in pairs})
