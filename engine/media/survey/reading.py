"""One open file to what it holds: its type first, then what its format says of itself.

The parsers are imported when the first file needs them, and the engine never imports them at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from engine.media.survey import images, kinds, papers, streams
from engine.media.survey.trait import Trait, UnreadError
from engine.media.survey.window import TooMuchError, Window

_TAIL = 4096
_DISC = 32_769, b"CD001"
"""ISO 9660: the first descriptor is in sector 16."""
_BUDGET = 256 * 1024**2
_WITH_TAIL = (b"PK", b"\xd0\xcf")
PROBLEM_MEMORY = "it takes too much memory to read"


def begin(fd: int, size: int) -> Trait:
    """The type of the file. Raises OSError."""
    head = os.pread(fd, kinds.HEAD, 0)
    tail = b""
    if head.startswith(_WITH_TAIL) and size > kinds.HEAD:
        tail = os.pread(fd, _TAIL, max(kinds.HEAD, size - _TAIL))
    found = kinds.sort(head, tail)
    if found == kinds.UNKNOWN and size > _DISC[0] and os.pread(fd, 5, _DISC[0]) == _DISC[1]:
        found = kinds.Sort("application/x-iso9660-image", "archive")
    return Trait(found.kind, found.type)


def is_deep(trait: Trait) -> bool:
    """Whether a parser knows more than the type."""
    return trait["type"] in images.TYPES or trait["type"] in _OTHERS


def fill(trait: Trait, fd: int, size: int) -> None:
    """Lets a parser read the file. Whatever goes wrong is told as the trait's ``problem``."""
    window = Window(fd, size, _BUDGET)
    try:
        if trait["type"] in images.TYPES:
            images.read(trait, window, size)
        else:
            _OTHERS[trait["type"]](trait, window)
    except UnreadError as error:
        trait["problem"] = str(error)
    except MemoryError:
        trait["problem"] = PROBLEM_MEMORY
    except TooMuchError:
        trait["problem"] = "too much of it would have to be read"
    except Exception:  # noqa: BLE001 - a parser may raise anything over a file that is made for it
        trait["problem"] = (
            "too much of it would have to be read"
            if window.exhausted
            else f"it cannot be read as {trait['type']}: damaged, or cut short?"
        )


_OTHERS: dict[str, Callable[[Trait, Window], None]] = {
    **dict.fromkeys(streams.TYPES, streams.read),
    **dict.fromkeys(papers.TYPES, papers.read),
}
