"""The paths of a block's files, in two parts: its folders, and their names. Imports NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.media.listing.packing import ARRAYS

Array = Any
"""An array of NumPy's."""

COLUMNS = ("folder", "folders", "names", "folded_folders", "folded_names")
_BEHIND_ALL = b"\xff" * 2**16


@dataclass(frozen=True, slots=True)
class Texts:
    """As a block holds them: ``folder`` says for each row which of the folders it is in."""

    folder: bytes
    folders: bytes
    names: bytes
    folded_folders: bytes
    folded_names: bytes

    def places(self) -> Array:
        return np.frombuffer(self.folder, ARRAYS["folder"])

    def lacks(self, needle: bytes) -> bool:
        """Whether it can be seen at once that no path contains the needle."""
        folders = self.folded_folders or self.folders.lower()
        names = self.folded_names or self.names.lower()
        return b"/" not in needle and needle not in names and needle not in folders

    def hold(self, rows: Array, needle: bytes) -> Array:
        """Whether the path of each row, as it is compared, contains the needle.

        What has no slash lies in a folder's path or in a name. Else its last slash is within a
        folder's path, or it is the one before a name.
        """
        if b"\0" in needle:  # It stands between names here, and in none of them.
            return np.zeros(len(rows), bool)
        folders = self.folded_folders or self.folders.lower()
        names = self.folded_names or self.names.lower()
        above, slash, tail = needle.rpartition(b"/")
        in_names = bool(tail) and tail in names
        place = self.places()[rows]
        each = [one + b"/" if one else b"" for one in folders.split(b"\0")]
        hits = np.array([needle in one for one in each])[place]
        rest = np.flatnonzero(~hits)
        if not in_names or not len(rest):
            return hits
        if slash:
            ends = np.array([one.endswith(above + slash) for one in each])
            hits[rest] = ends[place[rest]] & _lines(names, b"\0" + tail)[rows[rest]]
        else:
            hits[rest] = _lines(names, needle)[rows[rest]]
        return hits

    def paths(self, rows: Array) -> list[bytes]:
        """As they are on the disk."""
        above = [one + b"/" if one else b"" for one in self.folders.split(b"\0")]
        names = self.names.split(b"\0")
        pairs = zip(self.places()[rows].tolist(), rows.tolist(), strict=True)
        return [above[place] + names[row] for place, row in pairs]

    def bounds(self, *, descending: bool) -> list[bytes]:
        """Of each folder: no path right in it comes before this one in the order of paths."""
        return bounds(self.folders, descending=descending)


def _lines(names: bytes, needle: bytes) -> Array:
    """Whether each name contains the needle; one with NUL before it is what names begin with. There
    is no byte of 1 in them: as they are compared, it can be seen."""
    text = b"\0" + names
    begins = np.flatnonzero(np.frombuffer(text, np.uint8) == 0)
    marked = np.frombuffer(text.replace(needle, b"\1" + needle[1:]), np.uint8)
    hits = np.zeros(len(begins), bool)
    hits[np.searchsorted(begins, np.flatnonzero(marked == 1), side="right") - 1] = True
    return hits


def bounds(folders: bytes, *, descending: bool) -> list[bytes]:
    """Of each of these: no path right in it comes before this one in the order of paths."""
    each = folders.split(b"\0")
    if descending:  # "0" is what comes behind the slash.
        return [one + b"0" if one else _BEHIND_ALL for one in each]
    return [one + b"/" if one else b"" for one in each]
