"""The process that holds a model: llama.cpp's own server on a unix socket, and nothing else.

Started by ``backends.llama_cpp.child``. The first line of stdin is the task, as JSON: what is
secret must not be on a command line. One JSON line goes out: ``{"ready": …}`` or ``{"error": …}``.
It ends when stdin ends, and on Linux at once when its parent dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

MAX_TASK = 64 * 1024
_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    """Ends this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit(1)


def _serve(task: dict[str, Any]) -> object:
    """A running server; it lives as long as what is returned. Raises RuntimeError, ImportError."""
    import xllamacpp  # Here, so that a missing one is told like any other reason.

    params = xllamacpp.CommonParams()
    params.model.path = task["model"]
    params.hostnames = [task["socket"]]
    params.port = 0
    params.api_keys = [task["key"]]
    params.ui = False
    params.verbosity = 1
    params.n_parallel = task["parallel"]
    # llama.cpp divides the context among the slots; each is to have all that was asked for.
    params.n_ctx = task["context"] * task["parallel"]
    # Between two batches progress is told and a closed connection noticed.
    params.n_batch = params.n_ubatch = 256
    params.cache_ram_mib = task["cache_mib"]
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = task["threads"]
        cpu.poll = 0
    return xllamacpp.Server(params)


def main() -> int:
    """Serves until stdin ends. Returns the exit status where it could not."""
    line = sys.stdin.buffer.readline(MAX_TASK)
    if not line:
        return 1
    task = json.loads(line)
    _die_with(task["parent"])
    # Native code may print: only our own line goes to the parent's pipe.
    report = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    try:
        _server = _serve(task)
    except (ImportError, RuntimeError) as error:
        report.write(json.dumps({"error": str(error)}) + "\n")
        report.flush()
        return 1
    report.write(json.dumps({"ready": True}) + "\n")
    report.flush()
    sys.stdin.buffer.read()
    # There is nothing to save, and an orderly end could hang in native code.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
