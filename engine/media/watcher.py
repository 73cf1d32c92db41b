"""The watcher process: ``python -m engine.media.watcher``. It tells where something happened.

One for all libraries. Standard library only on Linux; elsewhere watchfiles. Commands come as frames
on stdin (watch, renest, unwatch), answers go to stdout (live, failed, hints, lost).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

from engine.media.hints import LimitError, condense
from engine.worker import frames
from engine.worker.child import Output, be_quiet
from engine.worker.frames import to_bytes, to_text

_QUIET_S = 0.1
_LONGEST_S = 0.4


class Told:
    """Gathers hints until nothing came for a tenth of a second (at most four), and sends them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._hints: dict[int, set[bytes] | None] = {}
        self._some = threading.Event()
        self.send = Output().send
        self._last = 0.0
        threading.Thread(target=self._send_forever, name="hints", daemon=True).start()

    def hint(self, library: int, path: bytes) -> None:
        with self._lock:
            paths = self._hints.setdefault(library, set())
            if paths is not None:
                paths.add(path)
            self._last = time.monotonic()
        self._some.set()

    def lost(self, library: int) -> None:
        with self._lock:
            self._hints[library] = None
        self._some.set()

    def failed(self, library: int, why: str) -> None:
        self.send({"k": "failed", "id": library, "message": why})

    def _send_forever(self) -> None:
        while self._some.wait():
            first = time.monotonic()
            while True:
                time.sleep(_QUIET_S)
                present = time.monotonic()
                if present - self._last >= _QUIET_S or present - first >= _LONGEST_S:
                    break
            self.flush()

    def flush(self) -> None:
        """What waits is sent when this returns."""
        with self._sending:
            with self._lock:
                hints, self._hints = self._hints, {}
                self._some.clear()
            for library, paths in hints.items():
                self._send(library, None if paths is None else condense(paths))

    def _send(self, library: int, paths: list[bytes] | None) -> None:
        if paths is None:
            self.send({"k": "lost", "id": library})
        else:
            rows = [to_text(path) for path in paths]
            self.send({"k": "hints", "id": library, "rows": rows})


class Source(Protocol):
    def add(self, library: int, root: bytes, inner: frozenset[bytes]) -> None: ...

    def renest(self, library: int, inner: frozenset[bytes]) -> bool: ...

    def remove(self, library: int) -> None: ...

    def drain(self) -> None: ...


def _source(how: str) -> Callable[[bytes, Told], Source]:
    if how == "inotify":
        from engine.media.inotify import Inotify

        return Inotify
    from engine.media.portable import Portable

    return Portable


def main() -> None:
    be_quiet()
    told = Told()
    command = frames.read(sys.stdin.buffer)
    if command is None:
        return
    source = _source(command["how"])(to_bytes(command["skip"]), told)
    while (command := frames.read(sys.stdin.buffer)) is not None:
        library = command["id"]
        inner = frozenset(to_bytes(path) for path in command.get("inner", ()))
        match command["do"]:
            case "watch":
                try:
                    source.add(library, to_bytes(command["root"]), inner)
                    told.send({"k": "live", "id": library})
                except (LimitError, OSError) as error:
                    told.failed(library, getattr(error, "strerror", None) or str(error))
            case "renest":
                held = source.renest(library, inner)
                if command["again"]:
                    told.send({"k": "live" if held else "lost", "id": library})
            case "unwatch":
                source.remove(library)
            case "catch up":
                source.drain()
                told.flush()
                told.send({"k": "caught up", "id": library})
    os._exit(0)


if __name__ == "__main__":
    main()
