"""Hints: relative paths at which something may have changed. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

MANY = 500
"""More places than this are not looked at one by one."""

_MANY_BYTES = 100_000


class LimitError(Exception):
    """The kernel's limit of watches is reached."""


class Told(Protocol):
    """Who hears of hints, from whatever thread. Paths are relative to the library's root."""

    def hint(self, library: int, path: bytes) -> None: ...

    def lost(self, library: int) -> None:
        """Something was missed: only a look at everything helps."""
        ...

    def failed(self, library: int, why: str) -> None:
        """It is watched no more."""
        ...


def condense(paths: Iterable[bytes]) -> list[bytes] | None:
    """The outermost of the paths; their folders where they are many; None (everything) where even
    those are. A look at a folder is a look at all below it.
    """
    found = _outermost(set(paths))
    if _too_many(found):
        found = _outermost({path.rpartition(b"/")[0] for path in found})
    return None if b"" in found or _too_many(found) else found


def _too_many(paths: list[bytes]) -> bool:
    return len(paths) > MANY or sum(map(len, paths)) > _MANY_BYTES


def _outermost(paths: set[bytes]) -> list[bytes]:
    return sorted(path for path in paths if not any(up in paths for up in ancestors(path)))


def ancestors(path: bytes) -> Iterable[bytes]:
    """The folders above a path, the innermost first; the root itself (empty) is not among them."""
    while path := path.rpartition(b"/")[0]:
        yield path
