"""Long work on the event loop, in small parts: whoever waits for a key is never behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

_HELD_S = 0.002


async def eased(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; others run whenever the work on some of them took two milliseconds."""
    since = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - since > _HELD_S:
            await asyncio.sleep(0)
            since = time.perf_counter()
