"""Watching trees where there is no inotify (macOS): watchfiles, one thread for each library."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from watchfiles._rust_notify import RustNotify

from engine.media.hints import Told
from engine.media.nesting import lies_in

_WAIT_MS = 60_000
_AGAIN_S = 5.0


class Portable:
    """Events are left out of folders that are called ``skip``, and of those in which other
    libraries begin."""

    def __init__(self, skip: bytes, told: Told) -> None:
        self._skip, self._told = skip, told
        self._stops: dict[int, threading.Event] = {}
        self._inner: dict[int, frozenset[bytes]] = {}

    def add(self, library: int, root: bytes, inner: frozenset[bytes] = frozenset()) -> None:
        """Watches a root and all below it but ``inner``. Raises OSError."""
        watcher = self._open(root)
        self.remove(library)
        self._inner[library] = inner
        self._stops[library] = stop = threading.Event()
        threading.Thread(
            target=self._follow, args=(library, root, watcher, stop), daemon=True
        ).start()

    def remove(self, library: int) -> None:
        if stop := self._stops.pop(library, None):
            stop.set()

    def renest(self, library: int, inner: frozenset[bytes]) -> bool:
        """False where it is not watched."""
        self._inner[library] = inner
        return library in self._stops and not self._stops[library].is_set()

    def drain(self) -> None:
        """What happened until now is told when this returns: it takes less than a second."""
        time.sleep(1)

    @staticmethod
    def _open(root: bytes) -> RustNotify:
        path = os.fsdecode(root)
        if not Path(path).is_dir():
            raise FileNotFoundError("not there")
        return RustNotify([path], False, False, 0, True, False)

    def _follow(
        self, library: int, root: bytes, watcher: RustNotify, stop: threading.Event
    ) -> None:
        while not stop.is_set():
            try:
                changes = watcher.watch(400, 100, _WAIT_MS, stop)
            except RuntimeError:  # It is of no more use after a name that it cannot decode.
                time.sleep(_AGAIN_S)
                try:
                    watcher = self._open(root)
                except OSError as error:
                    stop.set()
                    self._told.failed(library, str(error))
                    return
                self._told.lost(library)
                continue
            if isinstance(changes, set):
                for _kind, path in changes:
                    self._hint(library, root, os.fsencode(path))

    def _hint(self, library: int, root: bytes, path: bytes) -> None:
        if path == root:
            self._told.lost(library)
        elif path.startswith(root + b"/"):
            relative = path[len(root) + 1 :]
            inner = self._inner.get(library, frozenset())
            if self._skip not in relative.split(b"/") and not lies_in(relative, inner):
                self._told.hint(library, relative)
