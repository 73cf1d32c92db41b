"""A model that is loaded ahead of the first question reads meanwhile how every prompt begins."""

from __future__ import annotations

import asyncio
import logging

from engine.contract.backend import KeepsState, Message
from engine.contract.base import visible
from engine.contract.errors import ArcanumError
from engine.models.pool import Pool

_log = logging.getLogger("arcanum.models")


class Warming:
    """``beginning`` is what is read; empty as long as nobody has said so.

    From then on a new conversation starts where this ends, also after a restart: what a model has
    read of it is on disk.
    """

    def __init__(self, pool: Pool) -> None:
        self.beginning: tuple[Message, ...] = ()
        self._pool = pool
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, name: str) -> None:
        """In the background: whoever asks meanwhile takes another place, or the next."""
        if self.beginning:
            task = asyncio.create_task(self._warm(name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _warm(self, name: str) -> None:
        try:
            async with self._pool.lease(name) as backend:
                keeps = backend.extra(KeepsState)  # type: ignore[type-abstract]  # noqa: S610 - no Django
                if keeps is not None:
                    await keeps.warm(self.beginning)
        except ArcanumError as error:  # It costs the first question some time, no more.
            _log.info("%s was not warmed up: %s", visible(name), error)
