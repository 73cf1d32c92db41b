"""Turns whose end could not be written down: a full disk must not cost an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from engine.contract.errors import StoreFailed
from engine.contract.memory import Turn

_log = logging.getLogger("arcanum.memory")
_AGAIN_S = 5.0


class Unclosed:
    """Tries again until ``write`` can, or the engine ends: what was saved on its way stays then."""

    def __init__(self, write: Callable[[Sequence[Turn]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: dict[int, Turn] = {}
        self._trying: asyncio.Task[None] | None = None

    def add(self, turn: Turn) -> None:
        self._waiting[turn.id] = turn
        if self._trying is None:
            self._trying = asyncio.create_task(self._try(), name="memory:unclosed")

    async def stop(self) -> None:
        """Tries once more."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait({self._trying})
        if self._waiting:
            await self._once()

    async def _try(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_AGAIN_S)
                await self._once()
        finally:
            self._trying = None

    async def _once(self) -> None:
        turns = list(self._waiting.values())
        try:
            await self._write(turns)
        except StoreFailed as error:
            _log.warning("%d answers are not closed yet: %s", len(turns), error.message)
            return
        for turn in turns:
            del self._waiting[turn.id]
