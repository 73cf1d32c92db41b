"""The other side of the private socket, spoken to by hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from engine.core.engine import Engine
from engine.server.socket import SocketServer
from tests.fakes.room import ExampleRoom


@dataclass
class Peer:
    """The other side of a connection, by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    room: ExampleRoom
    server: SocketServer
    engine: Engine

    def say(self, line: bytes) -> None:
        self.writer.write(line + b"\n")

    def ask(self, number: Any, method: str, request: dict[str, Any] | None = None) -> None:
        params = {"request": request or {}, "call": {"actor": ["operator", "x"]}}
        self.say(
            json.dumps(
                {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            ).encode()
        )

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.reader.readline())
        return message

    async def ends(self) -> None:
        """The connection was closed from the other side."""
        async with asyncio.timeout(10):
            while await self.reader.readline():
                pass

    async def works(self) -> None:
        """The connection still answers."""
        self.ask("works", "example.echo", {"text": "hello"})
        answer = await self.hear()
        assert answer["id"] == "works"
        assert answer["result"]["done"]["text"] == "hello"
