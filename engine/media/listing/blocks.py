"""The catalogue a second time, column by column in blocks of 1,024 ids: so a million files are
looked through in a twentieth of a second, in whatever order. The migration says what a block holds.

A block is made behind everything else, and gone as soon as something in it is another (triggers of
the migration see to that). It is claimed first and filled if the claim is still there then: what
changes meanwhile takes the claim along.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from engine.contract.errors import StoreFailed
from engine.media.listing import packing
from engine.media.listing.aside import Aside, Reading
from engine.media.listing.packing import COLUMNS, NAMES
from engine.store import Database, Transaction

MADE = "SELECT block FROM file_block WHERE id IS NOT NULL"
_TOGETHER = 4
"""Blocks that are made at once: a few milliseconds of the writer's time."""
_TURN_S = 0.002
"""And then others have their turn: to pack a block takes as long."""
_REST = 9
"""Once each was made, those that change all the time take a tenth of a processor at most."""

_CLAIM = "INSERT OR IGNORE INTO file_block (block) VALUES (?)"
_FILL = f"""
UPDATE file_block SET {", ".join(f"{column} = ?" for column in COLUMNS)} WHERE block = ?
"""  # noqa: S608
_NAME = f"INSERT OR REPLACE INTO block_name ({', '.join(NAMES)}, block) VALUES (?, ?, ?, ?)"  # noqa: S608
_LOOK = "INSERT INTO look (id, kind, type, camera) VALUES (?, ?, ?, ?)"


class Blocks:
    """Makes the blocks that there are none of; ``aside`` is where they are packed."""

    def __init__(self, database: Database, aside: Aside) -> None:
        self._db, self._aside = database, aside
        self._making: asyncio.Task[None] | None = None
        self._alone = asyncio.Lock()
        self._made = 0
        self._listed = self._stopped = False

    def wake(self, *, listed: bool = False) -> None:
        """Files came, or much else was learnt of them; ``listed``: somebody lists them, and may
        narrow the list next."""
        self._listed |= listed
        if not self._stopped and (self._making is None or self._making.done()):
            self._making = asyncio.create_task(self._make(), name="media:blocks")

    async def _make(self) -> None:
        with suppress(StoreFailed):  # It is made the next time; until then rows are looked through.
            await self.make()

    async def make(self) -> None:
        """All blocks that are complete. Raises StoreFailed."""
        async with self._alone:  # Looks are given their numbers here.
            await self._make_all()

    async def _make_all(self) -> None:
        made, missing, leftover = await self._aside.run(_there)
        if leftover:
            await self._db.write(_forget)
        if self._listed and (made or missing):
            await asyncio.to_thread(_load)
        for start in range(0, len(missing), _TOGETHER):
            began = time.monotonic()
            some = missing[start : start + _TOGETHER]
            await self._some(some)
            self._made += len(some)
            if self._made > made + len(missing):
                await asyncio.sleep(_REST * (time.monotonic() - began))

    async def _some(self, blocks: Sequence[int]) -> None:
        async def claim(tx: Transaction) -> None:
            await tx.executemany(_CLAIM, [(block,) for block in blocks])

        async def fill(tx: Transaction) -> None:
            await tx.executemany(_LOOK, looks)
            await tx.executemany(_FILL, [(*numbers, block) for block, numbers, _names in made])
            await tx.executemany(_NAME, [(*names, block) for block, _numbers, names in made])

        await self._db.write(claim)
        looks, made = await self._aside.run(lambda reading: _packed(reading, blocks))
        await self._db.write(fill)

    async def stop(self) -> None:
        self._stopped = True
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)


def _there(reading: Reading) -> tuple[int, list[int], bool]:
    """How many blocks there are, which of those are missing that get no other file, and whether
    looks are left of blocks that are gone."""
    made, missing = packing.there(reading)
    leftover = not made and bool(reading.all("SELECT 1 FROM look LIMIT 1"))
    return len(made), packing.complete(reading, missing), leftover


async def _forget(tx: Transaction) -> None:
    for table in ("file_block", "block_name", "look"):
        await tx.execute(f"DELETE FROM {table}")  # noqa: S608


def _load() -> None:
    """What looks through columns: NumPy takes a twentieth of a second, before somebody waits."""
    from engine.media.listing import finding  # noqa: F401


def _packed(reading: Reading, blocks: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Rows of `look` that are new; of each block the values of ``COLUMNS`` and of ``NAMES``."""
    known = packing.looks_of(reading)
    looks, made = dict(known), []
    for block in blocks:
        packed = packing.pack(reading, block, looks)
        values = ([packed[name] for name in names] for names in (COLUMNS, NAMES))
        made.append((block, *values))
        time.sleep(_TURN_S)
    return [(id_, *look) for look, id_ in looks.items() if look not in known], made
