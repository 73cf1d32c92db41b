"""Which files a prune takes: oldest first, whole link groups, until the target is met.

Fed with the catalogue in batches, it looks at each file that it takes on the disk itself: a plan
holds what is there, not what was there at the last scan.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from engine.contract.holding import Inode
from engine.contract.ports import CatalogueFile
from engine.quota.book import frees_of
from engine.quota.disk import Identity, Item, Obstacle, Root, signed

MAX_ITEMS = 25_000
"""Files in one plan: what fits into one message and one answer. The rest is the next plan's."""


def inode_of(file: CatalogueFile) -> Inode:
    return signed(file.dev), signed(file.ino)


class Selection:
    """Takes files until ``target`` bytes would leave the library."""

    def __init__(self, root: Root, target: int) -> None:
        self._root = root
        self._target = target
        self._groups: dict[Inode, list[Item]] = {}
        self._incomplete: set[Inode] = set()
        self._count = 0
        self.moves = 0
        self.out_of_reach = 0
        """Files that are out of reach: on another file system than the trash, or not readable."""
        self.held = 0
        """Names of files that a torrent client holds: they stay."""
        self.stale: list[bytes] = []
        """Paths at which the disk holds something else than the catalogue."""

    @property
    def complete(self) -> bool:
        """Nothing that may come changes the plan."""
        return self._met and not self._incomplete

    @property
    def _met(self) -> bool:
        return self.moves >= self._target or self._count >= MAX_ITEMS

    def add(self, files: Sequence[CatalogueFile], held: Collection[Inode] = ()) -> None:
        """The next batch, in the catalogue's order. ``held``: those that a torrent client holds."""
        for file in files:
            if self.complete:
                return
            if inode_of(file) in held:
                self.held += 1
            elif not self._met or inode_of(file) in self._incomplete:
                self._take(file)

    def _take(self, file: CatalogueFile) -> None:
        inode = inode_of(file)
        if inode[0] != self._root.dev:
            self.out_of_reach += 1
            return
        try:
            found = Identity.of(self._root.look(file.path))
        except (FileNotFoundError, NotADirectoryError, Obstacle):
            self.stale.append(file.path)
            return
        except OSError:
            self.out_of_reach += 1
            return
        known = (*inode, file.size, file.mtime_ns)
        if (found.dev, found.ino, found.size, found.mtime_ns) != known:
            self.stale.append(file.path)
            return
        # A file whose change time moved may have other content under its old modification time.
        blake3 = file.blake3 if found.ctime_ns == file.ctime_ns else None
        self._join(inode, Item(0, file.path, found, blake3=blake3))

    def _join(self, inode: Inode, item: Item) -> None:
        group = self._groups.setdefault(inode, [])
        if not group:
            self.moves += item.identity.size
        group.append(item)
        self._count += 1
        if len(group) < item.identity.nlink:
            self._incomplete.add(inode)
        else:
            self._incomplete.discard(inode)

    def items(self) -> list[Item]:
        """Numbered from 1; the names of one file stand together."""
        return numbered([item for group in self._groups.values() for item in group])


def numbered(items: Sequence[Item]) -> list[Item]:
    """``items`` in their order, with numbers and what the purge of each would free."""
    fresh = [replace(item, n=n) for n, item in enumerate(items, 1)]
    frees = frees_of(fresh)
    return [replace(item, frees=frees.get(item.n, 0)) for item in fresh]
