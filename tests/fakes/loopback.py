"""A server on loopback that ends with the test: what speaks a protocol there derives from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self


class Loopback:
    """``converse`` speaks with one caller; ``url`` is known while it runs."""

    url: str = ""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, socket: str | None = None) -> AsyncIterator[Self]:
        """On a port of 127.0.0.1, or on a unix ``socket``."""
        tasks: set[asyncio.Task[Any]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await self.converse(reader, writer)
            finally:
                tasks.discard(task)
                writer.close()

        if socket is None:
            server: asyncio.Server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        else:
            server = await asyncio.start_unix_server(serve, socket)
            self.url = f"unix:{socket}"
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
