"""A library against a checksum list, in the worker. Standard library and blake3 only.

What the catalogue knows of a listed file is checked in the same reading.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator

from engine.media.digest import ChangedError, digest
from engine.media.integrity.lists import MOST_BYTES, Entry, ListError, inside, parse
from engine.media.integrity.rereading import GivenUpError, Item, Judge, item_of
from engine.media.link import Batch, Link
from engine.media.look import open_catalogue
from engine.media.walk import Identity, Walker
from engine.worker.frames import Frame, to_bytes, to_text

TOLD = ("differing", "missing", "unreadable", "extra", "bad_line")
_MOST_TOLD = 200
_PAGE = 2000


class NotAListError(GivenUpError):
    """The list cannot be read, or no line of it is one of a checksum list."""

    code = "list"


class Compare:
    """``command``: what Judge takes, and catalogue, library, against (the list), skip.

    Names are taken from the list's own folder where that is in the library, else from the root.
    """

    def __init__(self, command: Frame, link: Link) -> None:
        self._link, self._library = link, command["library"]
        self._list = os.path.realpath(to_bytes(command["against"]))
        self._entries = self._parsed(_read(self._list), to_bytes(command["root"]))
        kinds = {kind for entry in self._wanted.values() for kind in entry.kinds} - {"blake3"}
        kinds.update(command["hashes"])
        self._judge = Judge({**command, "hashes": sorted(kinds)}, link)
        self._walker = Walker(self._judge.fd, self._judge.device, to_bytes(command["skip"]))
        self._db = open_catalogue(command["catalogue"])

    def _parsed(self, data: bytes, root: bytes) -> int:
        """Reads the list; returns the number of its entries. Raises NotAListError."""
        self._numbers: Counter[str] = Counter()
        self._batches = {kind: Batch(self._link, kind) for kind in TOLD}
        folder = os.path.dirname(self._list)
        self._base = folder[len(root) + 1 :] if (folder + b"/").startswith(root + b"/") else b""
        self._wanted: dict[bytes, Entry] = {}
        entries = 0
        for found in parse(data):
            self._link.advance()
            if not isinstance(found, Entry):
                self._tell("bad_line", list(found), len(found[1]))
                continue
            try:
                path = inside(found.name, root, self._base)
            except ListError as error:
                self._tell("bad_line", [found.line, str(error)], 80)
                continue
            entries += 1
            self._wanted.setdefault(path, found)
            if self._wanted[path].digest != found.digest:
                self._tell("bad_line", [found.line, "another digest for the same file"], 80)
        if not entries:
            raise NotAListError("no line of it is one of a checksum list")
        return entries

    def run(self) -> Frame:
        """Reads every listed file; returns the closing frame."""
        plan = {"files": len(self._wanted), "bytes": self._size(), "hashes": self._judge.more}
        self._link.send({"k": "plan", **plan})
        for path, entry in self._wanted.items():
            self._link.where = to_text(path)
            self._one(path, entry)
            self._link.advance(1)
        self._tell_extra()
        for batch in self._batches.values():
            batch.flush()
        done = self._judge.finish()
        self._db.close()
        return {"k": "done", **done, "entries": self._entries, "numbers": dict(self._numbers)}

    def _size(self) -> int:
        sql = "SELECT size FROM file WHERE library = ? AND path = ?"
        rows = (self._db.execute(sql, (self._library, path)).fetchone() for path in self._wanted)
        return sum(row[0] for row in rows if row is not None)

    def _one(self, path: bytes, entry: Entry) -> None:
        found = next(iter(self._walker.at(path)), None)
        if found is None or found.path != path:
            self._tell("missing", [to_text(path), ""], len(path))
            return
        if found.identity is None:
            why = self._walker.problems[-1][1] if self._walker.problems else "it cannot be read"
            self._tell("unreadable", [to_text(path), why], len(path))
            return
        values = self._read(path, found.identity)
        if isinstance(values, str):
            self._tell("unreadable", [to_text(path), values], len(path))
        elif not any(values[kind] == entry.digest for kind in entry.kinds):
            kind = entry.kinds[0]
            why = f"{kind} {values[kind]}, and the list says {entry.digest}"
            self._tell("differing", [to_text(path), why], len(path))
        else:
            self._numbers["matching"] += 1

    def _read(self, path: bytes, identity: Identity) -> dict[str, str] | str:
        """The file's hashes, or why there are none. A catalogued file is judged on the way."""
        known = self._known(path, identity)
        kinds = ["blake3", *self._judge.more]
        if known is not None:
            found = self._judge.judge(known)
            return "it cannot be read" if found is None else dict(zip(kinds, found, strict=True))
        try:
            fresh = digest(self._judge.fd, path, identity, self._link, kinds[1:], fresh=True)
        except ChangedError:
            return "it changed while it was read"
        except OSError as error:
            return error.strerror or str(error)
        self._judge.count(identity.size)
        return dict(zip(kinds, fresh, strict=True))

    def _known(self, path: bytes, identity: Identity) -> Item | None:
        row = self._db.execute(
            "SELECT path, dev, ino, size, mtime_ns, ctime_ns, nlink, blake3, damage FROM file"
            " WHERE library = ? AND path = ? AND blake3 IS NOT NULL AND damage <> 'unread'",
            (self._library, path),
        ).fetchone()
        item = None if row is None else item_of(row)
        return item if item is not None and item.identity[:5] == identity[:5] else None

    def _tell_extra(self) -> None:
        own = os.path.basename(self._list)
        listed = b"/".join(filter(None, (self._base, own)))
        for path in self._below(self._base):
            self._link.advance()
            if path not in self._wanted and path != listed:
                self._tell("extra", [to_text(path), ""], len(path))

    def _below(self, folder: bytes) -> Iterator[bytes]:
        low, high = (folder + b"/", folder + b"0") if folder else (b"", None)
        while page := self._page(low, high):
            yield from page
            low = page[-1] + b"\0"

    def _page(self, low: bytes, high: bytes | None) -> list[bytes]:
        below = "" if high is None else "AND path < ?"
        rows: Iterable[tuple[bytes]] = self._db.execute(
            f"SELECT path FROM file WHERE library = ? AND path >= ? {below} ORDER BY path LIMIT ?",  # noqa: S608
            (self._library, low, *([] if high is None else [high]), _PAGE),
        )
        return [path for (path,) in rows]

    def _tell(self, kind: str, row: list[object], weight: int) -> None:
        """Counts all, tells the first."""
        self._numbers[kind] += 1
        if self._numbers[kind] <= _MOST_TOLD:
            self._batches[kind].add(row, weight)


def _read(path: bytes) -> bytes:
    """The whole list. Raises NotAListError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise NotAListError("it is no file")
            if status.st_size > MOST_BYTES:
                raise NotAListError(f"it is larger than {MOST_BYTES // 1024**2} MiB")
            with os.fdopen(os.dup(fd), "rb") as file:
                data = file.read(MOST_BYTES + 1)
        finally:
            os.close(fd)
    except OSError as error:
        raise NotAListError(error.strerror or str(error)) from error
    if len(data) > MOST_BYTES:
        raise NotAListError(f"it is larger than {MOST_BYTES // 1024**2} MiB")
    return data
