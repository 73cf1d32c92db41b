"""Which files other programs hold open right now, as far as this user may see."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.quota.disk import signed

Inode = tuple[int, int]
_INO = re.compile(r"^ino:\s*(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class InUse:
    """``inodes``: those that are open elsewhere. ``seen`` programs were looked at; ``hidden``
    ones belong to other users."""

    inodes: frozenset[Inode] = field(default_factory=frozenset)
    seen: int = 0
    hidden: int = 0


def look(wanted: Collection[Inode]) -> InUse:
    """Who holds any of ``wanted`` open. Blocks for some ten milliseconds: call it in a thread."""
    return _linux(wanted) if sys.platform == "linux" else _portable(wanted)


def _linux(wanted: Collection[Inode]) -> InUse:
    numbers = {inode for _device, inode in wanted}
    inodes: set[Inode] = set()
    seen = hidden = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or process.name == str(os.getpid()):
            continue
        try:
            inodes |= {inode for inode in _open_in(process, numbers) if inode in wanted}
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
        except PermissionError:
            hidden += 1
        else:
            seen += 1
    return InUse(frozenset(inodes), seen, hidden)


def _open_in(process: Path, numbers: Collection[int]) -> Iterator[Inode]:
    for descriptor in (process / "fdinfo").iterdir():
        with suppress(OSError):  # Closed meanwhile, or its disk is sick.
            # The kernel's own note first: asking for the status of somebody else's file may hang
            # on a dead network mount. It leads to the inode, whatever the file is called in that
            # program's own view (a container says /downloads). Older kernels do not note it.
            noted = _INO.search(descriptor.read_text())
            if noted is None or signed(int(noted[1])) in numbers:
                status = (process / "fd" / descriptor.name).stat()
                yield signed(status.st_dev), signed(status.st_ino)


def _portable(wanted: Collection[Inode]) -> InUse:
    import psutil  # 30 ms, and only here

    inodes: set[Inode] = set()
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
            with suppress(OSError):  # Deleted meanwhile.
                status = Path(path).stat()
                inodes.add((signed(status.st_dev), signed(status.st_ino)))
    return InUse(frozenset(inodes & set(wanted)), seen, hidden)
