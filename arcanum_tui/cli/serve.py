"""``arcanum serve``: the engine without a screen, until it is told to end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arcanum_tui.cli.command import Command, Group, Invocation, value
from engine.contract import engine
from engine.contract.base import Empty
from engine.contract.engine import Status
from engine.contract.errors import EXIT_OK, Refused

_LOOK_AGAIN_S = 0.2


async def serve(run: Invocation) -> int:
    """Hosts the engine; Ctrl-C or SIGTERM stops it in order, which is its proper end."""
    try:
        async with _hosted(run) as status:
            if run.terminal.json:
                run.terminal.result(status, line=True)
            run.terminal.note(
                f"The engine runs as process {status.pid} on {status.home}. Ctrl-C stops it."
            )
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        run.terminal.note(f"Stopped by {run.interrupts.reason}.")
    return EXIT_OK


@asynccontextmanager
async def _hosted(run: Invocation) -> AsyncIterator[Status]:
    """The engine in this process. Raises Refused where another one stays."""
    waiting_for = 0
    while True:
        client = await run.attach(host="serve", start_all=True)
        try:
            status = value(await client.call(engine.STATUS, Empty()))
            if status.pid == os.getpid():
                yield status
                return
        finally:
            await client.close()
        if status.host != "command":
            raise Refused(
                f"The engine runs already: process {status.pid} ({status.host}).",
                "Use it as it is, or end it first.",
            )
        if waiting_for != status.pid:
            waiting_for = status.pid
            run.terminal.note(f"Process {waiting_for}, a command, runs the engine: waiting for it.")
        await asyncio.sleep(_LOOK_AGAIN_S)


GROUP = Group(
    "serve",
    (
        Command(
            "",
            None,
            run=serve,
            summary="Run the engine without a screen: terminals and commands attach to it",
            examples=("arcanum serve", "arcanum serve --quiet &"),
        ),
    ),
)
