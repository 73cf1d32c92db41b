"""What happened to files, written in the transaction that changes their rows.

A change is written down before the new bytes were read ('unread', or 'touched' where size and
modification time are as before). What the reading finds settles it: the old bytes, then nothing had
changed but times; those of a file known as rotten, then it is so still, whatever its times say.

``damage`` of a row is 'rotten' or 'unreadable' where it was read before, 'unread' where it could
not be read since it is what it is: then nothing is known to be wrong with it. One that was only
touched keeps its hash then, which holds for no identity: it is still to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.contract.integrity import Damage
from engine.store import Database, Transaction

KEPT = 250_000
"""Happenings of one library that are kept; the oldest go first."""

STEP = 5_000
_ASKED = 500
_PAIRED = 5_000

Values = Sequence[tuple[Any, ...]]

# Of a batch: at, library, path, then dev, ino, size, mtime_ns, ctime_ns of what is there now.
_CHANGED = """
INSERT INTO history (at, library, file, what, path, size, blake3, note)
SELECT v1, library, id, 'changed', path, size, blake3,
    iif((dev, ino, size, mtime_ns) = (v4, v5, v6, v7), 'touched', 'unread')
FROM temp.batch CROSS JOIN file ON library = v2 AND path = v3
WHERE blake3 IS NOT NULL AND (dev, ino, size, mtime_ns, ctime_ns) <> (v4, v5, v6, v7, v8)
"""
_MOVED = """
INSERT INTO history (at, library, file, what, path, size, blake3)
SELECT v1, library, id, 'moved', path, size, blake3 FROM temp.batch CROSS JOIN file ON id = v2
WHERE library <> v3 OR path <> v4
"""
_GONE = """
INSERT INTO history (at, library, file, what, path, size, blake3, first_seen_at)
SELECT v1, library, id, 'gone', path, size, blake3, first_seen_at
FROM temp.batch CROSS JOIN file ON id = v2
WHERE library = v3 AND seen_at NOT BETWEEN v4 AND v1
"""
# The files of a batch: of library and path, or of library and identity.
BY_PATH = """FROM temp.batch CROSS JOIN file ON library = v1 AND path = v2
    WHERE blake3 IS NOT NULL"""
BY_INODE = """FROM temp.batch CROSS JOIN file INDEXED BY file_by_inode
    ON library = v1 AND dev = v2 AND ino = v3 AND size = v4 AND mtime_ns = v5 AND ctime_ns = v6
    WHERE blake3 IS NOT NULL"""
_WAITING = "note IN ('unread', 'touched')"
_AS_BEFORE = f"""
DELETE FROM history WHERE {_WAITING} AND file IN (SELECT id {{files}})
    AND blake3 = (SELECT blake3 FROM file WHERE id = history.file)
"""  # noqa: S608
_READ = f"UPDATE history SET note = '' WHERE {_WAITING} AND file IN (SELECT id {{files}})"  # noqa: S608
_BY_IDENTITY = """FROM temp.batch CROSS JOIN file INDEXED BY file_by_inode
    ON library = v2 AND dev = v3 AND ino = v4 AND size = v5 AND mtime_ns = v6 AND ctime_ns = v7
    WHERE blake3 IS NULL AND damage IN ('', 'unread')"""
# Told once for each reason.
_REFUSED = f"""
INSERT INTO history (at, library, file, what, path, size, note)
SELECT v1, library, id, 'unreadable', path, size, v8 {_BY_IDENTITY} AND (damage = '' OR v8 <> (
    SELECT note FROM history AS last WHERE last.file = file.id AND last.what = 'unreadable'
    ORDER BY last.id DESC LIMIT 1))
"""  # noqa: S608
_UNREAD = f"UPDATE file SET damage = 'unread' WHERE id IN (SELECT id {_BY_IDENTITY})"  # noqa: S608
_KEPT = f"""
UPDATE file SET blake3 = before.blake3 FROM history AS before
WHERE file.id IN (SELECT id {_BY_IDENTITY}) AND before.note = 'touched' AND before.id = (
    SELECT max(id) FROM history AS last WHERE last.file = file.id AND last.{_WAITING})
"""  # noqa: S608
_READABLE = """
UPDATE file INDEXED BY file_damaged SET damage = ''
WHERE library = ? AND damage <> '' AND damage = 'unread' AND blake3 IS NOT NULL AND checked_at = ?
"""
_DIGEST = """
INSERT INTO digest (file, kind, value) SELECT id, {kind}, {value} {files}
ON CONFLICT (file, kind) DO UPDATE SET value = excluded.value
"""
# Damaged files that were read just now, with what was said of them when they were found. The clock
# may have been another then, so it is not asked which is later.
_READ_NOW = """
SELECT file.id, file.blake3, history.what, history.blake3 AS good, history.note
FROM file JOIN history ON history.id = (
    SELECT max(id) FROM history AS last
    WHERE last.file = file.id AND last.what IN ('rotten', 'unreadable'))
WHERE file.library = ? AND file.damage <> '' AND file.blake3 IS NOT NULL
    AND file.checked_at = ?
"""
MENDED = """
INSERT INTO history (at, library, file, what, path, size, blake3)
SELECT ?1, library, id, 'mended', path, size, blake3 FROM file WHERE id = ?2 AND damage <> ''
"""
# Files that are new and hold what one held that is gone: it came back. Empty files are all alike.
_BACK = """
SELECT gone.file AS old, gone.library, gone.path, gone.first_seen_at, file.id AS new,
    file.library = gone.library AS home, file.path = gone.path AS same
FROM history AS gone JOIN file INDEXED BY file_by_blake3
    ON file.blake3 = gone.blake3 AND file.size = gone.size AND file.first_seen_at > gone.at
WHERE gone.what = 'gone' AND gone.blake3 IN ({asked}) AND gone.size > 0 AND file.library = ?
    AND gone.first_seen_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM file AS back WHERE back.id = gone.file)
    AND NOT EXISTS (
        SELECT 1 FROM history AS own WHERE own.file = file.id AND own.what <> 'moved')
ORDER BY home DESC, same DESC, gone.id DESC LIMIT ?
"""
_RETURNED = """
INSERT INTO history (at, library, file, what, path, size, blake3)
SELECT ?1, ?2, id, 'returned', ?3, size, blake3 FROM file WHERE id = ?4
"""


async def changed(tx: Transaction, values: Values) -> None:
    """Before rows are overwritten: at, library, path, identity."""
    await tx.batch(values)
    await tx.execute(_CHANGED)


async def moved(tx: Transaction, values: Values) -> None:
    """Before rows are moved: at, id, library and path where they go."""
    await tx.batch(values)
    await tx.execute(_MOVED)


async def gone(tx: Transaction, values: Values) -> None:
    """Before rows are removed: at, id, library, and since when nobody must have seen them."""
    await tx.batch(values)
    await tx.execute(_GONE)


async def was_read(
    tx: Transaction, at: int, files: str, places: Values, hashes: Sequence[bytes]
) -> None:
    """After rows of one library got a hash. ``files`` finds them (BY_PATH, BY_INODE) by each of
    ``places``, which begin with the library."""
    if not places:
        return
    library = places[0][0]
    [known] = await tx.fetch(
        f"SELECT EXISTS (SELECT 1 FROM history WHERE {_WAITING}) AS unread, EXISTS ("  # noqa: S608
        " SELECT 1 FROM history WHERE what = 'gone' AND blake3 IS NOT NULL) AS gone,"
        " EXISTS (SELECT 1 FROM file WHERE library = ? AND damage <> '') AS damaged",
        (library,),
    )
    if known["damaged"]:
        await tx.execute(_READABLE, (library, at))
        await _settle_damage(tx, library, at)
    if known["unread"]:
        await tx.batch(places)
        await tx.execute(_AS_BEFORE.format(files=files))
        await tx.execute(_READ.format(files=files))
    if known["gone"]:
        for start in range(0, len(hashes), _ASKED):
            await _take_back(tx, library, at, hashes[start : start + _ASKED])


async def unread(tx: Transaction, values: Values) -> None:
    """What could not be hashed: at, library, identity, why. All names of a hardlinked file."""
    await tx.batch(values)
    await tx.execute(_REFUSED)
    await tx.execute(_UNREAD)
    await tx.execute(_KEPT)


def damage_of(stored: str) -> Damage | None:
    """What is told of a row's ``damage``."""
    if not stored:
        return None
    return "rotten" if stored == "rotten" else "unreadable"


async def put_digests(tx: Transaction, files: str, values: Values) -> None:
    """Further hashes of rows that have a BLAKE3: places as in ``was_read``, then kind, value."""
    if values:
        kind, value = f"v{len(values[0]) - 1}", f"v{len(values[0])}"
        await tx.batch(values)
        await tx.execute(_DIGEST.format(files=files, kind=kind, value=value))


async def _settle_damage(tx: Transaction, library: int, at: int) -> None:
    mended, still, edited = [], [], []
    for row in await tx.fetch(_READ_NOW, (library, at)):
        if row["blake3"] == row["good"]:
            mended.append((at, row["id"]))
        elif row["what"] == "rotten" and row["blake3"].hex() == row["note"]:
            still.append((row["good"], row["id"]))
        else:
            edited.append((row["id"],))
    await tx.executemany(MENDED, mended)
    sound = "UPDATE file SET damage = '' WHERE id = ?"
    await tx.executemany(sound, [*edited, *((id_,) for _at, id_ in mended)])
    await tx.executemany("UPDATE file SET blake3 = ?, checked_at = NULL WHERE id = ?", still)


async def _take_back(tx: Transaction, library: int, at: int, hashes: Sequence[bytes]) -> None:
    """What is told of a file that was gone is told of the one that came back."""
    asked = ",".join("?" * len(hashes))
    rows = await tx.fetch(_BACK.format(asked=asked), (*hashes, library, _PAIRED))
    old: set[int] = set()
    new: set[int] = set()
    pairs = []
    for row in rows:
        if row["old"] not in old and row["new"] not in new:
            old.add(row["old"])
            new.add(row["new"])
            pairs.append(row)
    await tx.executemany(
        _RETURNED, [(at, row["library"], row["path"], row["new"]) for row in pairs]
    )
    await tx.executemany(
        "UPDATE history SET file = ? WHERE file = ?", [(row["new"], row["old"]) for row in pairs]
    )
    await tx.executemany(
        "UPDATE file SET first_seen_at = min(first_seen_at, ?) WHERE id = ?",
        [(row["first_seen_at"], row["new"]) for row in pairs],
    )


async def forget(database: Database, library: int, keep: int = 0) -> None:
    """Removes all but the newest ``keep`` happenings of a library, in steps."""
    edge = await database.read(
        "SELECT id FROM history WHERE library = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        (library, keep),
    )
    if not edge:
        return

    async def some(tx: Transaction) -> int:
        return await tx.execute(
            "DELETE FROM history WHERE id IN ("
            " SELECT id FROM history WHERE library = ? AND id <= ? LIMIT ?)",
            (library, edge[0]["id"], STEP),
        )

    while await database.write(some):
        pass
