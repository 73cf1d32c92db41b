"""Hashing what the catalogue knows and has no hash of, or none since it was touched. Standard
library and blake3 only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from engine.media.digest import SMALL, ChangedError, Tasks, digest
from engine.media.link import Batch, Link
from engine.media.look import open_catalogue
from engine.media.root import open_root
from engine.media.walk import GONE, Identity
from engine.worker.frames import Frame, to_bytes, to_text

_PAGE = 512
_CHUNK = 64
_Item = tuple[bytes, Identity]
# What was only touched, and keeps the hash that it had: see ``integrity.record``.
_KEPT = """INDEXED BY file_damaged
WHERE library = ? AND damage <> '' AND damage = 'unread' AND blake3 IS NOT NULL"""


class Pending:
    """``command``: catalogue, library, root, threads, settle_s, hashes, mapped (large files are:
    it is faster, and this process may die of it).

    A file that changed within ``settle_s`` seconds is left for later: it is still being written.
    Tells ``hashed`` rows, ``again`` rows (they are not what the catalogue knows: look again) and
    ``unread`` rows (path, why, identity). Raises RootLostError.
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._link = link
        self._library: int = command["library"]
        self._settle_ns = int(command["settle_s"] * 1e9)
        self._more: list[str] = command["hashes"]
        self._mapped: bool = command["mapped"]
        self._fd, _identity, _device = open_root(to_bytes(command["root"]))
        self._db = open_catalogue(command["catalogue"])
        self._threads: int = command["threads"]
        self._tasks = Tasks(self._threads, 16)
        self._batches = {kind: Batch(link, kind) for kind in ("hashed", "again", "unread")}
        self._left = 0
        self._links: set[Identity] = set()

    def run(self) -> Frame:
        """Hashes all of it; returns the closing frame."""
        small: list[_Item] = []
        large: list[_Item] = []
        for item in self._items():
            chunk = large if item[1].size > SMALL else small
            if chunk is large or len(small) == _CHUNK:
                self._offer(chunk)
                chunk.clear()
            chunk.append(item)
        self._offer(small)
        self._offer(large, self._threads)  # Nothing comes after it that would keep them busy.
        self._tasks.finish()
        for batch in self._batches.values():
            batch.flush()
        self._db.close()
        os.close(self._fd)
        return {"k": "done", "left": self._left}

    def _items(self) -> Iterator[_Item]:
        yield from self._some(_KEPT)  # First: what cannot be read now comes to be one of them.
        yield from self._some("WHERE library = ? AND blake3 IS NULL")

    def _some(self, where: str) -> Iterator[_Item]:
        last = 0
        while page := self._db.execute(
            "SELECT id, path, dev, ino, size, mtime_ns, ctime_ns, nlink"  # noqa: S608
            f" FROM file {where} AND id > ? ORDER BY id LIMIT ?",
            (self._library, last, _PAGE),
        ).fetchall():
            last = page[-1][0]
            for _id, path, *rest in page:
                identity = Identity(*rest)
                if 0 <= time.time_ns() - identity.ctime_ns < self._settle_ns:
                    self._left += 1
                elif identity.nlink == 1 or identity not in self._links:
                    if identity.nlink > 1:  # One reading serves all names of a file.
                        self._links.add(identity)
                    yield path, identity

    def _offer(self, items: Sequence[_Item], threads: int = 1) -> None:
        chunk = tuple(items)
        self._tasks.offer(lambda: self._hash(chunk, threads), wait=True)

    def _hash(self, items: Sequence[_Item], threads: int) -> None:
        for path, identity in items:
            self._link.where = to_text(path)
            row: list[object] = [to_text(path)]
            try:
                row = [*identity[:5], *self._digest(path, identity, threads)]
                kind = "hashed"
            except ChangedError:
                kind = "again"
            except OSError as error:
                kind = "again" if error.errno in GONE else "unread"
                row += [error.strerror or str(error), *identity[:5]]
            self._batches[kind].add(row, len(path))
            self._link.advance(1)

    def _digest(self, path: bytes, identity: Identity, threads: int) -> list[str]:
        link, more, mapped = self._link, self._more, self._mapped
        return digest(self._fd, path, identity, link, more, mapped=mapped, threads=threads)
