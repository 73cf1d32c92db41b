"""The worker's end of the pipe: commands in, frames out, paused or ended from outside.

Standard library only.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time

from engine.worker import frames
from engine.worker.child import Output
from engine.worker.frames import Frame

_BEAT_S = 0.5
_BATCH_BYTES = 256 * 1024
_WAIT_S = 0.25
_BURST_S = 0.1
_MIB = 1024 * 1024


class Budget:
    """So many MiB a second, for all threads together; 0: no limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rate = self._paid = 0.0
        self._changed = threading.Event()

    def set(self, mib_s: float) -> None:
        """From now on, also for whoever waits."""
        with self._lock:
            self._rate, self._paid = mib_s * _MIB, 0.0
            self._changed.set()
            self._changed = threading.Event()

    def spend(self, size: int) -> None:
        """Waits until ``size`` bytes are paid for."""
        with self._lock:
            if not self._rate:
                return
            present = time.monotonic()
            self._paid = max(self._paid, present - _BURST_S) + size / self._rate
            wait, changed = self._paid - present, self._changed
        if wait > 0:
            changed.wait(wait)


class Link:
    """While a command runs, a beat tells every half second how far it got, so that the engine can
    tell slow from stuck; what waits in batches goes out with it.

    ``hashing``: whether a look hashes on its way. The engine may have it so, or not, at any time.
    """

    def __init__(self) -> None:
        self.commands: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self.send = Output().send
        self._running = threading.Event()
        self._free = threading.Event()
        self._free.set()
        self._count = threading.Lock()
        self._ticks = self._files = self._bytes = self._met = 0
        self.where = ""
        self.hashing = True
        self.budget = Budget()
        self.batches: list[Batch] = []
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def _listen(self) -> None:
        while (command := frames.read(sys.stdin.buffer)) is not None:
            match command["do"]:
                case "pause":
                    self._free.clear()
                case "resume":
                    self._free.set()
                case "pace":
                    self.budget.set(command["mib_s"])
                case "hashing":
                    self.hashing = command["on"]
                case _:
                    self.budget.set(command.get("mib_s", 0))
                    self.hashing = command.get("hashing", True)
                    self.commands.put(command)
        os._exit(0)  # The engine is gone, or has no more use for this worker.

    def _beat(self) -> None:
        pause = threading.Event()
        while self._running.wait():
            pause.wait(_BEAT_S)
            if self._running.is_set():
                for batch in tuple(self.batches):
                    batch.flush()
                self.send(
                    {
                        "k": "beat",
                        "ticks": self._ticks + self._met,
                        "files": self._files + self._met,
                        "bytes": self._bytes,
                        "where": self.where,
                    }
                )

    def begin(self) -> None:
        """A command starts: counters at zero, beats on."""
        self._ticks = self._files = self._bytes = self._met = 0
        self.where = ""
        self.batches.clear()
        self._running.set()

    def end(self) -> None:
        self._running.clear()

    def advance(self, files: int = 0, size: int = 0) -> None:
        """Tells that work went on. Waits here while the engine wants a pause, or a slower pace."""
        with self._count:
            self._ticks += 1
            self._files += files
            self._bytes += size
        if size:
            self.budget.spend(size)
        self._free.wait()

    def meet(self, files: int = 1) -> None:
        """Tells of more files, as ``advance`` does, at a fifth of its price: for a single
        thread, which meets a million files that did not change."""
        self._met += files
        if not self._free.is_set():  # To wait takes three times as long as to look.
            self._free.wait()


class Batch:
    """Rows of one kind on their way out, from any thread: at most a thousand in a frame, or
    256 KiB, and none waits longer than a quarter of a second while others come, or than a beat.
    """

    def __init__(self, link: Link, kind: str) -> None:
        self._link = link
        self._kind = kind
        self._lock = threading.Lock()
        self._rows: list[list[object]] = []
        self._size = 0
        self._sent = time.monotonic()
        link.batches.append(self)

    def add(self, row: list[object], weight: int) -> None:
        """``weight`` is the length of the row's path in bytes: JSON may need six for each."""
        with self._lock:
            self._rows.append(row)
            self._size += 6 * weight + 100
            full = len(self._rows) >= 1000 or self._size >= _BATCH_BYTES
            if full or time.monotonic() - self._sent > _WAIT_S:
                self._flush()

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._link.send({"k": self._kind, "rows": self._rows})
            self._rows, self._size = [], 0
        self._sent = time.monotonic()
