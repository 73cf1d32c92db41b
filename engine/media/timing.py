"""How often, and how soon, a library is looked at."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from engine.contract.assets import WatchState


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between looks at everything (``rescan``; ``poll`` where no watcher tells;
    ``missing`` where the root is away; ``retry`` after a failure), before the ``first``, how long a
    file must stay as it is (``quiet``) before it is hashed unasked, or (``still``) before other
    bytes are called rot; before the first ``scrub`` and between two.
    """

    rescan: float = 1800.0
    poll: float = 30.0
    missing: float = 15.0
    retry: float = 30.0
    first: float = 1.0
    quiet: float = 2.0
    still: float = 60.0
    scrub: tuple[float, float] = (300.0, 1800.0)

    def between(self, watch: WatchState, took: float) -> float:
        """Seconds from a look at everything, which took so long, to the next one."""
        if watch in {"polling", "failed"}:
            return min(self.rescan, max(self.poll, 20 * took))
        return self.rescan


async def heard(event: asyncio.Event, within_s: float) -> None:
    """Returns once the event is set, or when so long has passed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, within_s)):
            await event.wait()
