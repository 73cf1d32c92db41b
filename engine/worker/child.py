"""What every child process of this room does. Standard library only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress

from engine.worker import frames
from engine.worker.frames import Frame

_NICE = 10
_PR_SET_PDEATHSIG = 1
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_LOWEST = (2 << 13) | 7  # Best effort, last among those.


def be_quiet(*, unasked: bool = False) -> None:
    """Gives way to everything else, and dies with the engine. ``unasked``: also to what the system
    holds for another group of processes, since nobody waits for an answer.
    """
    os.nice(_NICE)
    if unasked:
        _give_way_as_a_group()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        number = _SYS_IOPRIO_SET.get(os.uname().machine)
        if number is not None:
            libc.syscall(number, 1, 0, _IOPRIO_LOWEST)


def _give_way_as_a_group() -> None:
    """Where Linux groups processes by session, their niceness counts within the group alone; the
    group has one of its own (sched(7), the autogroup feature)."""
    with suppress(OSError):  # There is no such file, or it is not for us.
        if os.getsid(0) == os.getpid():
            descriptor = os.open("/proc/self/autogroup", os.O_WRONLY)
            try:
                os.write(descriptor, b"%d" % _NICE)
            finally:
                os.close(descriptor)


class Output:
    """Frames on ``fd`` (stdout), each whole, from any thread. A full pipe blocks: backpressure."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        view = memoryview(frames.encode(frame))
        with self._lock:
            while view:
                view = view[os.write(self._fd, view) :]
