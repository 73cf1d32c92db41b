"""Starts rclone so that it never outlives the engine. Standard library only.

Run as ``python -m engine.remotes.launch PARENT PROGRAM ARGUMENT...``. On Linux the kernel ends
rclone with its parent, and this process becomes rclone; elsewhere this one stays beside it, and
ends it when stdin ends, which it does with the engine.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> int:
    """The exit status, where this process was not replaced by the program."""
    return _become(parent, command) if sys.platform == "linux" else _watch(command)


def _become(parent: int, command: list[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        return 1
    if os.getppid() == parent:  # Else it died before the kernel was told.
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    return 1


def _watch(command: list[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    sys.stdin.buffer.read()
    child.kill()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
