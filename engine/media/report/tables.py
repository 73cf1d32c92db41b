"""What a report counts from: temporary tables, made in a few looks at each row of the catalogue.

A row of ``file`` is a name. Its weight is its size, and 0 for all names of an inode but one, as
``library.bytes`` counts: so the weights of any division of the rows sum up to that number.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection

from engine.media.duplicates.snapshot import GROUPS

_DAY_NS = 86_400 * 10**9

_MADE = """
CREATE TEMP TABLE shown (library INTEGER PRIMARY KEY);
CREATE TEMP TABLE light (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE back (file INTEGER PRIMARY KEY, at INTEGER);
CREATE TEMP TABLE times (library, modified, first_seen, month, state, files, bytes,
    PRIMARY KEY (library, modified, first_seen, month, state)) WITHOUT ROWID;
CREATE TEMP TABLE contents (kind, type, camera, files, bytes,
    PRIMARY KEY (kind, type, camera)) WITHOUT ROWID;
CREATE TEMP TABLE origins (kind, host, files, bytes, PRIMARY KEY (kind, host)) WITHOUT ROWID;
CREATE TEMP TABLE stays (library, came, left, files, bytes,
    PRIMARY KEY (library, came, left)) WITHOUT ROWID;
"""

# The names of an inode but the heaviest, the first of those that are alike.
_LIGHT = """
INSERT INTO light SELECT id FROM (
    SELECT file.id, row_number() OVER (
        PARTITION BY file.library, file.dev, file.ino ORDER BY file.size DESC, file.id) AS place
    FROM (SELECT library, dev, ino FROM file INDEXED BY file_by_inode
        GROUP BY library, dev, ino HAVING count(*) > 1)
    JOIN file INDEXED BY file_by_inode USING (library, dev, ino))
WHERE place > 1
"""
_BACK = """
INSERT INTO back SELECT file, max(at) FROM history WHERE what = 'returned' GROUP BY file
"""

# Every name once, in the order in which they lie on the disk, as their traits and sources do.
_FILES = """file NOT INDEXED CROSS JOIN shown ON shown.library = file.library
LEFT JOIN light ON light.id = file.id"""
_WEIGHT = "iif(light.id IS NULL, file.size, 0)"
# Each is added to its group as it is met: sorting a million of them takes four times as long.
# 0 and '' stand for what is not known, since a key is never NULL.
_ADD = "WHERE true ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes"


def _month(moment: str) -> str:
    """The month of a time in nanoseconds, such as 2026-11; '' where it is before 1970."""
    return f"iif({moment} > 0, strftime('%Y-%m', {moment} / 1000000000, 'unixepoch'), '')"


def _year(moment: str) -> str:
    seconds = f"{moment} / 1000000000 - ({moment} % 1000000000 < 0)"
    return f"CAST(strftime('%Y', {seconds}, 'unixepoch') AS INTEGER)"


_TIMES = f"""
INSERT INTO times SELECT file.library,
    iif(file.mtime_ns > :soon, 0, {_year("file.mtime_ns")}),
    iif(file.first_seen_at BETWEEN 1 AND :soon, {_year("file.first_seen_at")}, 0),
    {_month("min(:now, coalesce(back.at, file.first_seen_at))")},
    CASE
        WHEN file.damage <> '' THEN file.damage
        WHEN file.blake3 IS NULL THEN 'pending'
        WHEN file.checked_at IS NULL OR file.checked_at > :now THEN 'unchecked'
        WHEN file.checked_at > :now - 30 * :day THEN 'month'
        WHEN file.checked_at > :now - 91 * :day THEN 'quarter'
        WHEN file.checked_at > :now - 365 * :day THEN 'year'
        ELSE 'older'
    END, 1, {_WEIGHT}
FROM {_FILES} LEFT JOIN back ON back.file = file.id {_ADD}
"""  # noqa: S608
_CONTENTS = f"""
INSERT INTO contents SELECT coalesce(trait.kind, ''), coalesce(trait.type, ''),
    coalesce(trait.camera, ''), 1, {_WEIGHT}
FROM {_FILES} LEFT JOIN trait ON trait.file = file.id
    AND trait.size = file.size AND trait.mtime_ns = file.mtime_ns {_ADD}
"""  # noqa: S608
# The server of an address, without a name and a password before it.
_ORIGINS = f"""
INSERT INTO origins
SELECT kind, lower(substr(server, instr(server, '@') + 1, 100)), 1, weight FROM (
    SELECT kind, iif(start > 3, substr(rest, 1, instr(rest || '/', '/') - 1), '') AS server, weight
    FROM (SELECT kind, start, substr(address, start) AS rest, weight
        FROM (SELECT kind, address, instr(address, '://') + 3 AS start, weight
            FROM (SELECT coalesce(source.kind, '') AS kind,
                    coalesce(nullif(source.origin, ''), source.referrer, '') AS address,
                    {_WEIGHT} AS weight
                FROM {_FILES} LEFT JOIN source ON source.id = (
                    SELECT id FROM source AS best WHERE best.file = file.id
                    ORDER BY confidence DESC, id LIMIT 1))))) {_ADD}
"""  # noqa: S608
# What left: from when it came, or came back, to when it was gone.
_CAME = """min(:now, gone.at, coalesce((
    SELECT max(at) FROM history AS earlier WHERE earlier.file = gone.file
        AND earlier.what = 'returned' AND earlier.id < gone.id),
    nullif(gone.first_seen_at, 0), gone.at))"""
_STAYS = f"""
INSERT INTO stays SELECT gone.library, {_month(_CAME)}, {_month("min(:now, gone.at)")}, 1, gone.size
FROM history AS gone CROSS JOIN shown ON shown.library = gone.library
WHERE gone.what = 'gone'
ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes
"""  # noqa: S608


def prepare(db: sqlite3.Connection, libraries: Collection[int]) -> int:
    """Makes the tables, of these libraries; returns the moment that they tell of, in ns."""
    for statement in _MADE.split(";"):  # A script would end the transaction.
        db.execute(statement)
    db.executemany("INSERT INTO shown VALUES (?)", ((library,) for library in libraries))
    db.execute("SELECT count(*) FROM library").fetchone()  # From here on, nothing moves.
    now = time.time_ns()
    # A camera's clock, or a server's, may be a little ahead.
    moments = {"now": now, "soon": now + _DAY_NS, "day": _DAY_NS}
    db.execute(_LIGHT)
    db.execute(_BACK)
    db.execute(_TIMES, moments)
    db.execute(_CONTENTS)
    db.execute(_ORIGINS)
    db.execute(GROUPS.format(asked=",".join(map(str, libraries)) or "0"))
    db.execute(_STAYS, moments)
    return now
