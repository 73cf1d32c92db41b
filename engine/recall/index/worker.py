"""The worker process: ``python -m engine.recall.index.worker``. It keeps the index and searches it.

Commands come as frames on stdin, each with an ``id`` that its answer repeats; a few frames are told
unasked (``moved``, ``verdicts``, ``damaged``, ``trouble``). Between commands it follows the truth
in small steps. It may be killed at any time: what it keeps can be made again, and goes on from
where it came.
"""

from __future__ import annotations

import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from engine.recall.index import harm
from engine.recall.index.work import Work
from engine.worker import failures, frames
from engine.worker.child import Output, be_quiet
from engine.worker.frames import Frame

_LOOK_S = 2.0
_BREATH_S = 0.25
"""After a search no part is loaded for so long: whoever types asks again."""
_IDLE_S = 120.0
"""A worker that nobody asked anything for so long gives its memory back: one starts in 0.3 s."""
_COMMANDS = frozenset(
    {"model", "texts", "vectors", "search", "stats", "forget", "rebuild", "settled", "save"}
)


def _answer(work: Work, command: Frame) -> Frame:
    name = command["do"]
    if name not in _COMMANDS:
        return {"k": "failed", "id": command["id"], "message": f"no such command: {name}"}
    try:
        found: Frame = getattr(work, name)(command)
    except Exception as error:  # noqa: BLE001 - whatever it was, the next command may do
        mended = work.mend(error)
        return {
            "k": "failed",
            "id": command["id"],
            "message": work.told(error),
            "again": mended,
            "disk": isinstance(error, OSError | sqlite3.Error) and harm.is_in_the_way(error),
        }
    return {"k": "done", "id": command["id"], **found}


def _read(commands: queue.SimpleQueue[Frame | None]) -> None:
    while True:
        frame = frames.read(sys.stdin.buffer)
        commands.put(frame)
        if frame is None:
            return


def _go_on(work: Work, tell: Callable[[Frame], None], *, load: bool = False) -> bool:
    """A step. A full disk is told, and tried again later: nothing is thrown away for it."""
    try:
        more = work.go_on()
        if load and not more:
            work.load_part()
    except Exception as error:  # noqa: BLE001 - the next step may do
        if work.mend(error):
            return True
        tell({"k": "trouble", "message": work.told(error)})
        work.tell_again()
        return False
    return more


def _serve(
    work: Work, commands: queue.SimpleQueue[Frame | None], tell: Callable[[Frame], None]
) -> None:
    more, asked_at = True, time.monotonic()
    while True:
        lacks, quiet_for = work.lacks_parts, time.monotonic() - asked_at
        pause = max(0.0, _BREATH_S - quiet_for) if lacks else _LOOK_S
        try:
            command = commands.get(block=not more, timeout=None if more else pause)
        except queue.Empty:
            more = _go_on(work, tell, load=lacks and quiet_for >= _BREATH_S)
            if not more and work.at_rest and time.monotonic() - asked_at > _IDLE_S:
                return
            continue
        if command is None or command["do"] == "end":
            return
        asked_at = time.monotonic()
        if command["do"] != "wake":
            tell(_answer(work, command))
        more = True


def _opened(command: Frame, tell: Callable[[Frame], None]) -> Work | None:
    """None where something is in the way, which was told."""
    try:
        return Work(command, tell)
    except Exception as error:
        if not harm.is_in_the_way(error):
            raise
        message = harm.told(error, Path(command["folder"]))
        tell({"k": "failed", "id": command["id"], "message": message, "again": False})
        tell({"k": "ended"})
        return None


def main() -> None:
    be_quiet()
    failures.tell_no_data()
    commands: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
    tell = Output().send
    first = frames.read(sys.stdin.buffer)
    if first is None:
        return
    if (work := _opened(first, tell)) is None:
        return
    tell({"k": "done", "id": first["id"], "model": work._model, "rev": work._shelf.rev})  # noqa: SLF001
    threading.Thread(target=_read, args=(commands,), name="commands", daemon=True).start()
    _serve(work, commands, tell)
    work.close()
    tell({"k": "ended"})


if __name__ == "__main__":
    main()
