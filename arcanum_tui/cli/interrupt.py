"""Ctrl-C, SIGTERM and SIGHUP: the command's task is cancelled, once, and ends in order."""

from __future__ import annotations

import asyncio
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

_PATIENCE_S = 1.0
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


class Interrupts:
    """Entered inside the task that is to be cancelled; a signal that waited comes right then.

    ``reason`` names the signal that came, "" while none has. A second signal, more than a second
    after the first, leaves at once instead of waiting for an orderly end.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._at = 0.0
        self._before: dict[signal.Signals, Any] = {}
        self._mask: set[int | signal.Signals] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in _NAMES:
            # What is ignored stays ignored: that is how nohup and background jobs are left alone.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._came)
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, _NAMES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def forgive(self) -> None:
        """The interruption was meant for a part of the work and has been dealt with."""
        self.reason = ""
        if self._task is not None:
            self._task.uncancel()

    def _came(self, number: int, _frame: FrameType | None) -> None:
        if not self.reason:
            self.reason, self._at = _NAMES[signal.Signals(number)], time.monotonic()
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        elif time.monotonic() - self._at > _PATIENCE_S:
            raise KeyboardInterrupt
