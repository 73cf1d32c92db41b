"""One catalogued file in words: what is known of it, and its own text where that is short.

Blocks: called in a thread. The file is opened from the library's root component by component,
following no link, and is read only while it is the one that the catalogue knows.
"""

from __future__ import annotations

import os
import stat

from engine.contract.base import visible
from engine.contract.ports import CatalogueFile, Described
from engine.media.paging import when
from engine.media.walk import Identity
from engine.worker.numbers import signed

MOST_TEXT = 64 * 1024
"""Bytes of a file whose own words are told."""

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = _FILE | os.O_DIRECTORY


class _ChangedError(Exception):
    """The file is not, or no longer, what the catalogue knows."""


def describe(library: str, root: bytes, file: CatalogueFile) -> Described:
    """What is told of ``file``. One that cannot be read now is told from the catalogue alone."""
    name = visible(os.fsdecode(file.path))
    facts = [
        f"Path: {name} in the library {library}",
        f"Size: {file.size:,} bytes",
        f"Modified: {when(file.mtime_ns):%Y-%m-%d %H:%M} UTC",
    ]
    if file.nlink > 1:
        facts.append(f"Names on the disk: {file.nlink}")
    if file.blake3:
        facts.append(f"BLAKE3: {file.blake3}")
    text = ""
    try:
        text = _text(root, file)
    except _ChangedError:
        facts.append("It has changed since the library was read: its words are left out")
    except OSError as error:
        facts.append(f"It cannot be read now: {error.strerror or error}")
    return Described(name, tuple(facts), text)


def _text(root: bytes, file: CatalogueFile) -> str:
    """The file's words; "" where it is larger or no UTF-8 text. Raises OSError, _ChangedError."""
    if not 0 < file.size <= MOST_TEXT:
        return ""
    *folders, name = file.path.split(b"/")
    at = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        opened = os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)
    try:
        _expect(opened, file)
        data = os.read(opened, MOST_TEXT + 1)
        _expect(opened, file)
    finally:
        os.close(opened)
    if len(data) != file.size:  # Some file systems hand over less than there is.
        raise _ChangedError
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _expect(descriptor: int, file: CatalogueFile) -> None:
    status = os.fstat(descriptor)
    known = (signed(file.dev), signed(file.ino), file.size, file.mtime_ns, file.ctime_ns)
    if not stat.S_ISREG(status.st_mode) or Identity.of(status)[:5] != known:
        raise _ChangedError
