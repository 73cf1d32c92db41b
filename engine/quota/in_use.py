"""Which files other programs hold open right now, as far as this user may see."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from engine.quota.disk import signed


@dataclass(frozen=True, slots=True)
class InUse:
    """``inodes``: (dev, ino) of open regular files. ``seen`` programs were looked at; ``hidden``
    ones belong to other users."""

    inodes: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    seen: int = 0
    hidden: int = 0


def look() -> InUse:
    """A snapshot. Blocks for some ten milliseconds: call it in a thread."""
    return _linux() if sys.platform == "linux" else _portable()


def _linux() -> InUse:
    inodes: set[tuple[int, int]] = set()
    seen = hidden = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or process.name == str(os.getpid()):
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                _add(inodes, descriptor)
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
        except PermissionError:
            hidden += 1
            continue
        seen += 1
    return InUse(frozenset(inodes), seen, hidden)


def _add(inodes: set[tuple[int, int]], path: Path) -> None:
    try:
        # A descriptor's link leads to the inode, whatever the file is called in that program's
        # own view (a container says /downloads). Sockets and pipes are passed over.
        status = path.stat()
    except OSError:
        return  # Closed meanwhile.
    if stat.S_ISREG(status.st_mode):
        inodes.add((signed(status.st_dev), signed(status.st_ino)))


def _portable() -> InUse:
    import psutil  # 30 ms, and only here

    inodes: set[tuple[int, int]] = set()
    seen = hidden = 0
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            paths = [file.path for file in process.open_files()]
        except psutil.AccessDenied:
            hidden += 1
            continue
        except psutil.NoSuchProcess:
            continue
        seen += 1
        for path in paths:
            _add(inodes, Path(path))
    return InUse(frozenset(inodes), seen, hidden)
