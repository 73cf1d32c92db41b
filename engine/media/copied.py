"""Which bytes would still be somewhere if some files went."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from engine.contract.holding import Inode
from engine.store import Database

_HAVE = """
SELECT dev, ino FROM file INDEXED BY file_by_blake3
WHERE blake3 = ? AND damage = '' AND library IN (SELECT value FROM json_each(?))
"""


async def copied(
    database: Database, hashes: Collection[str], without: Collection[Inode], libraries: list[int]
) -> set[str]:
    """Those of these BLAKE3 (hex) that a file of ``libraries`` has, besides ``without`` under
    whatever name, and is not known as damaged. Raises StoreFailed."""
    gone = frozenset(without)

    def work(db: sqlite3.Connection) -> set[str]:
        # Row by row, and no further than to the first one: there may be a million of the same.
        return {value for value in hashes if _is_left(db, value, gone, str(libraries))}

    return await database.study(work) if hashes else set()


def _is_left(db: sqlite3.Connection, blake3: str, gone: frozenset[Inode], libraries: str) -> bool:
    rows = db.execute(_HAVE, (bytes.fromhex(blake3), libraries))
    return any((dev, ino) not in gone for dev, ino in rows)
