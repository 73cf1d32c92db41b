"""What every process that holds a model does, whichever library runs it. Standard library only.

Started by ``backends.hosted.child``. The first line of stdin is the task, as JSON: what is secret
must not be on a command line. One JSON line goes out: ``{"ready": true}``, or ``{"error": …}``
with ``"missing": true`` where the library is not installed. The process ends when stdin ends, and
on Linux at once when its parent dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

MAX_TASK = 64 * 1024
_PR_SET_PDEATHSIG = 1


def host(serve: Callable[[dict[str, Any]], object]) -> NoReturn:
    """Serves until stdin ends; the exit status is 1 where it could not.

    ``serve`` takes the task and returns when the model is ready; it is served as long as what it
    returned lives. It raises ImportError where the library is missing, and OSError, RuntimeError
    or ValueError where the model cannot be loaded. The library is to be imported inside it, so
    that a missing one is told like any other reason.
    """
    line = sys.stdin.buffer.readline(MAX_TASK)
    if not line:
        sys.exit(1)
    task = json.loads(line)
    _die_with(task["parent"])
    # Native code may print: only our own line goes to the parent's pipe.
    report = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    try:
        _server = serve(task)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        missing = isinstance(error, ImportError)
        report.write(json.dumps({"error": str(error), "missing": missing}) + "\n")
        report.flush()
        sys.exit(1)
    report.write('{"ready": true}\n')
    report.flush()
    sys.stdin.buffer.read()
    # There is nothing to save, and an orderly end could hang in native code.
    os._exit(0)


def _die_with(parent: int) -> None:
    """Ends this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit(1)
