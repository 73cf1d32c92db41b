"""The front door: what a call costs beside the work that it asks for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from bench.house import House, environment, move_in
from bench.table import Plan, Row, versus
from engine.clients.socket import SocketClient
from engine.contract import jobs
from engine.contract.client import EngineClient

ECHO = """
import asyncio, sys
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
async def main():
    server = await asyncio.start_unix_server(echo, sys.argv[1])
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
LINE = b'{"jsonrpc":"2.0","id":1,"method":"jobs.list","params":{}}\n'

Once = Callable[[], Awaitable[object]]


async def _block(once: Once, calls: int) -> float:
    """Microseconds a call, over so many in a row."""
    began = time.perf_counter()
    for _ in range(calls):
        await once()
    return (time.perf_counter() - began) / calls * 1e6


def measure(plan: Plan) -> list[Row]:
    outside, inside = move_in(plan.scratch / "socket"), move_in(plan.scratch / "local")
    path = plan.scratch / "echo.sock"
    with outside.engine():
        server = subprocess.Popen(
            [sys.executable, "-c", ECHO, str(path)], env=environment(), stdout=subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            return asyncio.run(_rounds(plan, outside, inside, path))
        finally:
            server.kill()
            server.wait(5.0)
            if server.stdout is not None:
                server.stdout.close()


async def _rounds(plan: Plan, outside: House, inside: House, echo: Path) -> list[Row]:
    calls = 100 if plan.quick else 400
    took: dict[str, list[float]] = {"local": [], "socket": [], "echo": []}
    async with AsyncExitStack() as stack:
        stack.enter_context(inside.inside())
        from arcanum_tui.wiring import connect

        local = await connect(host="command")
        stack.push_async_callback(local.close)
        remote = await SocketClient.connect(outside.home.socket)
        stack.push_async_callback(remote.close)
        reader, writer = await asyncio.open_unix_connection(echo)
        stack.callback(writer.close)

        async def there_and_back() -> None:
            writer.write(LINE)
            await writer.drain()
            await reader.readline()

        ways: dict[str, Once] = {
            "local": _read(local),
            "socket": _read(remote),
            "echo": there_and_back,
        }
        for turn in range(plan.rounds + 1):
            for name, once in ways.items():
                each = await _block(once, calls)
                if turn:  # The first turn started the room and filled the caches.
                    took[name].append(each)
    note = "jobs.list: one question to SQLite in it"
    return [
        versus(
            "a call in the engine's process",
            "µs",
            took["local"],
            took["echo"],
            peer_name="bare socket echo",
            note=note,
        ),
        versus(
            "a call over the socket",
            "µs",
            took["socket"],
            took["echo"],
            peer_name="bare socket echo",
            note=note,
        ),
    ]


def _read(client: EngineClient) -> Once:
    return lambda: client.call(jobs.LIST, jobs.ListJobs())
