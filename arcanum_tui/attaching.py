"""Reading what a person attaches: a text file, by this face; the engine opens no file for it.

Everything here touches a disk: call it in a thread.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from arcanum_tui.state.text import number, size
from engine.contract.agent0 import MAX_ATTACHED, TextAttachment
from engine.contract.base import visible
from engine.contract.errors import Invalid, NotFound

MOST = 200
"""So many names of a folder are offered at most."""

LOOKED_AT = 5_000
"""At most so many names of a folder are looked at."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder that could be meant. ``path`` is what would stand on the line."""

    path: str
    name: str
    folder: bool
    size: int = 0


def whole(path: str) -> str:
    """A path as a person writes it, from the root."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - names are bytes


def read(path: str) -> TextAttachment:
    """The file as an attachment. Raises NotFound or Invalid: what is wrong with it, and where."""
    where = whole(path)
    shown = visible(where)
    try:
        # A pipe would wait for somebody to write into it.
        number_ = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"There is no file {shown}.", "Type another path.") from None
    except OSError as error:
        raise Invalid(f"{shown} cannot be read: {error.strerror}.", "Attach another.") from error
    with os.fdopen(number_, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Invalid(f"{shown} is no file.", "Only a text file can be attached.")
        if found.st_size > 4 * MAX_ATTACHED:
            raise _too_long(shown, size(found.st_size))
        data = file.read(4 * MAX_ATTACHED + 1)
    return TextAttachment(name=_name(where), text=_text(data, shown))


def _text(data: bytes, shown: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{shown} is not UTF-8 text: byte {error.start:,} belongs to none.",
            "Only text can be attached; convert it first.",
        ) from None
    if "\0" in text:
        raise Invalid(f"{shown} is no text: it holds NUL bytes.", "Only text can be attached.")
    if not text.strip():
        raise Invalid(f"{shown} is empty.", "Attach another.")
    if len(text) > MAX_ATTACHED:
        raise _too_long(shown, f"{number(len(text))} characters")
    return text


def _too_long(shown: str, what: str) -> Invalid:
    return Invalid(
        f"{shown} is too long: {what}, at most {number(MAX_ATTACHED)} characters are taken.",
        "Attach a part of it.",
    )


def _name(path: str) -> str:
    return visible(os.path.basename(path))[:200] or "file"  # noqa: PTH119 - names are bytes


def look(text: str) -> list[Entry]:
    """Files and folders whose path begins with what was typed, folders first."""
    head, slash, tail = text.rpartition("/")
    folder = whole(head or "/") if slash else whole(".")
    begun = f"{head}/" if slash else ""
    found = []
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(LOOKED_AT), entries, strict=False):
                hidden = entry.name.startswith(".") and not tail.startswith(".")
                if hidden or not entry.name.lower().startswith(tail.lower()):
                    continue
                if (made := _entry(entry, begun)) is not None:
                    found.append(made)
    except OSError:
        return []
    return sorted(found, key=lambda e: (not e.folder, e.name.lower()))[:MOST]


def _entry(entry: os.DirEntry[str], begun: str) -> Entry | None:
    """What can stand on a line of text; a name that is not UTF-8 cannot."""
    if not entry.name.isprintable():
        return None
    try:
        if entry.is_dir():
            return Entry(f"{begun}{entry.name}/", entry.name, folder=True)
        return Entry(begun + entry.name, entry.name, folder=False, size=entry.stat().st_size)
    except OSError:
        return None
