"""A hosted model in tests: asked, looked at from outside, and harmed."""

from __future__ import annotations

import os
import signal

import psutil

from backends.hosted.backend import Hosted
from backends.hosted.child import Child
from engine.contract.backend import Generation, Message
from tests.fakes.waiting import until

LONG = "Apples are red and bananas are yellow. " * 350
"""What takes 20 s to read."""


def child_of(backend: Hosted) -> Child:
    assert backend._running is not None
    return backend._running.child


def ask(text: str = "Count from 1 to 500, one number a line.", most: int = 2000) -> Generation:
    return Generation((Message("user", text),), most)


async def says(backend: Hosted, generation: Generation) -> str:
    async with backend.stream(generation) as pieces:
        return "".join([piece.text async for piece in pieces])


async def is_processing(backend: Hosted) -> bool:
    """Whether the server works on an answer."""
    assert backend._running is not None
    server = backend._running.server
    slots = await server.fetch("GET", f"{server.address.root}/slots")
    return any(each["is_processing"] for each in slots)


async def hit(backend: Hosted, how: signal.Signals) -> None:
    """Done when it is felt: of a process that is to stop, other threads go on for a moment."""
    process = psutil.Process(child_of(backend).pid)
    os.kill(process.pid, how)
    if how == signal.SIGSTOP:
        await until(lambda: process.status() == psutil.STATUS_STOPPED)
