"""Whether the archives are what was written: looked after, told, and cleaned once they can be read.

A file that looks as it did when it was last read whole (size, time, inode) is not read again, but
for once a day. What was forgotten while a file could not be read is taken out of it as soon as it
can, and what is archived in it is given to the index again, which may have been made meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from engine.contract.base import visible
from engine.contract.errors import ArcanumError
from engine.contract.ports import Concern, Severity
from engine.ground import Ground
from engine.recall import archived
from engine.recall.archived import Damaged
from engine.recall.book import fetch
from engine.recall.records import memories
from engine.recall.vault import Vault, switch, unbroken
from engine.store import Transaction

_log = logging.getLogger("arcanum.recall")
_KNOWN = "recall.archives"
_AGAIN_S, _WAIT_S = 0.2, 0.5
"""A status looks again after so long, and waits so long for it: disks may hang."""
_TOLD = 3

Look = list[int]
"""What a file looks like: size, time, inode."""


class Wholeness:
    """``start`` looks in the background, at once."""

    def __init__(self, ground: Ground, vault: Vault) -> None:
        self._ground = ground
        self._state = ground.state
        self._vault = vault
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._whole: dict[str, Look] = {}
        self._stored: Any = None

    async def start(self) -> None:
        self._stored = await self._ground.settings.get(_KNOWN) or {}
        self._whole = dict(self._stored.get("whole", {}))
        self._vault.damaged |= dict(self._stored.get("damaged", {}))
        self._begin()

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    def _begin(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self.look(), name="recall:archives")
        return self._looking

    # --- looking --------------------------------------------------------------------------------

    async def look(self, *, again: bool = False) -> None:
        """Reads what does not look as it did. ``again``: each file."""
        try:
            await self._look(again=again)
        except (ArcanumError, OSError) as error:
            what = error.message if isinstance(error, ArcanumError) else error.strerror
            _log.warning("the archives could not be looked through: %s", what)
        self._looked_at = time.monotonic()

    async def _look(self, *, again: bool) -> None:
        rows = await self._state.read("SELECT id, name, digest FROM archive ORDER BY id")
        names = {row["name"] for row in rows}
        for known in (self._whole, self._vault.damaged):
            for name in set(known) - names:
                known.pop(name, None)
        looks = await asyncio.to_thread(self._looks, names)
        for row in rows:
            name = row["name"]
            seen = looks.get(name)
            damaged = name in self._vault.damaged
            if seen is None or again or damaged or self._whole.get(name) != seen:
                await self._read(row, seen)
        await self._remember()

    def _looks(self, names: Collection[str]) -> dict[str, Look]:
        """Of those that are there."""
        found = {}
        for name in names:
            with suppress(OSError):
                status = (self._vault.folder / name).lstat()
                found[name] = [status.st_size, status.st_mtime_ns, status.st_ino]
        return found

    async def _read(self, row: Any, seen: Look | None) -> None:
        name = row["name"]
        try:
            lines = await self._vault.lines(name, row["digest"])
            uids = await asyncio.to_thread(lambda: [archived.uid_of(line) for line in lines])
        except Damaged:  # The vault has noted it.
            self._whole.pop(name, None)
            return
        if self._vault.damaged.pop(name, None) is not None:
            await self._given_again(row["id"])
        if await self._forgotten_of(uids):
            await unbroken(self._take_out())  # The new file is looked at next time.
        elif seen is not None:
            self._whole[name] = seen

    async def _forgotten_of(self, uids: Sequence[str]) -> list[str]:
        found = []
        for start in range(0, len(uids), 500):
            some = [bytes.fromhex(uid) for uid in uids[start : start + 500]]
            marks = ",".join("?" * len(some))
            sql = f"SELECT uid FROM forgotten WHERE uid IN ({marks})"  # noqa: S608 - marks
            found += [row["uid"].hex() for row in await fetch(self._state, sql, *some)]
        return found

    async def _take_out(self) -> None:
        """What is forgotten goes from every file that can be read."""
        async with self._vault.changing:
            files, _problems = await self._vault.without(await tombs(self._state), ())

            async def work(tx: Transaction) -> None:
                await switch(tx, files)

            await self._state.write(work)
            await self._vault.remove(each.name for each in files)
        _log.warning("what was forgotten was taken out of archives: %d", len(files))

    async def _given_again(self, archive_id: int) -> None:
        """A text that is written, if only as it is, is a change that the index follows."""

        async def work(tx: Transaction) -> None:
            await tx.execute(
                "UPDATE memory SET text = text WHERE archive_id = ? AND state = 'archived'",
                (archive_id,),
            )

        await self._state.write(work)

    async def _remember(self) -> None:
        found = {"whole": dict(self._whole), "damaged": dict(self._vault.damaged)}
        if found != self._stored:
            await self._ground.settings.put(_KNOWN, found)
            self._stored = found

    # --- telling --------------------------------------------------------------------------------

    async def concerns(self) -> list[Concern]:
        """What is damaged or missing, and how much of what is remembered lies in it alone."""
        if time.monotonic() - self._looked_at > _AGAIN_S:
            await asyncio.wait({self._begin()}, timeout=_WAIT_S)
        damaged = dict(self._vault.damaged)
        if not damaged:
            return []
        rows = await self._state.read(
            "SELECT name, (SELECT count(*) FROM memory WHERE archive_id = archive.id"
            " AND state = 'archived') AS lost FROM archive ORDER BY name"
        )
        told = [
            f"{self._vault.problem(row['name'])}: {memories(row['lost'])} cannot be read."
            " Put a copy of that file back."
            for row in rows
            if row["name"] in damaged and row["lost"]
        ]
        more = [f"and {len(told) - _TOLD:,} archives more"] if len(told) > _TOLD else []
        return [
            Concern(Severity.BROKEN, "memory", visible(text), link="memory")
            for text in (*told[:_TOLD], *more)
        ]


async def tombs(state: Any) -> frozenset[str]:
    """The uids of all that was ever forgotten."""
    rows = await state.read("SELECT uid FROM forgotten")
    return await asyncio.to_thread(lambda: frozenset(row["uid"].hex() for row in rows))
