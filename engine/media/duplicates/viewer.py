"""The process that looks at pictures: ``python -m engine.media.duplicates.viewer MIB``.

It is spoken to as the one that looks into files (``survey.worker``), and has the same limits: to
unpack a picture is to run a decoder on whatever somebody put there.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

from engine.media.duplicates import looks
from engine.media.root import RootLostError, open_root
from engine.media.survey import reading
from engine.media.survey.trait import UnreadError
from engine.media.survey.window import TooMuchError, Window
from engine.media.walk import GONE, Identity
from engine.worker import frames
from engine.worker.child import Output, be_quiet
from engine.worker.files import open_below
from engine.worker.frames import Frame, to_bytes
from engine.worker.limits import keep_stdout, limit, processor_time, taken

_OPEN_FILES = 64
_BUDGET = 512 * 1024**2
_GROWN = 512 * 1024**2


def answer(command: Frame, output: Output) -> Frame:
    """Looks at ``files`` below ``root``: rows of id, path and identity."""
    try:
        root_fd, _identity, _device = open_root(to_bytes(command["root"]))
    except RootLostError as error:
        return {"k": "failed", "code": error.code, "message": str(error)}
    output.send({"k": "root"})
    try:
        for id_, path, *identity in command["files"]:
            output.send({"k": "at", "id": id_})
            row = _look(root_fd, to_bytes(path), identity, int(command["seconds"]))
            output.send({"k": "rows", "rows": [{"id": id_, **row}]})
    finally:
        os.close(root_fd)
    return {"k": "done", "spent": taken() > _GROWN}


def _look(root_fd: int, path: bytes, identity: list[int], seconds: int) -> Frame:
    try:
        fd = open_below(root_fd, path)
    except OSError as error:
        return _unread(error)
    try:
        if [*Identity.of(os.fstat(fd))[:5]] != identity:
            return {"again": True}
        with processor_time(seconds):
            trait = _see(fd, identity[2])
        if [*Identity.of(os.fstat(fd))[:5]] != identity:
            return {"again": True}
    except OSError as error:
        return _unread(error)
    finally:
        os.close(fd)
    return {"trait": trait}


def _see(fd: int, size: int) -> dict[str, Any]:
    """Raises OSError, where it is the disk's and not the file's."""
    found = reading.begin(fd, size)
    type_ = found["type"]
    if found["kind"] != "image":
        return {"other": True}
    if type_ not in looks.TYPES:
        return {"problem": f"pictures of this type are not unpacked: {type_}"}
    window = Window(fd, size, _BUDGET)
    try:
        return looks.see(type_, window)
    except UnreadError as error:
        return {"problem": str(error)}
    except MemoryError:
        return {"problem": reading.PROBLEM_MEMORY}
    except TooMuchError:
        return {"problem": "too much of it would have to be read"}
    except Exception:  # noqa: BLE001 - a decoder may raise anything over a file that is made for it
        return {"problem": f"it cannot be read as {type_}: damaged, or cut short?"}


def _unread(error: OSError) -> Frame:
    return {"again": True} if error.errno in GONE else {"unread": error.strerror or str(error)}


def main() -> None:
    be_quiet()
    limit(int(sys.argv[1]), _OPEN_FILES)
    output = Output(keep_stdout())
    logging.disable(logging.CRITICAL)  # What a decoder thinks of a file is in the answer.
    warnings.simplefilter("ignore")
    while (command := frames.read(sys.stdin.buffer)) is not None:
        output.send(answer(command, output))


if __name__ == "__main__":
    main()
