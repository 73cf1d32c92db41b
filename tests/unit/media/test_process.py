"""The engine's end of a process that reads a disk, without the process."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from engine.media.process import Process
from engine.worker.frames import Frame


class Said(Process):
    """Hears what the test says."""

    def __init__(self) -> None:
        super().__init__(cast(asyncio.subprocess.Process, None))
        self.next: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

    async def _drain(self) -> None:
        """There is nothing to drain."""

    async def send(self, frame: Frame) -> None:
        """Nobody hears it."""

    async def receive(self) -> Frame:
        return await self.next


async def test_who_is_cancelled_in_the_moment_of_an_answer_goes_no_further() -> None:
    process = Said()

    async def listen() -> list[Frame]:
        return [frame async for frame in process.answers({"do": "look"})]

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.01)
    process.next.set_result({"k": "done"})
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
