"""Ports: who else has, or wants, files that would move; asked of the media room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from engine.contract.sources import TorrentClient

Inode = tuple[int, int]
"""Device and number of a file, as signed 64-bit integers."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """``path`` is relative to the library, ``size`` in bytes."""

    path: bytes
    size: int


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """``first``: the oldest of ``files``. ``bytes`` are of all; each inode counts once."""

    files: int = 0
    bytes: int = 0
    first: tuple[HeldFile, ...] = ()


@dataclass(frozen=True, slots=True)
class GoneFile:
    """A file that is no longer where it was: at ``path``, which is absolute. ``size`` in bytes."""

    path: bytes
    size: int
    inode: Inode


@dataclass(frozen=True, slots=True)
class Wanted:
    """``by``: the torrent and its client that want a file where it was. ``asked``: clients that
    told all they hold; ``unasked``: those that did not, and why."""

    by: Mapping[Inode, str] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    unasked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Trashing:
    """A file that was moved to the trash from ``at`` on, by the yes to that approval, and brought
    back from ``back_at`` on (None: it was not)."""

    approval_id: int
    at: datetime
    back_at: datetime | None


class TrashJournal(Protocol):
    """What the quota room moved."""

    async def trashed(self, library: str, path: bytes, size: int) -> list[Trashing]:
        """The file of this size at this path of a library; the newest first."""
        ...


class Copies(Protocol):
    """What else the catalogue knows of the bytes that some files have."""

    async def copied(self, hashes: Collection[str], without: Collection[Inode]) -> set[str]:
        """Those of these BLAKE3 (hex) that another catalogued file has, which can be reached and
        is not known as damaged. Names of the inodes ``without`` are none."""
        ...


class Holders(Protocol):
    """Who else wants to find files where they are: a torrent client that seeds one, or would."""

    async def held(self, inodes: Collection[Inode]) -> set[Inode]:
        """Those that a torrent client holds, paused or not, under whatever name."""
        ...

    async def held_in(self, library: str, until_ns: int | None, most: int) -> HeldFiles:
        """What clients hold of a library and was not modified after ``until_ns`` (None: all of
        it), with ``most`` files by name. Raises NotFound."""
        ...

    async def wanted(self, files: Iterable[GoneFile]) -> Wanted:
        """Asks all clients, now, for so long as a person waits."""
        ...

    def clients(self) -> tuple[TorrentClient, ...]:
        """The clients as they were last asked: what they took up since is not known."""
        ...
