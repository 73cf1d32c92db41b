"""Blocks of the catalogue, packed out of its rows. Blocking."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import get_args

from engine.contract.sources import SourceKind
from engine.media.listing.aside import Reading

BITS = 10
"""Of an id are its place in a block; the migration's triggers know it, too."""
COLUMNS = (
    "folder", "folders", "id", "library", "look", "state", "sources", "size", "mtime_ns",
    "taken_at", "first_seen_at",
)  # fmt: skip
NAMES = ("names", "folded_folders", "folded_names")
STATES = ("pending", "sound", "damaged", "unreadable")
DATED = 4
"""Set in `state` where `taken_at` is known."""
SOURCES = {kind: 1 << place for place, kind in enumerate(get_args(SourceKind))}

Block = dict[str, bytes]
"""What stands in each column of the two tables."""
Look = tuple[str, str, str]
"""A kind, a type and a camera; '' is none."""

ARRAYS = {
    "id": "H", "library": "i", "look": "i", "state": "B", "sources": "H", "size": "q",
    "mtime_ns": "q", "taken_at": "q", "first_seen_at": "q", "folder": "H",
}  # fmt: skip
"""What each is an array of, as `array` and NumPy call it; every machine that this runs on has the
least byte first."""

_SIZES = "SELECT block, length(id) FROM file_block WHERE id IS NOT NULL ORDER BY block"
_LAST = f"SELECT coalesce(max(id), -1) >> {BITS} FROM file"  # noqa: S608
_ROWS = """
SELECT id, library, coalesce(kind, ''), coalesce(type, ''), coalesce(camera, ''),
    CASE damage WHEN '' THEN blake3 IS NOT NULL WHEN 'rotten' THEN 2 ELSE 3 END,
    size, mtime_ns, taken_at, first_seen_at, path, folded
FROM file WHERE id BETWEEN ? AND ? ORDER BY id
"""
_SOURCES = "SELECT file, kind FROM source INDEXED BY source_by_file WHERE file BETWEEN ? AND ?"


def there(reading: Reading) -> tuple[list[int], list[int]]:
    """The blocks that hold files, and those that there are none of, by number; the last one is
    among these, as it is not complete."""
    made = dict(reading.all(_SIZES))
    [(last,)] = reading.all(_LAST)
    missing = [block for block in range(last + 1) if block not in made]
    return [block for block, size in made.items() if size], missing


def looks_of(reading: Reading) -> dict[Look, int]:
    """The number of each look that a block has met."""
    found = reading.all("SELECT id, kind, type, camera FROM look")
    return {(kind, type_, camera): id_ for id_, kind, type_, camera in found}


def pack(reading: Reading, block: int, looks: dict[Look, int]) -> Block:
    """What a block holds, out of its rows. What ``looks`` does not know is added there."""
    ends = (block << BITS, ((block + 1) << BITS) - 1)
    rows = reading.all(_ROWS, ends)
    if not rows:
        return dict.fromkeys((*COLUMNS, *NAMES), b"")
    columns = tuple(zip(*rows, strict=True))
    ids, libraries, kinds, types, cameras, states, sizes, changed, taken, seen, paths, texts = (
        columns
    )
    told = zip(kinds, types, cameras, strict=True)
    sources = dict.fromkeys(ids, 0)
    for file, kind in reading.all(_SOURCES, ends):
        sources[file] |= SOURCES.get(kind, 0)
    values = {
        "id": [id_ - ends[0] for id_ in ids],
        "library": libraries,
        "look": [looks.setdefault(look, len(looks) + 1) for look in told],
        "state": [s | (DATED * (t is not None)) for s, t in zip(states, taken, strict=True)],
        "sources": [*sources.values()],
        "size": sizes,
        "mtime_ns": changed,
        "taken_at": [0 if at is None else at for at in taken],
        "first_seen_at": seen,
    }
    made = {name: array(ARRAYS[name], values[name]).tobytes() for name in values}
    return made | _pack_paths(paths, texts)


def _pack_paths(paths: Sequence[bytes], texts: Sequence[str]) -> Block:
    parts = [path.rpartition(b"/") for path in paths]
    places: dict[bytes, int] = {}
    folder = [places.setdefault(above, len(places)) for above, _slash, _name in parts]
    folded_folders, folded_names = b"", b""
    folded = [text.encode() for text in texts]
    if any(path.lower() != text for path, text in zip(paths, folded, strict=True)):
        pairs = [text.rpartition(b"/") for text in folded]
        by_place = dict(zip(folder, (above for above, _slash, _name in pairs), strict=True))
        folded_folders = b"\0".join(by_place[place] for place in range(len(places)))
        folded_names = b"\0".join(name for _above, _slash, name in pairs)
    return {
        "folder": array(ARRAYS["folder"], folder).tobytes(),
        "folders": b"\0".join(places),
        "names": b"\0".join(name for _above, _slash, name in parts),
        "folded_folders": folded_folders,
        "folded_names": folded_names,
    }
