"""The engine's end of a child process that speaks frames: starting it, hearing it, ending it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Self

from engine.contract.base import visible
from engine.contract.errors import Failed, Unavailable
from engine.worker import frames
from engine.worker.frames import Frame

_ERRORS_KEPT = 4096


_HUGE_PAGES = "glibc.malloc.hugetlb=1"


class WorkerFailed(Failed):
    """The worker died, or was ended because it was stuck."""


def with_huge_pages() -> dict[str, str]:
    """Ours, and of glibc pages of 2 MiB: a search through hundreds of megabytes takes a third less.
    Elsewhere it means nothing; what the user has set comes last, and wins."""
    known = os.environ.get("GLIBC_TUNABLES")
    return {**os.environ, "GLIBC_TUNABLES": f"{_HUGE_PAGES}:{known}" if known else _HUGE_PAGES}


class Worker:
    """A child in a session of its own: the terminal's Ctrl-C is not for it.

    ``WHAT`` and ``HINT`` say, where it dies, what it was and what to do. ``HUGE_PAGES``: it holds
    hundreds of megabytes, and reads them here and there.
    """

    WHAT: ClassVar[str] = "A worker process"
    HINT: ClassVar[str] = ""
    HUGE_PAGES: ClassVar[bool] = False

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self._errors = b""
        self._draining = asyncio.create_task(self._drain())

    @classmethod
    async def start(cls, module: str, arguments: Sequence[str] = ()) -> Self:
        """Runs ``python -m module``. Raises Unavailable."""
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # Never import from the folder that the user happens to stand in.
                "-m",
                module,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                cwd="/",
                env=with_huge_pages() if cls.HUGE_PAGES else None,
            )
        except OSError as error:
            raise Unavailable(
                f"A worker process could not be started: {error.strerror or error}.",
                "Is the machine out of memory or processes?",
            ) from error
        return cls(child)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.returncode is None

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self._child.returncode

    async def _drain(self) -> None:
        assert self._child.stderr is not None
        while data := await self._child.stderr.read(_ERRORS_KEPT):
            self._errors = (self._errors + data)[-_ERRORS_KEPT:]

    async def send(self, frame: Frame) -> None:
        assert self._child.stdin is not None
        with suppress(ConnectionError):  # Said by the next ``receive``, with the reason.
            self._child.stdin.write(frames.encode(frame))
            await self._child.stdin.drain()

    async def receive(self) -> Frame:
        """The next frame. Raises WorkerFailed where the child is dead."""
        assert self._child.stdout is not None
        try:
            header = await self._child.stdout.readexactly(frames.HEADER.size)
            body = await self._child.stdout.readexactly(frames.size_of(header))
            frame: Frame = json.loads(body)
        except (asyncio.IncompleteReadError, ValueError, RecursionError) as error:
            raise await self._death() from error
        return frame

    async def _death(self) -> WorkerFailed:
        await self._end()
        await asyncio.wait({self._draining}, timeout=1)  # Its last words.
        self._let_go()
        code = self._child.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        lines = self._errors.decode("utf-8", "replace").strip().splitlines()
        last = f": {visible(lines[-1])[:200]}" if lines else ""
        return WorkerFailed(f"{self.WHAT} ended ({how}){last}.", self.HINT)

    async def kill(self) -> None:
        """Ends it now. A child that hangs in the kernel is left behind: it cannot be waited for."""
        await self._end()
        self._let_go()

    async def _end(self) -> None:
        if self._child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._child.wait()

    def _let_go(self) -> None:
        self._draining.cancel()
        # A pipe with what nobody has read stays open, and asyncio has no public way to close it.
        self._child._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
