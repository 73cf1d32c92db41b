"""Putting away what was long unused, and bringing it back.

An archived memory is still found: the index keeps what it knows of it, and its text is read from
its file. Pinned memories and passages of documents stay where they are, and so does what matters,
unless there are more memories than are wanted.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from engine.contract import recall
from engine.contract.base import now, visible
from engine.contract.call import Call
from engine.contract.errors import Failed, Invalid, NotFound
from engine.contract.memories import ArchiveFile
from engine.contract.ports import JobControl
from engine.contract.recall import Archived, Restored
from engine.ground import Ground
from engine.recall.archived import MOST, MOST_BYTES, Damaged, Written
from engine.recall.book import fetch, known, numbers, row_of, show_again, stamp, told
from engine.recall.records import RECORD, lines, memories, some
from engine.recall.vault import Vault, drop_unused, unbroken
from engine.recall.vault import told as file_told
from engine.recall.worth import importance
from engine.store import Transaction

MATTERS = 0.5
"""From this importance on a memory stays where it is, however long it was unused."""
_READ = 500
_CAN_GO = "memory.state = 'live' AND NOT memory.pinned AND memory.kind != 'document'"
_LAST = "max(memory.at, memory.added_at, coalesce(memory.used_at, ''))"


class _Candidate(NamedTuple):
    """In the order of their going: what matters least and was used least, the oldest first."""

    importance: float
    uses: int
    last: str
    id: int
    rev: int


class Archives:
    """Archives and restores."""

    def __init__(self, ground: Ground, vault: Vault) -> None:
        self._ground = ground
        self._state = ground.state
        self._vault = vault

    # --- putting away ---------------------------------------------------------------------------

    async def archive(self, request: recall.Archive, job: JobControl) -> Archived:
        space = None if request.namespace is None else await known(self._state, request.namespace)
        configured = self._ground.config.memory.archive_days or None
        days = configured if request.days is None else request.days
        run = _Run(self._ground, self._vault, job)
        kept: set[int] = set()
        if days is not None:
            before = stamp(now() - timedelta(days=days))
            async for some_of_them in self._candidates(space, before):
                await job.checkpoint()
                idle = [each for each in some_of_them if each.importance < MATTERS]
                kept.update(each.id for each in some_of_them if each.importance >= MATTERS)
                await run.add(idle)
            await run.flush()
        if space is None:
            for each in await self._too_many(job):
                kept.discard(each.id)
                await run.add([each])
            await run.flush()
        return Archived(archived=run.done, kept=len(kept), file=run.file)

    async def _candidates(
        self, space: int | None, before: str = "~"
    ) -> AsyncIterator[list[_Candidate]]:
        last = 0
        where = "" if space is None else "AND memory.namespace_id = ?4"
        while True:
            rows = await self._state.read(
                "SELECT id, rev, importance, uses, text,"  # noqa: S608 - ours
                f" {_LAST} AS last FROM memory WHERE id > ?1 AND {_CAN_GO} AND {_LAST} < ?2 {where}"
                " ORDER BY id LIMIT ?3",
                (last, before, _READ, *(() if space is None else (space,))),
            )
            if not rows:
                return
            last = rows[-1]["id"]
            yield await asyncio.to_thread(_weighed, rows)

    async def _too_many(self, job: JobControl) -> list[_Candidate]:
        """The least valuable of all that are more than wanted, the oldest first."""
        counted = await self._state.read("SELECT count(*) AS n FROM memory WHERE state = 'live'")
        more = counted[0]["n"] - self._ground.config.memory.most
        least: list[_Candidate] = []
        if more > 0:
            async for found in self._candidates(None):
                await job.checkpoint()
                least = await asyncio.to_thread(heapq.nsmallest, more, [*least, *found])
        return sorted(least, key=lambda each: each.id)

    # --- bringing back --------------------------------------------------------------------------

    async def restore(self, request: recall.Restore, _call: Call) -> Restored:
        """Raises Invalid where nothing is named."""
        if not request.ids and not request.everything:
            raise Invalid(
                "Nothing to restore is named.",
                "Give memories' numbers, or --archived for all that is archived.",
            )
        again, problems = await self._shown_again(request.ids)
        back, lost = await unbroken(self._unpacked(None if request.everything else request.ids))
        return Restored(ids=tuple(sorted({*again, *back})), problems=some([*problems, *lost]))

    async def revive(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Archived memories that are of use again come back; those that did."""
        if not await self._files_of(ids):
            return ()
        back, _problems = await unbroken(self._unpacked(ids))
        return tuple(back)

    async def _shown_again(self, ids: Sequence[int]) -> tuple[list[int], list[str]]:
        """What was merged or replaced stands for itself again."""
        problems = []

        async def work(tx: Transaction) -> list[int]:
            hidden = await tx.fetch(
                "SELECT id FROM memory WHERE state IN ('merged', 'replaced')"
                " AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
                (numbers(ids),),
            )
            again = [row["id"] for row in hidden]
            if again:
                await show_again(tx, again, self._ground.machine)
            return again

        there = await fetch(
            self._state,
            "SELECT id FROM memory WHERE id IN (SELECT value FROM json_each(?))",
            numbers(ids),
        )
        for number in sorted(set(ids) - {row["id"] for row in there}):
            try:
                await row_of(self._state, number)
            except NotFound as error:
                problems.append(error.message)
        return await self._state.write(work), problems

    async def _files_of(self, ids: Sequence[int] | None) -> list[Any]:
        """The files that hold archived memories of ``ids`` (None: any), with their numbers."""
        return await fetch(
            self._state,
            "SELECT archive.id, archive.name, archive.digest, json_group_array(memory.id) AS ids"
            " FROM memory JOIN archive ON archive.id = memory.archive_id"
            " WHERE memory.state = 'archived'"
            " AND (?1 IS NULL OR memory.id IN (SELECT value FROM json_each(?1)))"
            " GROUP BY archive.id ORDER BY archive.id",
            None if ids is None else numbers(ids),
        )

    async def _unpacked(self, ids: Sequence[int] | None) -> tuple[list[int], list[str]]:
        async with self._vault.changing:
            return await self._unpacked_alone(ids)

    async def _unpacked_alone(self, ids: Sequence[int] | None) -> tuple[list[int], list[str]]:
        back, problems = [], []
        for file in await self._files_of(ids):
            inside = json.loads(file["ids"])
            try:
                texts = await self._vault.load(file["name"], file["digest"])
            except Damaged as error:
                lies = "is lost with it" if len(inside) == 1 else "are lost with it"
                problems.append(
                    f"archive {file['name']}: {visible(error.problem)}; {memories(len(inside))}"
                    f" {lies} unless a copy of that file is put back"
                )
                continue
            live, unused = await self._state.write(
                lambda tx, file=file, inside=inside, texts=texts: _put_back(  # type: ignore[misc]
                    tx, file["id"], inside, texts, self._ground.machine
                )
            )
            back += live
            if unused:
                await self._vault.remove([file["name"]])
        return back, problems


async def _put_back(
    tx: Transaction, archive_id: int, ids: Sequence[int], texts: dict[str, str], machine: str
) -> tuple[list[int], bool]:
    """Those of ``ids`` that are live now, and whether the file has nothing left to hold."""
    rows = await tx.fetch(
        "SELECT id, uid FROM memory WHERE state = 'archived' AND archive_id = ?"
        " AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (archive_id, numbers(ids)),
    )
    found = {row["id"]: texts[row["uid"].hex()] for row in rows if row["uid"].hex() in texts}
    present = stamp(now())
    await tx.executemany(
        "UPDATE memory SET state = 'live', archive_id = NULL, text = ?, used_at = ? WHERE id = ?",
        ((text, present, number) for number, text in found.items()),
    )
    if found:
        await told(tx, "restored", list(found), machine)
    return list(found), await drop_unused(tx, archive_id)


class _Run:
    """Memories on their way into files, a whole one at a time."""

    def __init__(self, ground: Ground, vault: Vault, job: JobControl) -> None:
        self._ground = ground
        self._state = ground.state
        self._vault = vault
        self._job = job
        self._waiting: list[_Candidate] = []
        self.done = 0
        self.file: ArchiveFile | None = None

    async def add(self, some_of_them: Iterable[_Candidate]) -> None:
        self._waiting += some_of_them
        while len(self._waiting) >= MOST:
            await self._fill()

    async def flush(self) -> None:
        while self._waiting:
            await self._fill()

    async def _fill(self) -> None:
        """One file, or none: whoever is cancelled waits for its end."""
        await self._job.checkpoint()
        await unbroken(self._fill_one())
        self._job.progress(self.done, None, "memories")

    async def _fill_one(self) -> None:
        """Written first, named by a row after; what changed meanwhile is left out."""
        async with self._vault.changing:
            found, taken = await self._lines()
            del self._waiting[:taken]
            if not found:
                return
            try:
                written = await self._vault.write([line for _candidate, line in found])
            except (OSError, Damaged) as error:
                raise Failed(
                    f"An archive could not be written: {visible(str(error))}.",
                    "Nothing was put away with it. Look at the disk's free space and health.",
                ) from error
            try:
                moved = await self._state.write(
                    lambda tx: self._name(tx, written, [candidate for candidate, _ in found])
                )
            except Exception:
                await self._vault.remove([written.name])
                raise
        self.done += len(moved)

    async def _lines(self) -> tuple[list[tuple[_Candidate, bytes]], int]:
        """Lines for one file, and how many of those that wait were looked at for it."""
        found: list[tuple[_Candidate, bytes]] = []
        taken, size = 0, 0
        while taken < len(self._waiting) and len(found) < MOST and size < MOST_BYTES:
            batch = self._waiting[taken : taken + _READ]
            rows = await fetch(
                self._state,
                f"{RECORD} WHERE memory.id IN (SELECT value FROM json_each(?))"  # noqa: S608
                f" AND {_CAN_GO}",
                numbers(each.id for each in batch),
            )
            same = {row["id"]: row["rev"] for row in rows}
            made = await asyncio.to_thread(lines, rows)
            for each in batch:
                taken += 1
                if each.id in made and same[each.id] == each.rev:
                    found.append((each, made[each.id]))
                    size += len(made[each.id])
                if len(found) >= MOST or size >= MOST_BYTES:
                    break
        return found, taken

    async def _name(
        self, tx: Transaction, written: Written, members: Sequence[_Candidate]
    ) -> list[int]:
        at = stamp(now())
        archive_id = await tx.insert(
            "INSERT INTO archive (name, created_at, memories, bytes, digest)"
            " VALUES (?, ?, ?, ?, ?)",
            (written.name, at, written.memories, written.size, written.digest),
        )
        await tx.executemany(
            "UPDATE memory SET state = 'archived', archive_id = ?, text = ''"  # noqa: S608 - ours
            f" WHERE id = ? AND rev = ? AND {_CAN_GO}",
            ((archive_id, each.id, each.rev) for each in members),
        )
        rows = await tx.fetch("SELECT id FROM memory WHERE archive_id = ?", (archive_id,))
        moved = [row["id"] for row in rows]
        if not moved:
            raise Failed("All that was to be archived changed meanwhile.", "Try again.")
        await told(tx, "archived", moved, self._ground.machine)
        named = (await tx.fetch("SELECT * FROM archive WHERE id = ?", (archive_id,)))[0]
        self.file = file_told(named, len(moved), "ok")
        return moved


def _weighed(rows: Sequence[Any]) -> list[_Candidate]:
    """In a thread."""
    return [
        _Candidate(
            importance(row["text"]) if row["importance"] is None else row["importance"],
            row["uses"],
            row["last"],
            row["id"],
            row["rev"],
        )
        for row in rows
    ]
