"""As much of CBOR (RFC 8949) as a C2PA claim is written in, bounded. Standard library only."""

from __future__ import annotations

from typing import Any

_DEPTH, _ITEMS = 16, 5000
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


def loads(data: bytes) -> Any:
    """The first item. Raises ValueError or IndexError where it is broken, too deep or too large."""
    return _Reader(data).item(0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._left = data, 0, _ITEMS

    def item(self, depth: int) -> Any:
        self._left -= 1
        if depth > _DEPTH or self._left < 0:
            raise ValueError("too much")
        first = self._data[self._at]
        self._at += 1
        major, short = first >> 5, first & 31
        if major == 7:
            self._at += {24: 1, 25: 2, 26: 4, 27: 8}.get(short, 0)
            return _SIMPLE.get(short)
        count = None if short == 31 else self._count(short)
        match major:
            case 0:
                return count
            case 1:
                return None if count is None else -1 - count
            case 2 | 3:
                return self._bytes(count, depth, is_text=major == 3)
            case 4:
                return [self.item(depth + 1) for _ in self._until(count)]
            case 5:
                return {
                    self._name(self.item(depth + 1)): self.item(depth + 1)
                    for _ in self._until(count)
                }
        return self.item(depth + 1)  # A tag: what it is put on.

    def _count(self, short: int) -> int:
        if short < 24:
            return short
        size = 1 << (short - 24)
        if size > 8:
            raise ValueError("not CBOR")
        found = self._take(size)
        return int.from_bytes(found, "big")

    def _take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise ValueError("it ends too early")
        self._at += size
        return found

    def _bytes(self, count: int | None, depth: int, *, is_text: bool) -> Any:
        if count is None:
            parts = [self.item(depth + 1) for _ in self._until(None)]
            if not all(isinstance(part, str if is_text else bytes) for part in parts):
                raise ValueError("not CBOR")
            return ("" if is_text else b"").join(parts)
        found = self._take(count)
        return found.decode("utf-8", "replace") if is_text else found

    def _until(self, count: int | None) -> Any:
        """So often; without a count until the mark of the end."""
        while count is None or count > 0:
            if count is None and self._data[self._at] == 0xFF:
                self._at += 1
                return
            count = None if count is None else count - 1
            yield None

    @staticmethod
    def _name(key: Any) -> Any:
        return key if isinstance(key, (str, int, bytes)) else repr(key)
