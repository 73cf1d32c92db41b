"""The names of the files, block by block in one piece each: a name that few files have is looked
for in a thirtieth of a second among a million, in a quarter of the time that their rows would take.

A block is the names of 1,024 ids, made behind everything else and gone as soon as one of them is
another (triggers of the migration see to that): where there is none, the rows are looked through.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from engine.contract.errors import StoreFailed
from engine.media.listing.aside import Reading
from engine.store import Database, Transaction

_BITS = 10
"""The migration's triggers know it, too."""
_MOST_BLOCKS = 128
"""Of so many the rows are looked through, an eighth of a million: a few hundredths of a second."""
_TOGETHER = 4
"""Blocks that are made in one transaction: a few milliseconds of the writer's time."""

# Ids are given once and rise: a block whose last one was given gets no other file. Where files are
# gone, a block holds little, or nothing.
_ALL = f"""
WITH RECURSIVE complete (block) AS (
    SELECT 0 WHERE (SELECT seq FROM sqlite_sequence WHERE name = 'file') >= {(1 << _BITS) - 1}
    UNION ALL
    SELECT block + 1 FROM complete WHERE (block + 2) << {_BITS} <=
        (SELECT seq FROM sqlite_sequence WHERE name = 'file') + 1
)
"""  # noqa: S608
_MISSING = f"{_ALL} SELECT block FROM complete EXCEPT SELECT block FROM name_block"  # noqa: S608
_MAKE = f"""
INSERT OR REPLACE INTO name_block (block, names)
SELECT ?1, coalesce(CAST(group_concat(folded, x'0a') AS BLOB), x'')
FROM file WHERE id BETWEEN ?1 << {_BITS} AND ((?1 + 1) << {_BITS}) - 1
"""  # noqa: S608
_LAST = "SELECT coalesce(max(id), 0) >> ? FROM file"
_HOLDING = "SELECT block FROM name_block WHERE instr(names, CAST(? AS BLOB)) LIMIT ?"
_ROWS = f"""
SELECT id FROM file
WHERE id BETWEEN ?1 << {_BITS} AND ((?1 + 1) << {_BITS}) - 1 AND instr(folded, ?2)
"""  # noqa: S608


def holding(reading: Reading, needle: str, most: int) -> list[int] | None:
    """The ids of the files whose visible path without case contains this. None: more than ``most``,
    or it would take as long to say as to look through all rows."""
    [(last,)] = reading.all(_LAST, (_BITS,))
    known = {block for (block,) in reading.all("SELECT block FROM name_block")}
    blocks = [block for block in range(last + 1) if block not in known]
    if len(blocks) > _MOST_BLOCKS:
        return None
    blocks += [block for (block,) in reading.all(_HOLDING, (needle, _MOST_BLOCKS + 1))]
    if len(blocks) > _MOST_BLOCKS:
        return None
    found: list[int] = []
    for block in blocks:
        found += [id_ for (id_,) in reading.all(_ROWS, (block, needle))]
        if len(found) > most:
            return None
    return found


class Names:
    """Makes the blocks that there are none of."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._making: asyncio.Task[None] | None = None
        self._stopped = False

    def wake(self) -> None:
        """Somebody lists files, and may look for a name next."""
        if not self._stopped and (self._making is None or self._making.done()):
            self._making = asyncio.create_task(self._make(), name="media:names")

    async def _make(self) -> None:
        with suppress(StoreFailed):  # It is made the next time; until then rows are looked through.
            await self.make()

    async def make(self) -> None:
        """All blocks that are complete. Raises StoreFailed."""
        missing = [(row["block"],) for row in await self._db.read(_MISSING)]

        async def some(tx: Transaction) -> None:
            await tx.executemany(_MAKE, missing[:_TOGETHER])

        while missing:
            await self._db.write(some)
            del missing[:_TOGETHER]

    async def stop(self) -> None:
        self._stopped = True
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
