"""Which files that are gone from their places torrent clients want to find there still.

A client that is asked names every file of its torrents. One that is not where it should be, and was
there, with this size, is wanted; where a client's paths lead nowhere on this machine, name and size
tell: rather one too many is told than one too few.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from engine.contract.base import visible
from engine.contract.holding import GoneFile, Inode
from engine.contract.ports import TRASH_FOLDER
from engine.media.source.clients.places import MISSING, THERE
from engine.media.source.ease import eased
from engine.worker.frames import to_bytes

_LEAST_NAMED = 64 * 1024
_MOST_TOLD = 80
_TRASH = b"/" + TRASH_FOLDER + b"/"


class Wanting:
    """``found``: who wants a file, by its inode. ``heard``: the clients that told all they hold."""

    def __init__(self, files: Iterable[GoneFile]) -> None:
        self.found: dict[Inode, str] = {}
        self.heard: set[str] = set()
        self._inodes: set[Inode] = set()
        self._places: defaultdict[tuple[bytes, int], list[Inode]] = defaultdict(list)
        self._names: defaultdict[tuple[bytes, int], list[Inode]] = defaultdict(list)
        for file in files:
            self._inodes.add(file.inode)
            self._places[file.path, file.size].append(file.inode)
            if file.size >= _LEAST_NAMED:
                self._names[os.path.basename(file.path), file.size].append(file.inode)

    async def take(self, client: str, torrent: str, rows: Sequence[Sequence[Any]]) -> None:
        """Files of a torrent: rows as ``Places.row`` has them."""
        who = f"{visible(torrent)[:_MOST_TOLD]} ({client})"
        async for place, size, seen, dev, ino in eased(rows):
            for inode in self._wanted(to_bytes(place), size, seen, (dev, ino)):
                self.found.setdefault(inode, who)

    def _wanted(self, place: bytes, size: int, seen: int, inode: Inode) -> Iterable[Inode]:
        if seen == THERE:  # Another name of it stays, unless it is the one in the trash.
            return (inode,) if inode in self._inodes and _TRASH in place else ()
        found = self._places.get((place, size), ())
        if not found and seen == MISSING:
            found = self._names.get((os.path.basename(place), size), ())
        return found
