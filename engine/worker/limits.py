"""What a child process may take when it reads what may be made to break it. Standard library only.

Beyond a limit the process fails or is ended by the kernel: that costs the file it was reading.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def limit(mebibytes: int, open_files: int) -> None:
    """No more memory than that, no files written, no picture of a crash left on the disk."""
    for which, most in (
        (resource.RLIMIT_AS, mebibytes * 1024**2),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, open_files),
    ):
        hard = resource.getrlimit(which)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # A Mac does not limit the memory.
            resource.setrlimit(which, (least, least))


@contextmanager
def processor_time(seconds: int) -> Iterator[None]:
    """A limit on what the block may take. Beyond it this process is ended."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def taken() -> int:
    """Bytes of memory that this process holds.

    Linux: not ``ru_maxrss``, which starts at what the process that started this one ever took.
    """
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        kilobytes = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def keep_stdout() -> int:
    """What libraries print goes nowhere: returns where stdout was, for frames alone."""
    frames = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)
    return frames
