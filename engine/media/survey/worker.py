"""The process that looks into files: ``python -m engine.media.survey.worker MIB``.

Commands come as frames on stdin, answers go to where stdout was. It writes nothing, may be killed
at any time, and takes no more than its limits: what it reads may be made to break it.

Each answer begins with ``root``, is made of ``rows`` and ends with ``done``. A row is an id and one
of: ``trait`` (with ``evidence``: where the file came from, and ``taken``: bytes, where it takes
less than its size), ``again`` (it is not what the catalogue knows), ``unread`` (why). ``at`` goes
before a parser: whose file it is if this process ends in it.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import warnings

from engine.media.root import RootLostError, open_root
from engine.media.source import evidence
from engine.media.survey import reading
from engine.media.walk import GONE, Identity
from engine.worker import frames
from engine.worker.child import Output, be_quiet
from engine.worker.files import open_below
from engine.worker.frames import Frame, to_bytes
from engine.worker.limits import keep_stdout, limit, processor_time, taken

_OPEN_FILES = 64
_TOGETHER = 128
_GROWN = 384 * 1024**2


class _ChangedError(Exception):
    """The file is not, or no longer, what the catalogue knows."""


class Worker:
    def __init__(self, output: Output) -> None:
        self._output = output
        self._rows: list[Frame] = []

    def answer(self, command: Frame) -> Frame:
        """Looks into ``files`` below ``root``: rows of id, path and identity."""
        self._seconds = int(command["seconds"])
        try:
            root_fd, _identity, _device = open_root(to_bytes(command["root"]))
        except RootLostError as error:
            return {"k": "failed", "code": error.code, "message": str(error)}
        self._output.send({"k": "root"})
        try:
            for id_, path, *identity in command["files"]:
                self._tell({"id": id_, **self._look(root_fd, id_, to_bytes(path), identity)})
        finally:
            os.close(root_fd)
        self._flush()
        return {"k": "done", "spent": taken() > _GROWN}

    def _look(self, root_fd: int, id_: int, path: bytes, identity: list[int]) -> Frame:
        try:
            fd = open_below(root_fd, path)
        except OSError as error:
            return _unread(error)
        try:
            _expect(fd, identity)
            size = identity[2]
            trait = reading.begin(fd, size)
            if reading.is_deep(trait):
                self._flush()
                self._output.send({"k": "at", "id": id_, **trait})
                with processor_time(self._seconds):
                    reading.fill(trait, fd, size)
                    sources = evidence.read(fd, root_fd, path)
            else:
                sources = evidence.read(fd, root_fd, path)
            taken = _expect(fd, identity)
        except _ChangedError:
            return {"again": True}
        except OSError as error:
            return _unread(error)
        finally:
            os.close(fd)
        found: Frame = {"trait": trait.frame()}
        if taken < size:
            found["taken"] = taken
        return found | {"evidence": sources} if sources else found

    def _tell(self, row: Frame) -> None:
        self._rows.append(row)
        if "evidence" in row or "details" in row.get("trait", ()) or len(self._rows) >= _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            self._output.send({"k": "rows", "rows": rows})
        except ValueError:  # More than a frame holds: what it says of itself is no use.
            *before, last = rows
            short = {key: last["trait"][key] for key in ("kind", "type")}
            short["problem"] = "it says too much of itself"
            self._output.send({"k": "rows", "rows": [*before, {"id": last["id"], "trait": short}]})


def _unread(error: OSError) -> Frame:
    return {"again": True} if error.errno in GONE else {"unread": error.strerror or str(error)}


def _expect(fd: int, identity: list[int]) -> int:
    """Returns the bytes that it takes."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or [*Identity.of(status)[:5]] != identity:
        raise _ChangedError
    return status.st_blocks * 512


def main() -> None:
    be_quiet(unasked=True)
    limit(int(sys.argv[1]), _OPEN_FILES)
    worker = Worker(output := Output(keep_stdout()))
    logging.disable(logging.CRITICAL)  # What a parser thinks of a file is in the answer.
    warnings.simplefilter("ignore")
    while (command := frames.read(sys.stdin.buffer)) is not None:
        output.send(worker.answer(command))


if __name__ == "__main__":
    main()
