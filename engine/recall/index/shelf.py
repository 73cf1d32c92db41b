"""The derived database: the words of every memory, ready to be found, and its vector.

One file, ``recall.db``, in the folder of the index. It is never truth: where it is not what this
version wrote, or is damaged, it is thrown away and made again. A memory stands in the space of its
namespace; a pinned one stands in space 0 too, which everybody sees. Its key is its space in the
upper 31 bits and its own number in the lower 32: so what is found in a range of keys is, by the
key alone, of that space.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from engine.recall.index.harm import is_in_the_way
from engine.recall.index.harm import told as told_of

VERSION = 5
SHARED = 0
"""The space that everybody sees."""

_STEP, _BOUND = 64, 2_048
"""So many values are bound: a multiple of the first, up to the second."""

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- `at`: seconds since 1970. `stems`: its tokens in order; `words` counts them.
CREATE TABLE entry (
    key INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL,
    words INTEGER NOT NULL,
    asks INTEGER NOT NULL,
    speaker TEXT NOT NULL,
    source TEXT NOT NULL,
    stems TEXT NOT NULL
) STRICT;
CREATE INDEX entry_by_time ON entry (space, kind, at);
CREATE INDEX entry_by_speaker ON entry (space, speaker) WHERE speaker != '';

CREATE VIRTUAL TABLE lexicon USING fts5 (
    stems, content = '', detail = none, columnsize = 0, tokenize = 'ascii'
);

CREATE TABLE space (
    id INTEGER PRIMARY KEY, entries INTEGER NOT NULL, words INTEGER NOT NULL
) STRICT;

-- Where a memory stands besides its place in the tables above. `digest`: says what it says;
-- `slot`: gives it a value.
CREATE TABLE place (
    memory INTEGER PRIMARY KEY, space INTEGER NOT NULL, pinned INTEGER NOT NULL, at REAL NOT NULL,
    digest BLOB, slot TEXT
) STRICT;
CREATE INDEX place_by_digest ON place (space, digest) WHERE digest IS NOT NULL;
CREATE INDEX place_by_slot ON place (space, slot) WHERE slot IS NOT NULL;

-- The parts of each space: how many are alive in it, and the change that touched it last. A part
-- whose file, or whose signs, say the same is as it should be.
CREATE TABLE part (
    space INTEGER NOT NULL, number INTEGER NOT NULL, alive INTEGER NOT NULL,
    change INTEGER NOT NULL, PRIMARY KEY (space, number)
) STRICT, WITHOUT ROWID;
-- A newer memory that should take the place of an older one; gone once the truth says so.
CREATE TABLE verdict (
    older INTEGER PRIMARY KEY, newer INTEGER NOT NULL, how TEXT NOT NULL
) STRICT;
"""

VECTORS = (
    # 16-bit floats of unit length; those who wait for theirs, newest first.
    "CREATE TABLE vector (memory INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT",
    "CREATE TABLE unembedded (memory INTEGER PRIMARY KEY) STRICT",
    # Which part of the vector index has it, and since which change.
    (
        "CREATE TABLE placed (key INTEGER PRIMARY KEY, part INTEGER NOT NULL,"
        " change INTEGER NOT NULL) STRICT"
    ),
    "CREATE INDEX placed_by_part{0} ON placed (part)",
    (
        "CREATE TABLE signs (space INTEGER NOT NULL, number INTEGER NOT NULL,"
        " change INTEGER NOT NULL, ids BLOB NOT NULL, bits BLOB NOT NULL,"
        " PRIMARY KEY (space, number)) STRICT"
    ),
)
"""What another model makes anew, beside what is put aside (``changing``)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A memory as the index keeps it."""

    key: int
    kind: str
    at: float
    asks: bool
    speaker: str
    source: str
    stems: tuple[str, ...]


def key_of(space: int, memory: int) -> int:
    return space << 32 | memory


def memory_of(key: int) -> int:
    return key & 0xFFFF_FFFF


def span(space: int) -> tuple[int, int]:
    """The lowest and the highest key of a space."""
    return space << 32, (space << 32) | 0xFFFF_FFFF


def among(numbers: Sequence[int]) -> tuple[str, Sequence[int]]:
    """For ``IN (…)``: what stands there, and its values.

    Some lengths only, so that SQLite knows nearly every such statement already: to take it apart
    would be half of what it costs.
    """
    if not 0 < len(numbers) <= _BOUND:
        return ",".join(map(str, numbers)), ()
    values = [*numbers, *repeat(numbers[-1], -len(numbers) % _STEP)]
    return ",".join("?" * len(values)), values


class Shelf:
    """``truth`` tells one database of the engine from another: an index of another is no use.

    Opening it raises OSError or sqlite3.Error where something is in the way."""

    def __init__(self, folder: Path, truth: str) -> None:
        self.folder = folder
        self.path = folder / "recall.db"
        self._truth = truth
        self.damage = ""
        """Why what was there was thrown away when it was opened; "" where it was not damaged."""
        self.added: list[int] = []
        self.taken: list[int] = []
        """Keys that came and went since whoever holds keys in memory looked last."""
        self.db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            why = "a folder belongs here, and this is none"
            raise NotADirectoryError(errno.ENOTDIR, why, str(self.folder)) from error
        db = None
        try:
            db = self._connect()
            self._set_up(db)
            if self._is_ours(db):
                return db
        except sqlite3.Error as error:
            if is_in_the_way(error) and not self.path.is_dir():
                raise
            self.damage = told_of(error, self.path)
        if db is not None:
            db.close()
        return self._anew()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=10)

    @staticmethod
    def _set_up(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA cache_size = -65536")
        db.execute("PRAGMA mmap_size = 2147418112")

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            return False
        if self.told(db, "truth") != self._truth:
            return False
        # What only a whole check would find is found when it is read: then it is made anew.
        return bool(db.execute("SELECT count(*) FROM space").fetchone())

    def _anew(self) -> sqlite3.Connection:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        db = self._connect()
        self._set_up(db)
        db.executescript(_SCHEMA)
        for statement in VECTORS:
            db.execute(statement.format(""))
        db.execute("INSERT INTO meta VALUES ('truth', ?)", (self._truth,))
        db.execute(f"PRAGMA user_version = {VERSION}")
        return db

    def clear(self) -> None:
        """Throws everything away."""
        self.db.close()
        self.db = self._anew()

    def close(self) -> None:
        self.db.close()

    # --- what it remembers of itself ------------------------------------------------------------

    @staticmethod
    def told(db: sqlite3.Connection, name: str) -> str | None:
        found = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def get(self, name: str) -> str | None:
        return self.told(self.db, name)

    def put(self, name: str, value: object) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, str(value)))

    @property
    def rev(self) -> int:
        """How far it has followed the truth."""
        return int(self.get("rev") or 0)

    def count(self, table: str) -> int:
        return int(self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608

    # --- entries --------------------------------------------------------------------------------

    def place(self, memory: int) -> tuple[int, bool] | None:
        """The space of a memory, and whether it stands in the shared one too."""
        found = self.db.execute(
            "SELECT space, pinned FROM place WHERE memory = ?", (memory,)
        ).fetchone()
        return None if found is None else (found[0], bool(found[1]))

    def put_entries(self, entries: Sequence[Entry]) -> None:
        """New ones; what stood under the same keys was taken out before."""
        self.added += [entry.key for entry in entries]
        self.db.executemany(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    e.key,
                    e.key >> 32,
                    e.kind,
                    e.at,
                    len(e.stems),
                    e.asks,
                    e.speaker,
                    e.source,
                    " ".join(e.stems),
                )
                for e in entries
            ],
        )
        self.db.executemany(
            "INSERT INTO lexicon (rowid, stems) VALUES (?, ?)",
            [(e.key, " ".join(e.stems)) for e in entries],
        )
        sums: dict[int, list[int]] = {}
        for entry in entries:
            total = sums.setdefault(entry.key >> 32, [0, 0])
            total[0] += 1
            total[1] += len(entry.stems)
        self._add_up(sums)

    def take_entries(self, keys: Iterable[int]) -> None:
        sums: dict[int, list[int]] = {}
        for key in keys:
            row = self.db.execute("SELECT stems, words FROM entry WHERE key = ?", (key,)).fetchone()
            if row is None:
                continue
            self.db.execute(
                "INSERT INTO lexicon (lexicon, rowid, stems) VALUES ('delete', ?, ?)", (key, row[0])
            )
            self.db.execute("DELETE FROM entry WHERE key = ?", (key,))
            self.taken.append(key)
            total = sums.setdefault(key >> 32, [0, 0])
            total[0] -= 1
            total[1] -= row[1]
        self._add_up(sums)

    def _add_up(self, sums: dict[int, list[int]]) -> None:
        self.db.executemany(
            "INSERT INTO space VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE"
            " SET entries = entries + ?2, words = words + ?3",
            [(space, *total) for space, total in sums.items()],
        )

    def entries(self, keys: Sequence[int]) -> list[tuple[Any, ...]]:
        """(key, at, words, asks, speaker, source, stems, kind) of those that are there, by key."""
        marks, values = among(keys)
        return self.db.execute(
            "SELECT key, at, words, asks, speaker, source, stems, kind FROM entry"  # noqa: S608 - numbers
            f" WHERE key IN ({marks}) ORDER BY key",
            values,
        ).fetchall()
