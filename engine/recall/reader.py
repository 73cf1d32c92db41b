"""The process that reads documents: ``python -m engine.recall.reader MIB``. The engine decides.

Standard library and pypdf only. Commands come as frames on stdin, answers go to stdout; the last
frame of each has ``k`` done or failed. It may be killed at any time: it writes nothing. What it
takes is limited, as what it reads may be made to break it; MIB is the memory.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.recall.extract import Content, UnreadError, load
from engine.recall.walking import GONE, Listing, LostError, identity, open_root
from engine.worker import frames
from engine.worker.child import Output, be_quiet
from engine.worker.failures import tell_no_data
from engine.worker.frames import Frame, to_bytes, to_text
from engine.worker.limits import limit, processor_time, taken

_BEAT_S = 0.5
_BATCH = 256 * 1024
_ESCAPED = 12
"""Bytes of a character in a frame at most."""
_OPEN_FILES = 256
_OF_THE_TIME = 0.6
"""Then a long file is left at what was read of it, before it is given up as a whole."""
_GROWN = 256 * 1024**2


class Reader:
    """``send`` takes what an answer is made of. The folder stays open from one command to the next.

    walk, then compare (pages of what is known), then rest (what nobody knew): what differs. read:
    one file.
    """

    def __init__(self) -> None:
        self.send = Output().send
        self._root, self._fd, self._is = b"", -1, [0, 0]
        self._listing: Listing | None = None
        self._beat = 0.0

    def answer(self, command: Frame) -> Frame:
        """The closing frame of the command's answer."""
        try:
            match command["do"]:
                case "probe":
                    return self._probe(to_bytes(command["path"]))
                case "walk":
                    return self._walk(to_bytes(command["root"]), command["most"])
                case "compare":
                    return self._compare(command["files"])
                case "rest":
                    return self._rest()
                case "read":
                    return self._read(command)
                case other:
                    raise ValueError(f"no such command: {other}")
        except LostError as error:
            return {"k": "failed", "code": error.code, "message": str(error)}
        except OSError as error:
            return {"k": "failed", "code": "unreadable", "message": error.strerror or str(error)}

    def _probe(self, path: bytes) -> Frame:
        """What is at a path: its absolute form without links, if it is a folder to be listed."""
        path = os.path.realpath(path)
        fd, status = open_root(path)
        try:
            with os.scandir(fd) as entries:
                next(entries, None)
        finally:
            os.close(fd)
        return {"k": "done", "path": to_text(path), "identity": identity(status)}

    def _enter(self, root: bytes) -> os.stat_result:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._fd, status = open_root(root)
        self._root, self._is = root, identity(status)
        return status

    # --- what differs ---------------------------------------------------------------------------

    def _walk(self, root: bytes, most: int) -> Frame:
        status = self._enter(root)
        self._listing = found = Listing(self._fd, status.st_dev, self._tick, most)
        stamp = hashlib.sha256()
        for path, seen in found.files.items():
            stamp.update(b"%d %d %d " % (len(path), *seen) + path)
        return {
            "k": "done",
            "identity": self._is,
            "files": len(found.files),
            "stamp": stamp.hexdigest(),
            "cut": found.cut is not None,
            "unread": found.unread,
            "problems": [[path, why] for path, why in found.problems],
        }

    def _tick(self, path: bytes) -> None:
        if time.monotonic() - self._beat > _BEAT_S:
            self._beat = time.monotonic()
            self.send({"k": "beat", "where": to_text(path)})

    def _compare(self, known: list[list[Any]]) -> Frame:
        """What is gone of the known, what is not as it was, and how many are there at all."""
        listing = self._walked()
        gone, changed, met = [], [], 0
        for text, size, mtime_ns in known:
            path = to_bytes(text)
            seen = listing.files.pop(path, None)
            met += seen is not None
            if seen is None and listing.covers(path):
                gone.append(text)
            elif seen is not None and seen != (size, mtime_ns):
                changed.append([text, *seen])
        return {"k": "done", "gone": gone, "changed": changed, "met": met}

    def _rest(self) -> Frame:
        """The files that nobody knew. The folder must still be the one that was walked."""
        rows = ([to_text(path), *seen] for path, seen in self._walked().files.items())
        for batch in _batches(rows, lambda row: len(row[0])):
            self.send({"k": "new", "rows": batch})
        self._listing = None
        fd, status = open_root(self._root)
        os.close(fd)
        if identity(status) != self._is:
            raise LostError("missing", "another folder took its place")
        return {"k": "done"}

    def _walked(self) -> Listing:
        if self._listing is None:
            raise ValueError("nothing was walked")
        return self._listing

    # --- what a file says -----------------------------------------------------------------------

    def _read(self, command: Frame) -> Frame:
        root = to_bytes(command["root"])
        if root != self._root or self._fd < 0:
            self._enter(root)
        seconds = command["seconds"]
        with processor_time(math.ceil(seconds)):
            until = time.monotonic() + seconds * _OF_THE_TIME
            content = self._load(to_bytes(command["path"]), until)
        if isinstance(content, UnreadError):
            told = {"problem": str(content), "lasting": content.lasting, "gone": content.gone}
            return {"k": "done", "spent": taken() > _GROWN, **told}
        for batch in _batches(content.passages, len):
            self.send({"k": "passages", "rows": batch})
        return {
            "k": "done",
            "size": content.seen[0],
            "mtime_ns": content.seen[1],
            "digest": content.digest.hex(),
            "note": content.note,
            "spent": taken() > _GROWN,
        }

    def _load(self, path: bytes, until: float) -> Content | UnreadError:
        """The file's content, or why there is none."""
        try:
            return load(self._fd, path, until)
        except UnreadError as error:
            return error
        except MemoryError:
            return UnreadError("it takes too much memory", lasting=True)
        except OSError as error:
            gone = error.errno in GONE
            return UnreadError(error.strerror or str(error), lasting=False, gone=gone)


def _batches(rows: Iterable[Any], weight: Callable[[Any], int]) -> Iterator[list[Any]]:
    """The rows in lists that a frame can hold."""
    batch: list[Any] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += _ESCAPED * weight(row) + 100
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def main() -> None:
    be_quiet(unasked=True)
    tell_no_data()
    limit(int(sys.argv[1]), _OPEN_FILES)
    logging.disable(logging.CRITICAL)  # What pypdf thinks of a file is in the answer.
    warnings.simplefilter("ignore")
    reader = Reader()
    while (command := frames.read(sys.stdin.buffer)) is not None:
        reader.send(reader.answer(command))


if __name__ == "__main__":
    main()
