"""Verifying: files are read again, what is found goes into the catalogue, damage is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.contract.base import PathRef
from engine.contract.errors import Failed, Refused
from engine.contract.integrity import MOST_SHOWN, Compared, Damage, Trouble
from engine.contract.ports import TRASH_FOLDER, JobControl
from engine.media.catalogue import Files, Stored
from engine.media.integrity.checks import Checks, paths_of
from engine.media.integrity.strain import Eased, Strain
from engine.media.looking import Pace, Workers, Write, Writes
from engine.media.pace import checkpoint
from engine.media.process import Lost, Process
from engine.worker.frames import Frame, to_bytes, to_text

_TOLD_PATHS = 20
_AGAIN_KEPT = 10_000

Told = Callable[[str, Damage, int, Sequence[bytes]], Awaitable[None]]
"""Hears of new damage: the library's name, what it is, how many files, the first of them."""


@dataclass(slots=True)
class Reading:
    """What is to be read. ``before`` and ``share``: see ``rereading.Reread``. ``hashes``: only
    files that lack one of them; ``also``: hashes that are made of whatever is read."""

    paths: list[bytes] | None = None
    before: int | None = None
    share: int = 0
    damaged: bool = True
    hashes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    against: bytes | None = None
    mib_s: float = 0
    threads: int = 1
    settle_s: float = 60.0


@dataclass(slots=True)
class Found:
    """What it came to. ``again``: files that had changed; ``damaged``: the first that are not what
    they were; ``spare``: bytes of those that were not due."""

    files: int = 0
    size: int = 0
    spare: int = 0
    intact: int = 0
    rotten: int = 0
    unreadable: int = 0
    mended: int = 0
    edited: int = 0
    fresh: int = 0
    refused: int = 0
    again: list[bytes] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    compared: Compared | None = None

    def trouble(self, kind: Any, rows: Sequence[list[Any]]) -> None:
        """Keeps the first of a kind: rows of a path or a line, and what is to be said last."""
        room = MOST_SHOWN - sum(trouble.kind == kind for trouble in self.troubles)
        for row in rows[: max(0, room)]:
            path = None if kind == "bad_line" else PathRef.of(to_bytes(row[0]))
            line = row[0] if kind == "bad_line" else None
            why = row[-1] if kind != "edited" else ""
            self.troubles.append(Trouble(kind=kind, path=path, line=line, why=why))


class Verifier:
    """Reads files of one library again."""

    def __init__(self, files: Files, checks: Checks, workers: Workers, library: Stored) -> None:
        self._files, self._checks, self._workers = files, checks, workers
        self._library = library

    async def read(self, reading: Reading, pace: Pace, told: Told) -> Found:
        """Raises Lost where the root is not there, Failed, WorkerFailed, and what ``pace`` does."""
        command = await self._command(reading)
        intake = _Intake(self._checks, self._library, told, command["hashes"])
        intake.mending = await self._checks.any_damaged(self._library.id)
        try:
            async with self._workers.lend() as process:
                async for frame in process.answers(command):
                    await intake.take(frame)
                    await pace(process, frame)
                await intake.writes.finish()
        except Lost as lost:
            await intake.writes.abandon()
            raise _explained(lost, self._library, reading) from lost
        except BaseException:
            await intake.writes.abandon()
            raise
        return intake.found

    async def _command(self, reading: Reading) -> Frame:
        root = (await self._files.numbers(self._library.id)).root
        return {
            "do": "reread" if reading.against is None else "compare",
            "catalogue": self._files.uri,
            "library": self._library.id,
            "root": to_text(self._library.root),
            "expect": root and root[:2],
            "threads": reading.threads,
            "mib_s": reading.mib_s,
            "settle_s": reading.settle_s,
            "hashes": [*dict.fromkeys((*self._files.hashes, *reading.hashes, *reading.also))],
            "paths": None if reading.paths is None else [to_text(path) for path in reading.paths],
            "before": reading.before,
            "share": reading.share,
            "damaged": reading.damaged,
            "lacking": reading.hashes,
            "against": to_text(reading.against or b""),
            "skip": to_text(TRASH_FOLDER),
        }


class _Intake:
    """Takes what a worker tells. ``mending``: some of the library's files are known as damaged."""

    def __init__(self, checks: Checks, library: Stored, told: Told, hashes: Sequence[str]) -> None:
        self._checks, self._library, self._told = checks, library, told
        self._hashes = hashes
        self.mending = False
        self.found, self.writes = Found(), Writes()

    async def take(self, frame: Frame) -> None:
        rows, found = frame.get("rows", []), self.found
        match frame["k"]:
            case "plan":
                self._hashes = frame.get("hashes", self._hashes)
                found.spare = frame.get("spare", 0)
            case "intact":
                found.intact += len(rows)
                await self.writes.put(Write("intact", rows, self._put_intact))
            case "rotten":
                found.rotten += len(rows)
                await self._put_damaged("rotten", rows)
            case "unread":
                found.unreadable += len(rows)
                await self._put_damaged("unreadable", rows)
            case "again":
                found.edited += len(rows)
                found.again += paths_of(rows)[: _AGAIN_KEPT - len(found.again)]
                found.trouble("edited", rows)
            case "fresh":  # Its times may come late: it is looked at, too.
                found.fresh += len(rows)
                found.again += paths_of(rows)[: _AGAIN_KEPT - len(found.again)]
                found.trouble("too_fresh", rows)
            case "refused":
                found.refused += len(rows)
                found.trouble("refused", rows)
            case "differing" | "missing" | "unreadable" | "extra" | "bad_line" as kind:
                found.trouble(kind, rows)
            case "done":
                found.files, found.size = frame["files"], frame["bytes"]
                found.compared = _compared(frame) if "numbers" in frame else None

    async def _put_intact(self, rows: list[list[Any]]) -> None:
        self.found.mended += await self._checks.intact(
            self._library.id, rows, self._hashes, self.mending
        )

    async def _put_damaged(self, damage: Damage, rows: list[list[Any]]) -> None:
        """Told first: a fact that is told twice is better than one that is told never."""
        self.found.damaged += paths_of(rows)[: MOST_SHOWN - len(self.found.damaged)]
        new = [row for row in rows if row[8] != damage]
        if new:
            paths = paths_of(new)[:_TOLD_PATHS]
            await self._told(self._library.name, damage, len(new), paths)
        await self._checks.damaged(self._library.id, damage, rows)


def _compared(frame: Frame) -> Compared:
    numbers = frame["numbers"]
    return Compared(
        entries=frame["entries"],
        matching=numbers.get("matching", 0),
        differing=numbers.get("differing", 0),
        missing=numbers.get("missing", 0),
        extra=numbers.get("extra", 0),
        unreadable=numbers.get("unreadable", 0),
        bad_lines=numbers.get("bad_line", 0),
    )


def _explained(lost: Lost, library: Stored, reading: Reading) -> Failed:
    match lost.loss:
        case "failing":
            return Failed(
                f"{lost.message} in {library.name}: the disk itself may fail. No file was marked.",
                "Look at the disk's health and cable before anything else.",
            )
        case "list":
            where = PathRef.of(reading.against or b"").display
            return Failed(
                f"{where} cannot be compared with: {lost.message}.",
                "It takes lists as md5sum, sha1sum, sha256sum, sha512sum and b3sum write them.",
            )
        case "other":
            return Failed(
                f"The root of {library.name} is not the folder that was scanned.",
                f"arcanum media scan {library.name} looks at what is there now.",
            )
    return lost


class VerifyPace:
    """Tells how many bytes were read of how many, and why slowly; waits while paused."""

    def __init__(
        self, control: JobControl, strain: Strain, mib_s: float, removed: Callable[[], bool]
    ) -> None:
        self._control, self._removed, self._mib_s = control, removed, mib_s
        self._eased = Eased(strain, mib_s)
        self._files = self._size = 0
        control.progress(0, None, "bytes", "choosing what to read")

    async def first(self) -> float:
        """What to begin with, in MiB a second."""
        return await self._eased.first()

    async def __call__(self, process: Process, frame: Frame) -> None:
        if self._removed():
            raise Refused("It is no library any more.", "Add it again.")
        await self._eased(process, frame)
        if frame["k"] == "plan":
            self._files, self._size = frame["files"], frame["bytes"]
        elif frame["k"] == "beat" and self._size:
            size, files = min(frame["bytes"], self._size), min(frame["files"], self._files)
            note = f"{files} of {self._files} files: {frame['where']}"[:200]
            if self._eased.why:
                note = f"slowly, {self._eased.why}; {note}"
            elif self._mib_s:
                note = f"at most {self._mib_s:g} MiB a second; {note}"
            self._control.progress(size, self._size, "bytes", note, files=(files, self._files))
        await checkpoint(self._control, process)
