"""The engine's end of the process that looks into files: what breaks it costs one file.

A file in which the process ends, or stalls, is tried once more, alone, in a new one; then that is
what is known of it. What hangs in the kernel cannot be ended: it is left behind, and nothing is
asked of that library until it has gone.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.contract.base import visible
from engine.media.process import Lost
from engine.worker.frames import Frame, to_text
from engine.worker.process import Worker, WorkerFailed

MODULE = "engine.media.survey.worker"
Target = tuple[int, bytes, list[int]]
"""A file: its id, its path below the root, its identity."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What looking into files may take: ``processor_s`` and ``file_s`` (seconds of work, and in
    all) for one of them, ``memory_mib`` for the process, which is replaced after ``files``.

    The bundled parsers take 180 MiB of address space together; 1 GiB leaves room for a large file.
    """

    processor_s: int = 10
    file_s: float = 30.0
    memory_mib: int = 1024
    files: int = 5000


class _Process(Worker):
    WHAT: ClassVar[str] = "The process that looks into files"
    HINT: ClassVar[str] = "What it had found is kept."


class _StuckError(Exception):
    """The process ended, or was ended, over a file: ``at`` is what it said on going there."""

    def __init__(self, at: Frame | None, why: str) -> None:
        super().__init__(why)
        self.at, self.why = at or {}, why


class _Answer:
    """What was heard so far. ``rows``: those of the last frame."""

    def __init__(self) -> None:
        self.ready = self.whole = self.spent = False
        self.at: Frame | None = None
        self.rows: list[Any] = []

    def hear(self, frame: Any) -> None:
        """Raises Lost, _StuckError where it makes no sense."""
        self.rows = []
        match frame:
            case {"k": "root"}:
                self.ready = True
            case {"k": "at"}:
                self.at = frame
            case {"k": "rows", "rows": list(rows)}:
                self.at, self.rows = None, rows
            case {"k": "done", "spent": bool(spent)}:
                self.whole, self.spent = True, spent
            case {"k": "failed", "code": str(code), "message": str(message)}:
                raise Lost(code[:20], visible(message)[:200], "")
            case _:
                raise _StuckError(self.at, "what read it answered nonsense")


class Examiner:
    """Starts the process when it is needed, and again where it was ended. One user at a time.

    ``module``: another that is spoken to in the same way.
    """

    def __init__(self, bounds: Bounds, module: str = "") -> None:
        self.bounds, self._module = bounds, module
        self._process: _Process | None = None
        self._done = 0
        self._hangs: dict[bytes, _Process] = {}

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def examine(self, root: bytes, targets: Sequence[Target]) -> AsyncIterator[list[Any]]:
        """Rows as the worker tells them, in lists; one for each target in the end.

        Raises Lost where the root is away, or its disk does not answer; WorkerFailed where the
        process does not come to reading at all; Unavailable where there can be none.
        """
        left = {target[0]: target for target in targets}
        suspects: list[Target] = []
        while left:
            try:
                async for rows in self._ask(root, list(left.values())):
                    for row in rows:
                        left.pop(_id(row), None)
                    yield rows
                left.clear()
            except _StuckError as stuck:
                at = stuck.at.get("id")
                suspects.append(left.pop(at if at in left else next(iter(left))))
        for target in suspects:
            try:
                async for rows in self._ask(root, [target]):
                    yield rows
            except _StuckError as stuck:
                known = {name: stuck.at.get(name) for name in ("kind", "type")}
                yield [{"id": target[0], "trait": {**known, "problem": stuck.why}}]

    async def _ask(self, root: bytes, targets: Sequence[Target]) -> AsyncIterator[list[Any]]:
        """Raises _StuckError, and what ``examine`` raises."""
        process = await self._started(root)
        answer = _Answer()
        try:
            await process.send(self._command(root, targets))
            while not answer.whole:
                async with asyncio.timeout(self.bounds.file_s):
                    frame = await process.receive()
                answer.hear(frame)
                if answer.rows:
                    self._done += len(answer.rows)
                    yield answer.rows
        except TimeoutError:
            silence = f"nothing came for {self.bounds.file_s:.0f} s"
            if answer.at is None:  # Not in a parser: it is the disk that does not answer.
                await self._leave(root)
                raise Lost("unreadable", silence, "") from None
            raise _StuckError(answer.at, f"given up: {silence}") from None
        except WorkerFailed as error:
            if not answer.ready:
                raise
            raise _StuckError(answer.at, _why(process, error)) from error
        finally:
            if not answer.whole:  # It would go on with what nobody waits for.
                await self.close()
        if answer.spent or self._done >= self.bounds.files:
            await self.close()

    def _command(self, root: bytes, targets: Sequence[Target]) -> Frame:
        files = [[id_, to_text(path), *identity] for id_, path, identity in targets]
        return {"root": to_text(root), "files": files, "seconds": self.bounds.processor_s}

    async def _started(self, root: bytes) -> _Process:
        hanging = self._hangs.get(root)
        if hanging is not None and hanging.alive:
            raise Lost("unreadable", "the disk does not answer", "")
        self._hangs.pop(root, None)
        if self._process is not None and not self._process.alive:
            await self.close()
        if self._process is None:
            self._process = await _Process.start(
                self._module or MODULE, [str(self.bounds.memory_mib)]
            )
            self._done = 0
        return self._process

    async def _leave(self, root: bytes) -> None:
        process = self._process
        await self.close()
        if process is not None and process.alive:
            self._hangs[root] = process


def _id(row: Any) -> Any:
    return row.get("id") if isinstance(row, dict) else None


def _why(process: _Process, error: WorkerFailed) -> str:
    if process.code == -signal.SIGXCPU:
        return "given up: it takes too long to read"
    return f"nothing can read it: {error.message.removesuffix('.')}"
