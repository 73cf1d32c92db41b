"""An answer that can be broken off from outside, whatever its reader is doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING

from engine.contract.backend import Piece
from engine.contract.errors import ArcanumError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AHEAD = 32
"""Pieces that are read before anybody asks for them."""


class Breakable:
    """Reads ``answer`` in a task of its own; ``closed`` is called once that is closed.

    A reader that is slow, or busy elsewhere, could not close it at once.
    """

    def __init__(
        self,
        answer: AbstractAsyncContextManager[AsyncIterator[Piece]],
        closed: Callable[[], None],
    ) -> None:
        self._read: asyncio.Queue[Piece | Exception | None] = asyncio.Queue(AHEAD)
        self._closed = closed
        self._why: ArcanumError | None = None
        self._task = asyncio.create_task(self._run(answer))
        # Cancelled before its first step, it would never run at all.
        self._task.add_done_callback(self._ended)

    def break_off(self, why: ArcanumError) -> None:
        """Closes it; whoever reads gets ``why``."""
        self._why = why
        self._task.cancel()

    async def opened(self) -> None:
        """Returns when it is open. Raises what opening raised."""
        if isinstance(problem := await self._read.get(), Exception):
            raise problem

    async def pieces(self) -> AsyncGenerator[Piece]:
        while True:
            item = await self._read.get()
            if isinstance(item, Piece):
                yield item
            elif isinstance(item, StopAsyncIteration):
                return
            elif item is not None:
                raise item

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, answer: AbstractAsyncContextManager[AsyncIterator[Piece]]) -> None:
        end: Exception = StopAsyncIteration()
        try:
            async with answer as pieces:
                await self._read.put(None)
                async for piece in pieces:
                    await self._read.put(piece)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is read
            end = error
        self._closed()
        await self._read.put(end)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._closed()
            # What nobody has read yet is of an answer that will have no end.
            with suppress(asyncio.QueueEmpty):
                while True:
                    self._read.get_nowait()
            self._read.put_nowait(self._why or StopAsyncIteration())
