"""A file on its way: what came is kept beside its place until all of it is right.

Blocking; each method runs in a thread. ``stopped`` ends what takes long.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO, Any

from engine.contract.base import visible
from engine.contract.errors import Failed

_BLOCK = 1 << 20
_MOST_NOTE = 4_096


class Part:
    """``target`` is where the file goes; ``.part`` holds what came, ``.part.json`` of which file.

    What was kept counts only for the same revision, size and digest; it is read again, so that
    the digest is of what lies on the disk.
    """

    def __init__(self, target: Path, *, revision: str, size: int, digest: str) -> None:
        self._target = target
        self._path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._of = {"revision": revision, "size": size, "digest": digest}
        self.size = size
        self.digest = digest
        self.etag = ""
        self.had = 0
        self.stopped = Event()
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()

    @property
    def name(self) -> str:
        return visible(self._target.name)

    def is_there(self) -> bool:
        """Whether the whole file is in its place already, and right."""
        try:
            if self._target.stat().st_size != self.size:
                return False
        except FileNotFoundError:
            return False
        with self._target.open("rb") as file:
            return not self.digest or self._read(file).hexdigest() == self.digest

    def kept(self) -> int:
        """Bytes of it that lie on the disk; nothing is read or changed."""
        for path in (self._target, self._path):
            with suppress(OSError):
                return min(path.stat().st_size, self.size)
        return 0

    def open(self) -> None:
        """Takes up what an earlier try left; ``had`` says how much that is."""
        self._target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = self._noted()
        fits = note is not None and {key: note.get(key) for key in self._of} == self._of
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", 0)
        if not fits or os.fstat(self._file.fileno()).st_size > self.size:
            self.anew("")
            return
        etag = note.get("etag") if note else ""
        self.etag = etag if isinstance(etag, str) and etag.isascii() else ""
        self._hash = self._read(self._file)
        self.had = self._file.tell()

    def anew(self, etag: str) -> None:
        """Forgets what came so far. ``etag`` is of the file that comes now."""
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self.had, self.etag, self._hash = 0, etag, hashlib.sha256()
        self._note.write_text(json.dumps(self._of | {"etag": etag}), "utf-8")

    def append(self, data: bytes | bytearray) -> None:
        """Raises Failed where the disk takes no more, or more came than was told."""
        assert self._file is not None
        if self.had + len(data) > self.size:
            raise Failed(
                f"{self.name}: the hub sends more than the {self.size:,} bytes that it told of.",
                "Nothing of it is used. Try again later.",
            )
        left = memoryview(data)
        while left:
            try:
                written = self._file.write(left)
            except OSError as error:
                raise self.full(error) from error
            self._hash.update(left[:written])
            self.had += written
            left = left[written:]

    def full(self, error: OSError) -> Failed:
        """What a person is told when the disk does not take it."""
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            return Failed(f"{self.name} cannot be written: {error.strerror or error}.")
        return Failed(
            f"The disk is full: {self.had:,} of {self.size:,} bytes of {self.name} are there.",
            "Make room and start the download again: it carries on from there.",
        )

    def finish(self) -> bool:
        """Puts the file into its place, if it is right. False, and nothing is kept, if not."""
        assert self._file is not None
        if self.digest and self._hash.hexdigest() != self.digest:
            self.anew("")
            return False
        try:
            os.fsync(self._file.fileno())
            self.close()
            self._path.replace(self._target)
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self.full(error) from error
        self._note.unlink(missing_ok=True)
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _noted(self) -> dict[str, Any] | None:
        try:
            with self._note.open("rb") as file:
                found = json.loads(file.read(_MOST_NOTE))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _read(self, file: IO[bytes]) -> hashlib._Hash:
        """The hash of all of it. Ends early, with a wrong one, when stopped."""
        found = hashlib.sha256()
        while not self.stopped.is_set() and (block := file.read(_BLOCK)):
            found.update(block)
        return found
