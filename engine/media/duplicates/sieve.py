"""Which of many files hold the same bytes: by size, then a few parts, then BLAKE3 of the whole.

So only what may be a duplicate is read, and read whole only where its parts say so. A file that is
written, or goes, meanwhile is left out and counted. Standard library and blake3 only.
"""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from engine.media.digest import ChangedError, Tasks, digest
from engine.media.duplicates.reader import CHANGED, OK, Reader, open_quietly
from engine.media.link import Link
from engine.media.walk import GONE, Identity
from engine.worker.frames import to_text

_AT_ONCE = 16 * 1024
"""Up to this size (bytes) a file is read whole at the first touch: parts would not be less."""
_PART = 4096
_CHUNK = 256
_WIDTH = len(Identity._fields)

Same = list[int]
"""Numbers of files with the same bytes, as far as is known; one for each inode."""


class Left(NamedTuple):
    """What could not be compared."""

    changed: int
    unreadable: int


class Sieve:
    """Files get numbers as they are added. ``known`` tells a BLAKE3 that need not be made; ``told``
    hears of each that was, with the ``more`` hashes of hashlib.

    ``reader``: another process that reads small files as soon as there are two of a size. A
    million files take about 300 MB. Names of one inode are one file; the first stands for it.
    """

    def __init__(
        self,
        link: Link,
        threads: int,
        *,
        known: Callable[[int], bytes | None] = lambda _number: None,
        told: Callable[[int, list[str]], None] | None = None,
        more: Sequence[str] = (),
        reader: Reader | None = None,
    ) -> None:
        self._link, self._threads = link, threads
        self._known, self._told, self._more = known, told, more
        self._reader, self._asked = reader, array("q")
        self._read_here: dict[int, bytes] = {}
        self._roots: list[int] = []
        self._starts: list[int] = []
        self._paths: list[bytes] = []
        self._numbers = array("q")
        self._by_size: dict[int, int | list[int]] = {}
        self.names: dict[int, list[int]] = {}
        self.sparse: dict[int, int] = {}
        """Bytes on the disk, of files that take less than their size."""
        self.empty = self._changed = self._unreadable = 0
        self._lock = threading.Lock()
        self.read_bytes = 0

    def root(self, fd: int) -> None:
        """What is added from now on lies below this open folder."""
        self._roots.append(fd)
        self._starts.append(len(self._paths))

    def add(self, path: bytes, identity: Sequence[int]) -> None:
        self.add_all([path], array("q", identity))

    def add_all(self, paths: Sequence[bytes], numbers: array[int]) -> None:
        """``numbers``: those of the files' identities, one after the other."""
        sizes = numbers[2::_WIDTH]
        if 0 in sizes:
            self._add_full(paths, numbers, sizes)
            return
        first = len(self._paths)
        self._paths += paths
        self._numbers += numbers
        reader, root, by_size = self._reader, self._roots[-1], self._by_size
        if reader is not None:
            self._asked += array("q", [-1]) * len(paths)
        for number, size in enumerate(sizes, first):
            same = by_size.setdefault(size, number)
            if same == number:
                continue
            small = size <= _AT_ONCE
            if isinstance(same, list):
                same.append(number)
            else:
                by_size[size] = [same, number]
                if reader is not None and small and self._links(same) == 1:
                    self._ask(reader, self._roots[self.place(same)], same)
            # What has more names than one is read once, later.
            if reader is not None and small and self._links(number) == 1:
                self._ask(reader, root, number)

    def _add_full(self, paths: Sequence[bytes], numbers: array[int], sizes: array[int]) -> None:
        """Those that are not empty."""
        full = [at for at, size in enumerate(sizes) if size]
        self.empty += len(paths) - len(full)
        kept = array("q")
        for at in full:
            kept += numbers[at * _WIDTH : (at + 1) * _WIDTH]
        self.add_all([paths[at] for at in full], kept)

    def _links(self, number: int) -> int:
        return self._numbers[number * _WIDTH + 5]

    def _ask(self, reader: Reader, root: int, number: int) -> bool:
        """Whether the other process reads it."""
        if reader.busy:
            return False
        at = number * _WIDTH
        identity = self._numbers[at : at + _WIDTH]
        self._asked[number] = reader.ask(root, self._paths[number], identity)
        return True

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def left(self) -> Left:
        return Left(self._changed, self._unreadable)

    def place(self, number: int) -> int:
        """Which root a file lies below, from 0."""
        return bisect_right(self._starts, number) - 1

    def path(self, number: int) -> bytes:
        """Relative to its root."""
        return self._paths[number]

    def identity(self, number: int) -> Identity:
        return Identity(*self._numbers[number * _WIDTH : (number + 1) * _WIDTH])

    # --- sifting --------------------------------------------------------------------------------

    def alike(self) -> list[Same]:
        """Files of one size, each inode once, when all were added."""
        found = [self._inodes(same) for same in self._by_size.values() if isinstance(same, list)]
        self._by_size = {}
        return [same for same in found if len(same) > 1]

    def _inodes(self, numbers: list[int]) -> Same:
        seen: dict[tuple[int, int], int] = {}
        values = self._numbers
        for number in numbers:
            at = number * _WIDTH
            first = seen.setdefault((values[at], values[at + 1]), number)
            if first != number:
                self.names.setdefault(first, []).append(number)
        return list(seen.values())

    def sift(self, alike: list[Same]) -> Iterator[tuple[bytes, Same]]:
        """Of files of one size those with the same bytes, with their BLAKE3."""
        small = [same for same in alike if self._size(same) <= _AT_ONCE]
        for same in small if self._reader is None else self._shared(self._reader, small):
            yield from self._small(same)
        large: list[Same] = []
        for same in alike:
            if self._size(same) > _AT_ONCE:
                large.extend(self._by_parts(same))
        yield from self._whole(large)

    def _size(self, same: Same) -> int:
        return self._numbers[same[0] * _WIDTH + 2]

    def _shared(self, reader: Reader, small: list[Same]) -> Iterator[Same]:
        """The same, as they are read: reads what the other process was not asked for; as that gets
        on, it takes some of it."""
        reader.flush()
        left = deque(number for same in small for number in same if self._asked[number] < 0)
        later: list[Same] = []
        for same in small:
            for number in same:
                if self._asked[number] < 0:
                    left.popleft()
                    self._read_here[number] = self._read(number, self._size(same))
                    self._link.advance()
                    self._hand_over(reader, left)
            self._hand_over(reader, left)
            if max(self._asked[number] for number in same) < reader.answered:
                yield same
            else:
                later.append(same)
        reader.finish()
        yield from later

    def _hand_over(self, reader: Reader, left: deque[int]) -> None:
        while left and self._ask(reader, self._roots[self.place(left[-1])], left[-1]):
            left.pop()

    def _small(self, same: Same) -> Iterator[tuple[bytes, Same]]:
        found: dict[bytes, Same] = {}
        size = self._size(same)
        for number in same:
            value = self._known(number)
            if value is None:
                value = self._read_here.pop(number, None)
            if value is None:
                value = self._answered(number, size)
            if value is None:
                value = self._read(number, size)
            if value:
                found.setdefault(value, []).append(number)
        self._link.advance(len(same), size * len(same))
        yield from ((value, numbers) for value, numbers in found.items() if len(numbers) > 1)

    def _answered(self, number: int, size: int) -> bytes | None:
        """What the other process says of it: its BLAKE3, b"" where it could not be read."""
        if self._reader is None or self._asked[number] < 0:
            return None
        answer = self._reader.answer(self._asked[number])
        if answer is None:
            return None
        how, taken, value = answer
        if how != OK:
            self._count(changed=how == CHANGED)
            return b""
        self.read_bytes += size
        if taken < size:
            self.sparse[number] = taken
        return value

    def _read(self, number: int, size: int) -> bytes:
        try:
            fd = self._open(number)
            try:
                data = os.read(fd, size + 1)
                self._expect(fd, number)
            finally:
                os.close(fd)
        except (OSError, ChangedError) as error:
            self._leave(error)
            return b""
        self.read_bytes += size
        value = blake3(data)
        if self._told is not None:
            self._told(number, [value.hexdigest(), *self._others(data)])
        return value.digest()

    def _others(self, data: bytes) -> list[str]:
        if not self._more:
            return []
        import hashlib

        return [hashlib.new(kind, data, usedforsecurity=False).hexdigest() for kind in self._more]

    def _by_parts(self, same: Same) -> list[Same]:
        """Split by what stands at the beginning, in the middle and at the end."""
        size = self._size(same)
        found: dict[bytes, Same] = {}
        for number in same:
            self._link.where = to_text(self._paths[number])
            try:
                fd = self._open(number)
                try:
                    places = (0, size // 2, size - _PART)
                    key = b"".join(os.pread(fd, _PART, place) for place in places)
                    self._expect(fd, number)
                finally:
                    os.close(fd)
            except (OSError, ChangedError) as error:
                self._leave(error)
                continue
            self.read_bytes += len(key)
            self._link.advance(0, len(key))
            found.setdefault(key if len(same) < _CHUNK else blake3(key).digest(), []).append(number)
        return [numbers for numbers in found.values() if len(numbers) > 1]

    def _whole(self, large: list[Same]) -> Iterator[tuple[bytes, Same]]:
        values: dict[int, bytes] = {}
        tasks = Tasks(self._threads, 64)
        for same in large:
            for number in same:
                known = self._known(number)
                if known is not None:
                    values[number] = known
                else:
                    tasks.offer(self._work(number, values), wait=True)
        tasks.finish()
        for same in large:
            found: dict[bytes, Same] = {}
            for number in same:
                if number in values:
                    found.setdefault(values[number], []).append(number)
            yield from ((value, numbers) for value, numbers in found.items() if len(numbers) > 1)

    def _work(self, number: int, values: dict[int, bytes]) -> Callable[[], None]:
        def work() -> None:
            identity, path = self.identity(number), self._paths[number]
            self._link.where = to_text(path)
            try:
                fd = self._roots[self.place(number)]
                hashes = digest(fd, path, identity, self._link, self._more)
            except (OSError, ChangedError) as error:
                self._leave(error)
                return
            values[number] = bytes.fromhex(hashes[0])
            self._link.advance(1)
            with self._lock:
                self.read_bytes += identity.size
            if self._told is not None:
                self._told(number, hashes)

        return work

    # --- files ----------------------------------------------------------------------------------

    def _open(self, number: int) -> int:
        return open_quietly(self._paths[number], self._roots[self.place(number)])

    def _expect(self, fd: int, number: int) -> None:
        """Raises ChangedError where it is not, after the reading, what was met before."""
        status = os.fstat(fd)
        at = number * _WIDTH
        if Identity.of(status)[:5] != tuple(self._numbers[at : at + 5]):
            raise ChangedError
        if status.st_blocks * 512 < status.st_size:
            self.sparse[number] = status.st_blocks * 512

    def _leave(self, error: OSError | ChangedError) -> None:
        self._count(changed=isinstance(error, ChangedError) or error.errno in GONE)

    def _count(self, *, changed: bool) -> None:
        with self._lock:
            if changed:
                self._changed += 1
            else:
                self._unreadable += 1
