"""The only place that sees all: it finds the engine, or makes one out of rooms and backends.

Whoever holds the data folder's lock runs the engine and listens on its socket; everybody else
attaches. No module of the engine or of a backend is imported before it is needed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.clients.socket import SocketClient
from engine.contract.errors import Unavailable
from engine.core.lock import EngineLock
from engine.home import Home, locate

if TYPE_CHECKING:
    from backends.registry import ModelSettings
    from engine.config import Config
    from engine.contract.client import EngineClient
    from engine.core.engine import Engine

_WAIT_S = 15.0
_HAND_OVER_S = 0.0005
"""Threads import and read beside the loop: so long it waits for the interpreter, not ten times."""


async def connect(*, host: str, start_all: bool = False) -> EngineClient:
    """Attaches to the engine that runs, or runs one here. Raises ArcanumError.

    ``host`` (terminal, serve or command) is what the status says of this process. A room starts
    with its first call; ``start_all`` starts every room in the background.
    """
    home = locate()
    until = time.monotonic() + _WAIT_S
    while True:
        client = await attach(home)
        if client is None:
            client = await _run_here(home, host, start_all=start_all)
        if client is not None:
            return client
        if time.monotonic() > until:
            raise Unavailable(
                f"Another process holds {home.lock_file}, but does not answer on {home.socket}.",
                "It may be starting or stopping: try again. If it hangs, end that process.",
            )
        await asyncio.sleep(0.05)


async def attach(home: Home) -> EngineClient | None:
    """A client of the engine that runs, or None where none listens."""
    for path in (home.socket, EngineLock.announced(home.lock_file)):
        if path is not None:
            with suppress(FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
                return await SocketClient.connect(path)
    return None


async def _run_here(home: Home, host: str, *, start_all: bool) -> EngineClient | None:
    """None where another process holds the lock."""
    from engine import config

    settings = config.load(home.config_file)
    sys.setswitchinterval(_HAND_OVER_S)
    home.prepare()
    lock = EngineLock.take(home.lock_file)
    if lock is None:
        return None
    try:
        return await _host(home, settings, lock, host, start_all=start_all)
    except BaseException:
        lock.release()
        raise


async def _host(
    home: Home, settings: Config, lock: EngineLock, host: str, *, start_all: bool
) -> EngineClient:
    from backends.registry import Catalog
    from engine.clients.local import LocalClient
    from engine.core.engine import Engine
    from engine.server.socket import SocketServer

    engine = Engine(home, settings, Catalog(_model_settings(settings, home)), host)
    await engine.open()
    server = SocketServer(LocalClient(engine), home.socket)
    starting: asyncio.Task[None] | None = None

    async def stop() -> None:
        try:
            if host == "command":
                # Others may have found this short-lived engine: what they began is finished first,
                # then who was just coming in.
                await server.idle()
                await engine.idle()
                server.refuse()
                await server.idle()
                await engine.idle()
            if starting is not None:
                starting.cancel()
                await asyncio.wait([starting])
            await server.stop()
        finally:
            try:
                await engine.stop()
            finally:
                lock.release()

    try:
        await server.start()
        lock.announce(home.socket)
    except BaseException as error:
        await server.stop()
        await engine.stop()
        if isinstance(error, OSError):
            raise Unavailable(
                f"The engine cannot listen on {home.socket}: {error.strerror or error}.",
                "Other commands and terminals could not reach it. Is the disk full?",
            ) from error
        raise
    if start_all:
        starting = asyncio.create_task(_start_all(engine), name="start-services")
    else:
        spare_the_loop()
    return LocalClient(engine, on_close=stop)


async def _start_all(engine: Engine) -> None:
    await engine.start()
    spare_the_loop()


def spare_the_loop() -> None:
    """Rarer collections, of less: what is loaded by now stays for good.

    A full one holds the loop for 20 ms, and a scan would cause one every other second; batches of
    rows are no reason to look for cycles.
    """
    gc.freeze()
    gc.set_threshold(5_000, 5, 20)


def _model_settings(config: Config, home: Home) -> ModelSettings:
    from backends.registry import EndpointSettings, ModelSettings

    model = config.model
    return ModelSettings(
        runtime_dir=home.runtime,
        gguf=model.gguf,
        endpoints=tuple(
            EndpointSettings(e.name, e.url, e.model, e.key_env or "", e.parallel or 0)
            for e in model.endpoints
        ),
        threads=model.threads or 0,
        context=model.context,
        parallel=model.parallel,
        gpu_layers=model.gpu_layers,
        library=model.library,
        states=home.states,
        state_bytes=model.state_mib * 1024 * 1024,
        made=home.made,
        hub=model.hub,
        hub_token_env=model.hub_token_env,
    )
