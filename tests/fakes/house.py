"""The real engine around the example room, and a process that serves it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

from engine.clients.local import LocalClient
from engine.clients.socket import SocketClient
from engine.config import Config
from engine.contract import approvals
from engine.contract.approvals import Approval
from engine.contract.backend import BackendCatalog
from engine.contract.base import Wire
from engine.contract.client import Done, EngineClient, Pending
from engine.contract.operation import Operation
from engine.core.engine import Engine
from engine.core.lifecycle import ServiceSpec
from engine.core.lock import EngineLock
from engine.home import Home, locate
from engine.server.socket import SocketServer
from tests.fakes.room import ExampleRoom
from tests.fakes.waiting import until

SERVICES = (
    ServiceSpec("audit", "engine.core.audit:AuditRoom", ("audit",)),
    ServiceSpec("engine", "engine.core.engine:StatusRoom", ("engine",)),
    ServiceSpec("jobs", "engine.jobs.room:JobsRoom", ("jobs",)),
    ServiceSpec("approvals", "engine.approvals.room:ApprovalsRoom", ("approvals",)),
    ServiceSpec("example", "tests.fakes.room:ExampleRoom", ("example",), ("jobs",)),
    ServiceSpec("broken", "tests.fakes.room:BrokenRoom", ("broken",)),
)


@asynccontextmanager
async def opened(home: Home, services: Sequence[ServiceSpec] = SERVICES) -> AsyncIterator[Engine]:
    """An engine with the example room, stopped in order at the end."""
    home.prepare()
    engine = Engine(home, Config(), cast(BackendCatalog, None), "command", services)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def served(home: Home) -> AsyncIterator[tuple[Engine, SocketServer]]:
    """An engine that listens on its socket."""
    async with opened(home) as engine:
        server = SocketServer(LocalClient(engine), home.socket)
        await server.start()
        try:
            yield engine, server
        finally:
            await server.stop()


async def room_of(engine: Engine) -> ExampleRoom:
    await engine.lifecycle.ensure("example")
    return engine.ground.use(ExampleRoom)


async def done(client: EngineClient, operation: Operation[Any, Any], request: Wire) -> Any:
    answer = await client.call(operation, request)
    assert isinstance(answer, Done), answer
    return answer.result


async def pending(client: EngineClient, operation: Operation[Any, Any], request: Wire) -> int:
    answer = await client.call(operation, request)
    assert isinstance(answer, Pending), answer
    return answer.approval_id


async def show(client: EngineClient, number: int) -> Approval:
    found: Approval = await done(client, approvals.SHOW, approvals.ApprovalId(id=number))
    return found


@contextmanager
def host() -> Iterator[subprocess.Popen[bytes]]:
    """Another process that serves the home of this test; killed at the end."""
    process = subprocess.Popen([sys.executable, "-m", "tests.fakes.house"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def attached(home: Home, within_s: float = 15.0) -> SocketClient:
    """A client of the process that serves, once it does."""
    found: list[SocketClient] = []

    async def listens() -> bool:
        try:
            found.append(await SocketClient.connect(home.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    await until(listens, within_s)
    return found[0]


async def _serve() -> None:
    home = locate()
    home.prepare()
    lock = EngineLock.take(home.lock_file)
    assert lock is not None
    async with served(home):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
