"""Torrent clients that answer as the real ones do, on loopback. Strict in what they accept.

What they say was taken down from qBittorrent 4.5.2 and 5.1, and Transmission 3.00.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.loopback import Loopback

HASH = "497e24dc9498aac90079addbcf268f462f9914e9"
ANNOUNCE = "https://tracker.example:443/hunter2hunter2hunter2hunter2/announce?key=hunter2"
SESSION = "d6aAaGRvS0bkuBT14ouIGhYsrpaeOQSBEV5hfhrJvGpk6E6j"


@dataclass
class Fake:
    """A torrent: ``files`` by their path, with their sizes and whether they are whole."""

    folder: str
    files: dict[str, tuple[int, bool]]
    name: str = "Show"
    infohash: str = HASH
    state: str = "seeding"
    private: bool = True
    ratio: float = 1.25
    seconds: int = 7200

    @property
    def whole(self) -> bool:
        return all(whole for _size, whole in self.files.values())


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Reply = tuple[int, dict[str, str], bytes]
Misbehave = Callable[[asyncio.StreamWriter, Asked], Awaitable[bool]]
"""Answers in its own way; False leaves it to the server."""


@dataclass
class Server(Loopback):
    torrents: list[Fake] = field(default_factory=list)
    user: str = ""
    password: str = ""
    misbehave: Misbehave | None = None
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await _read(reader)
            self.asked.append(asked)
            if self.misbehave is not None and await self.misbehave(writer, asked):
                return
            status, headers, body = self.answer(asked)
            writer.write(head(status, {"Content-Length": str(len(body)), **headers}) + body)
            await writer.drain()


class QBittorrent(Server):
    """``modern``: version 5, which tells more in its list."""

    modern = False
    # A real one is 32 characters of base64.
    sid = "VMtNqZo1m9D+a6KmBz5xzl4IB/s5fhie"

    def answer(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        what = parts.path.removeprefix("/api/v2/")
        if what == "auth/login":
            return self._login(asked)
        if self.user and asked.headers.get("cookie") != f"SID={self.sid}":
            return 403, {}, b"Forbidden"
        assert asked.method == "GET"
        if what == "torrents/info":
            return told([self._row(torrent) for torrent in self.torrents])
        wanted = parse_qs(parts.query)["hash"][0]
        found = next((t for t in self.torrents if t.infohash == wanted), None)
        if found is None:
            return 404, {}, b"Not Found"
        if what == "torrents/files":
            return told(
                [
                    {"index": i, "name": name, "size": size, "progress": 1 if whole else 0.5}
                    for i, (name, (size, whole)) in enumerate(found.files.items())
                ]
            )
        assert what == "torrents/trackers"
        closed = "This torrent is private" if found.private else ""
        pseudo = [
            {"url": f"** [{name}] **", "msg": closed, "status": 0 if closed else 2, "tier": -1}
            for name in ("DHT", "PeX", "LSD")
        ]
        return told([*pseudo, {"url": ANNOUNCE, "msg": "", "status": 2, "tier": 0}])

    def _login(self, asked: Asked) -> Reply:
        assert asked.method == "POST"
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if form != {"username": self.user, "password": self.password}:
            return 200, {}, b"Fails."
        cookie = f"SID={self.sid}; HttpOnly; path=/; SameSite=Strict"
        return 200, {"Set-Cookie": cookie}, b"Ok."

    def _row(self, torrent: Fake) -> dict[str, Any]:
        states = {"seeding": "stalledUP", "paused": "pausedUP", "downloading": "downloading"}
        row = {
            "hash": torrent.infohash,
            "name": torrent.name,
            "save_path": torrent.folder,
            "download_path": "",
            "content_path": f"{torrent.folder}/{torrent.name}",
            "progress": 1 if torrent.whole else 0.4,
            "total_size": sum(size for size, _whole in torrent.files.values()),
            "state": states[torrent.state],
            "category": "tv",
            "tags": "a, b",
            "ratio": torrent.ratio,
            "seeding_time": torrent.seconds,
            "added_on": 1795921494,
            "completion_on": 1795921495,
            "tracker": "",
            "magnet_uri": f"magnet:?xt=urn:btih:{torrent.infohash}&tr={ANNOUNCE}",
        }
        return {**row, "tracker": ANNOUNCE, "private": torrent.private} if self.modern else row


class Transmission(Server):
    def answer(self, asked: Asked) -> Reply:
        assert (asked.method, asked.path) == ("POST", "/transmission/rpc")
        if self.user:
            both = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if asked.headers.get("authorization") != f"Basic {both}":
                return 401, {"WWW-Authenticate": "Basic"}, b"<h1>401: Unauthorized</h1>"
        if asked.headers.get("x-transmission-session-id") != SESSION:
            return 409, {"X-Transmission-Session-Id": SESSION}, b"<h1>409: Conflict</h1>"
        call = json.loads(asked.body)
        arguments = call["arguments"]
        if call["method"] == "session-get":
            return success({"incomplete-dir": "/nowhere", "incomplete-dir-enabled": False})
        assert call["method"] == "torrent-get"
        ids = arguments.get("ids", [torrent.infohash for torrent in self.torrents])
        rows = [self._row(t) for t in self.torrents if t.infohash in ids]
        fields = arguments["fields"]
        return success({"torrents": [{name: row[name] for name in fields} for row in rows]})

    def _row(self, torrent: Fake) -> dict[str, Any]:
        size = sum(size for size, _whole in torrent.files.values())
        return {
            "hashString": torrent.infohash,
            "name": torrent.name,
            "downloadDir": torrent.folder,
            "trackers": [{"announce": ANNOUNCE, "scrape": ANNOUNCE, "id": 0, "tier": 0}],
            "isPrivate": torrent.private,
            "uploadRatio": torrent.ratio,
            "secondsSeeding": torrent.seconds,
            "status": {"paused": 0, "downloading": 4, "seeding": 6}[torrent.state],
            "labels": ["a", "b"],
            "addedDate": 1795921494,
            "doneDate": 0,
            "error": 0,
            "totalSize": size,
            "leftUntilDone": 0 if torrent.whole else size,
            "files": [
                {"name": name, "length": length, "bytesCompleted": length if whole else 1}
                for name, (length, whole) in torrent.files.items()
            ],
        }


SERVERS = {"qbittorrent": QBittorrent, "transmission": Transmission}


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} It is so", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def told(value: Any) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def success(arguments: Any) -> Reply:
    return told({"arguments": arguments, "result": "success"})


async def _read(reader: asyncio.StreamReader) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _version = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)
