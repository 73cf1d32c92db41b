"""Which file system a folder lies on. A device number does not say it: the next disk may be given
the same one, and the root of every ext4 has the same inode. Standard library only.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from engine.media.mounts import mount_number, table
from engine.worker.frames import to_text
from engine.worker.numbers import bounded

_BY_UUID = "/dev/disk/by-uuid"
_FOLDER_ITSELF = 0x1000  # AT_EMPTY_PATH
_BIRTH = 0x800  # STATX_BTIME
_STATX_SIZE, _SECONDS, _NANOSECONDS = 256, slice(80, 88), slice(88, 92)


def volume_of(fd: int, device: int) -> str:
    """What names the file system: ``fsid`` or ``uuid`` and its own number or, where it is on no
    disk of this machine, ``share`` and its kind and source; "" where nothing does."""
    if sys.platform != "linux":  # Elsewhere its number is made of the device's.
        return ""
    number = os.fstatvfs(fd).f_fsid
    if number and not _is_of(number, device):
        return f"fsid {number & (2**64 - 1):x}"
    if os.major(device):
        return _uuid(device)
    return _share(table(), mount_number(fd))


def lasts(volume: str) -> bool:
    """Whether it is one disk's alone. A share may lead to another one by now."""
    return volume.startswith(("fsid ", "uuid "))


def _is_of(number: int, device: int) -> bool:
    """Whether a file system (XFS, FAT) says its device's number once more, as Linux packs it."""
    major, minor = os.major(device), os.minor(device)
    return number & 0xFFFFFFFF == (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _uuid(device: int) -> str:
    """As udev found it on the device."""
    with suppress(OSError):
        for name in os.listdir(_BY_UUID):
            with suppress(OSError):
                if os.stat(os.path.join(_BY_UUID, name)).st_rdev == device:
                    return f"uuid {name}"
    return ""


def _share(mounts: bytes, number: bytes) -> str:
    """Kind and source of the mount of this number."""
    for line in mounts.split(b"\n"):
        if number and line.split(b" ", 1)[0] == number:
            kind, source = [*line.partition(b" - ")[2].split(b" "), b""][:2]
            return f"share {to_text(kind)} {to_text(source)}" if source else ""
    return ""


def born_at(fd: int) -> int:
    """When an open folder was made (ns since 1970), 0 where that is not told."""
    status = os.fstat(fd)
    if (born := getattr(status, "st_birthtime", None)) is not None:
        return bounded(int(born * 1e9))
    import ctypes

    told = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        failed = ctypes.CDLL(None).statx(fd, b"", _FOLDER_ITSELF, _BIRTH, told)
    except AttributeError:  # An old C library.
        return 0
    if failed or not int.from_bytes(told.raw[:4], sys.byteorder) & _BIRTH:
        return 0
    seconds = int.from_bytes(told.raw[_SECONDS], sys.byteorder, signed=True)
    return bounded(seconds * 10**9 + int.from_bytes(told.raw[_NANOSECONDS], sys.byteorder))
