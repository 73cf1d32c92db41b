"""Which model a file or a folder holds: its files, their identity, and the digest of their bytes.

Everything here blocks. What is of one identity has the same bytes, as far as a file system tells.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from blake3 import blake3

_CHUNK = 1024 * 1024
# Linux reads no more ahead at one call than the disk's own read-ahead, which is this by default.
_STEP = 128 * 1024
_SPLIT = re.compile(r"(.*-)\d{5}(-of-\d{5}\.gguf)", re.DOTALL)
_MAX_FILES = 10_000


def model_files(model: Path) -> list[Path]:
    """The files that make up a model: itself, all parts of a split one, or those of its folder."""
    if model.is_dir():
        found = [Path(entry.path) for entry in os.scandir(model) if entry.is_file()]
    elif split := _SPLIT.fullmatch(model.name):
        head, tail = split.groups()
        found = [
            each
            for each in model.parent.iterdir()
            if each.name.startswith(head) and each.name.endswith(tail)
        ]
    else:
        return [model]
    return sorted(found)[:_MAX_FILES]


def identity(model: Path) -> str:
    """What changes whenever a file of the model does. Raises OSError."""
    hasher = blake3()
    for file in model_files(model):
        status = file.stat()
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        hasher.update(f"{seen} {status.st_ctime_ns} {os.fsencode(file.name)!r}\n".encode())
    return hasher.hexdigest()


def fingerprint(model: Path) -> str:
    """The digest of the model's bytes. Takes seconds for a large one. Raises OSError."""
    hasher = blake3()
    for file in model_files(model):
        size, digest = digest_of(file)
        hasher.update(f"{size} {digest}\n".encode())
    return hasher.hexdigest()


def digest_of(file: Path) -> tuple[int, str]:
    """Size and BLAKE3 of a file. Plain reads: a mapped file that shrinks would be a SIGBUS."""
    hasher, buffer, size = blake3(), bytearray(_CHUNK), 0
    view = memoryview(buffer)
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            hasher.update(view[:count])
            size += count
    return size, hasher.hexdigest()


def read_ahead(model: Path) -> None:
    """Asks the system to have the model in memory soon, where it can be asked.

    Half of the machine's memory at most: more would drive out what was read first.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    for file in model_files(model):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = min(os.fstat(descriptor).st_size, room)
            for start in range(0, size, _STEP):
                os.posix_fadvise(descriptor, start, _STEP, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
        if (room := room - size) <= 0:
            return
