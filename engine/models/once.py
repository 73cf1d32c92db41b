"""One run for everybody who asks for the same thing while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Once:
    """Starts ``work`` where it does not run. Whoever stops waiting leaves it running."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def begin(self) -> asyncio.Task[None]:
        """The run under way, or a new one."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
            # Whoever waited may all have left: the outcome is then nobody's, and no warning's.
            self._task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._task

    async def join(self) -> bool:
        """Waits for the run's end and raises what it raised. False where it was ended early."""
        task = self.begin()
        await asyncio.wait({task})
        if task.cancelled():
            return False
        task.result()
        return True

    async def over(self) -> None:
        """Waits until it does not run, however it ends."""
        while self.running:
            assert self._task is not None
            await asyncio.wait({self._task})

    async def end(self) -> None:
        """Ends the run under way; returns when it has cleaned up."""
        if self._task is not None and self.running:
            self._task.cancel()
            await self.over()
