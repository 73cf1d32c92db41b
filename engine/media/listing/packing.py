"""Blocks of the catalogue, packed out of its rows. Blocking."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
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

WORTH = 20
"""Of fewer blocks the rows are looked up as soon."""
_DENSE = 128
"""So many files there are to a block at least: with fewer, rows are as quick."""
_MOST_LOOKS = 10_000
"""Cameras are what files say: of more looks than these nobody knows which one a file has."""

_FEW = 64
"""Blocks of which it is asked one by one whether there are files."""

_FILES = f"""
SELECT coalesce(sum(files), 0), (SELECT coalesce(max(id), -1) >> {BITS} FROM file) FROM library
"""  # noqa: S608
_HOLDS = f"""
SELECT 1 FROM file WHERE id BETWEEN ?1 << {BITS} AND ((?1 + 1) << {BITS}) - 1 LIMIT 1
"""  # noqa: S608
# Block by block, by a step in the table for each that holds files.
_HOLDING = f"""
WITH RECURSIVE one (block) AS (
    SELECT min(id) >> {BITS} FROM file
    UNION ALL
    SELECT (SELECT min(id) >> {BITS} FROM file WHERE id >= (one.block + 1) << {BITS})
    FROM one WHERE one.block IS NOT NULL
)
SELECT block FROM one WHERE block IS NOT NULL LIMIT ?
"""  # noqa: S608
_MADE = "SELECT block, length(folders) FROM file_block WHERE id IS NOT NULL"
# Ids are given once and rise: a block whose last one was given gets no other file.
_COMPLETE = f"SELECT coalesce(max(seq) + 1, 0) >> {BITS} FROM sqlite_sequence WHERE name = 'file'"  # noqa: S608
_ROWS = """
SELECT id, library, coalesce(kind, ''), coalesce(type, ''), coalesce(camera, ''),
    CASE damage WHEN '' THEN blake3 IS NOT NULL WHEN 'rotten' THEN 2 ELSE 3 END,
    size, mtime_ns, taken_at, first_seen_at, path, folded
FROM file WHERE id BETWEEN ? AND ? ORDER BY id
"""
_SOURCES = "SELECT file, kind FROM source INDEXED BY source_by_file WHERE file BETWEEN ? AND ?"


def some(reading: Reading) -> bool:
    """Whether there are blocks enough to be of use."""
    made = "SELECT count(*) FROM (SELECT 1 FROM file_block WHERE id IS NOT NULL LIMIT ?)"
    return bool(reading.all(made, (WORTH,))[0][0] >= WORTH)


def there(reading: Reading) -> tuple[dict[int, int], list[int]]:
    """Of each block that is made how many bytes its folders take, and the blocks of files that are
    missing. None are, and none is missing, where the files are too few, or too far from
    one another."""
    [(files, last)] = reading.all(_FILES)
    made = dict(reading.all(_MADE))
    missing = [block for block in range(last + 1) if block not in made]
    if len(missing) > _FEW:
        holding = {block for (block,) in reading.all(_HOLDING, (files // _DENSE + 1,))}
        missing = [block for block in missing if block in holding]
    else:
        missing = [block for block in missing if reading.all(_HOLDS, (block,))]
    count = len(made) + len(missing)
    return ({}, []) if count < WORTH or count * _DENSE > files else (made, missing)


def complete(reading: Reading, blocks: Sequence[int]) -> list[int]:
    """Those that get no other file."""
    [(begun,)] = reading.all(_COMPLETE)
    return [block for block in blocks if block < begun]


def looks_of(reading: Reading) -> dict[Look, int]:
    """The number of each look that a block has met. Where these are ``full``, others are 0."""
    found = reading.all("SELECT id, kind, type, camera FROM look")
    return {(kind, type_, camera): id_ for id_, kind, type_, camera in found}


def full(looks: Mapping[Look, int]) -> bool:
    return len(looks) >= _MOST_LOOKS


def pack(reading: Reading, block: int, looks: dict[Look, int]) -> Block:
    """What a block holds, out of its rows. What ``looks`` does not know is added there, unless they
    are full."""
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
        "look": [_number(looks, look) for look in told],
        "state": [s | (DATED * (t is not None)) for s, t in zip(states, taken, strict=True)],
        "sources": [*sources.values()],
        "size": sizes,
        "mtime_ns": changed,
        "taken_at": [0 if at is None else at for at in taken],
        "first_seen_at": seen,
    }
    made = {name: array(ARRAYS[name], values[name]).tobytes() for name in values}
    return made | _pack_paths(paths, texts)


def _number(looks: dict[Look, int], look: Look) -> int:
    if look not in looks:
        if full(looks):
            return 0
        looks[look] = len(looks) + 1
    return looks[look]


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
