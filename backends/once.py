"""One task for everybody who asks for the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine.contract.errors import Unavailable


class SingleFlight:
    """Simultaneous calls share one run and its outcome.

    A caller that is cancelled stops waiting; the run goes on for the others, and for whoever asks
    next.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Joins the run under way, or starts one. Raises what it raised."""
        task = self._task
        if task is None or task.done():
            task = self._task = asyncio.create_task(work())
            # Whoever waited may all have left: the outcome is then nobody's, and no warning's.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({task})
        if task.cancelled():
            raise Unavailable("The model was unloaded while it was loading", "Ask again.")
        task.result()

    async def cancel(self) -> None:
        """Ends the run under way; returns when it has cleaned up."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})
