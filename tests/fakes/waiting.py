"""Waiting for facts instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(fact: Callable[[], bool | Awaitable[bool]], within_s: float = 30.0) -> None:
    """Returns when ``fact`` is true; TimeoutError after ``within_s``."""
    async with asyncio.timeout(within_s):
        while True:
            now = fact()
            if now if isinstance(now, bool) else await now:
                return
            await asyncio.sleep(0.01)
