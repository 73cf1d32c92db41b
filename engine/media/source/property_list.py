"""The texts of a binary property list: one, or an array of them. Standard library only.

Not ``plistlib``: in a list made to hurt, thousands of entries are the same long text, and each
would be made anew.
"""

from __future__ import annotations

_MOST_TEXTS = 8
_MOST_TEXT = 8192
_TRAILER = 32


def strings(data: bytes) -> list[str]:
    """At most eight texts, each at most 8 KiB; none where it is no such list."""
    if not data.startswith(b"bplist0") or len(data) < 8 + _TRAILER:
        return []
    try:
        return _Reader(data).texts()
    except (IndexError, ValueError):
        return []


class _Reader:
    """Raises IndexError and ValueError where the list is broken."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        trailer = data[-_TRAILER:]
        self._offset_size, self._ref_size = trailer[6], trailer[7]
        self._top = int.from_bytes(trailer[16:24], "big")
        self._table = int.from_bytes(trailer[24:32], "big")

    def texts(self) -> list[str]:
        kind, count, at = self._object(self._top)
        if kind != 0xA:
            return [self._text(self._top)]
        refs = [
            self._number(at + index * self._ref_size, self._ref_size)
            for index in range(min(count, _MOST_TEXTS))
        ]
        return [self._text(ref) for ref in refs]

    def _text(self, ref: int) -> str:
        kind, count, at = self._object(ref)
        if kind not in {5, 6}:
            raise ValueError
        width = kind - 4
        data = self._data[at : at + min(count, _MOST_TEXT) * width]
        return data.decode("latin-1" if kind == 5 else "utf-16-be", "replace")

    def _object(self, ref: int) -> tuple[int, int, int]:
        """Of an object: its kind, its count, and where what it holds begins."""
        at = self._number(self._table + ref * self._offset_size, self._offset_size)
        kind, count = self._data[at] >> 4, self._data[at] & 15
        at += 1
        if count == 15:
            size = 1 << (self._data[at] & 3)
            count = self._number(at + 1, size)
            at += 1 + size
        return kind, count, at

    def _number(self, at: int, size: int) -> int:
        found = self._data[at : at + size]
        if not 0 < size <= 8 or len(found) < size:
            raise ValueError
        return int.from_bytes(found, "big")
