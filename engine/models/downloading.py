"""Downloads: from a hub into the home's folder of models, in bytes, paused and resumed at will."""

from __future__ import annotations

import asyncio
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from engine.contract.backend import Download, Hub
from engine.contract.errors import Busy
from engine.contract.ports import JobControl
from engine.models.stopping import LOOK_EVERY_S


class Downloads:
    """One at a time into each folder: two would write the same file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy: set[Path] = set()

    async def fetch(self, hub: Hub, download: Download, job: JobControl) -> Path:
        """The model's place once all of it is there. What came stays, however this ends."""
        folder = self._folder.joinpath(*download.repository.split("/"))
        with self._alone(folder, download):
            await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
            while True:
                fetching = asyncio.create_task(hub.fetch(download, folder, _telling(download, job)))
                try:
                    await _until_paused(fetching, job)
                finally:
                    fetching.cancel()
                    await asyncio.wait({fetching})
                if not fetching.cancelled():
                    return fetching.result()
                await job.checkpoint()

    @contextmanager
    def _alone(self, folder: Path, download: Download) -> Iterator[None]:
        if folder in self._busy:
            raise Busy(
                f"Files of {download.repository} are being downloaded already.",
                "arcanum jobs list shows it; start this one when that has ended.",
            )
        self._busy.add(folder)
        try:
            yield
        finally:
            self._busy.discard(folder)


async def _until_paused(fetching: asyncio.Task[Path], job: JobControl) -> None:
    """Returns when it has ended or the job is paused. Raises Cancelled with the job."""
    while not fetching.done():
        going = asyncio.create_task(job.checkpoint())
        try:
            # A job that may go on says so at once.
            await asyncio.wait({going}, timeout=LOOK_EVERY_S)
            if not going.done():
                return
            going.result()
        finally:
            going.cancel()
            await asyncio.wait({going})
        await asyncio.wait({fetching}, timeout=LOOK_EVERY_S)


def _telling(download: Download, job: JobControl) -> Callable[[int, int], None]:
    """Tells the job how far it is, and in which of several files."""
    ends = tuple(accumulate(download.sizes))
    several = len(ends) > 1

    def tell(done: int, total: int) -> None:
        at = min(bisect(ends, done), len(ends) - 1)
        note = f"{download.names[at]} ({at + 1} of {len(ends)})" if several else ""
        job.progress(done, total, "bytes", note)

    return tell
