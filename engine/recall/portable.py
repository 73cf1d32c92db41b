"""Carrying memories elsewhere: an export of them, and taking one in.

A memory has the same uid wherever it goes: what is there already, or was forgotten, is skipped. So
an import that was cut short is simply made again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from engine.contract import recall
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, Failed, Invalid, NotFound
from engine.contract.memories import Record
from engine.contract.ports import JobControl
from engine.contract.recall import Imported
from engine.ground import Ground
from engine.recall.book import NOT_DELETED, known, make_namespace, told
from engine.recall.lines import Line, RecordFile
from engine.recall.records import RECORD, made, memories
from engine.recall.vault import Vault
from engine.store import Transaction

_READ = 200
_WRITTEN = 1_000
"""Records in a transaction."""
_PIECE, _PIECE_BYTES = 200, 256 * 1024
"""Lines that are read in one step: others run in between."""
_TOLD = 20

# What stands for something that was forgotten may not come back either.
_INSERT = (
    "INSERT INTO memory (namespace_id, kind, uid, state, pinned, importance, uses, used_at, kept,"
    " at, added_at, speaker, source, ref, text)"
    " SELECT ?1, 'note', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15"
    " WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE uid IN (?3, ?2)) ON CONFLICT DO NOTHING"
)
# Whoever follows a memory to what stands for it comes to an end, and looks at no more than these.
_FARTHEST = 1_000
_AFTER = (
    "WITH RECURSIVE after (id) AS (SELECT id FROM memory WHERE uid = ?1"  # noqa: S608 - ours
    " UNION SELECT next.replaced_by FROM after JOIN memory AS next ON next.id = after.id"
    f" WHERE next.replaced_by IS NOT NULL LIMIT {_FARTHEST})"
)
# Only to what leads to an end in the same namespace, and to another than the memory itself.
_LINK = (
    "UPDATE memory SET replaced_by = ("  # noqa: S608 - ours
    f"{_AFTER} SELECT newer.id FROM memory AS newer"
    " WHERE newer.uid = ?1 AND newer.namespace_id = memory.namespace_id"
    " AND EXISTS (SELECT 1 FROM after JOIN memory AS last ON last.id = after.id"
    " WHERE last.replaced_by IS NULL AND last.id != memory.id"
    " AND last.namespace_id = memory.namespace_id))"
    " WHERE uid = ?2 AND replaced_by IS NULL AND state IN ('merged', 'replaced')"
)
_UNLINKED = (
    "UPDATE memory SET state = 'live'"  # noqa: S608 - ours
    f" WHERE id IN ({_AFTER} SELECT id FROM after)"
    " AND replaced_by IS NULL AND state IN ('merged', 'replaced')"
)


class Portable:
    """Exports and imports."""

    def __init__(self, ground: Ground, vault: Vault) -> None:
        self._ground = ground
        self._state = ground.state
        self._vault = vault

    # --- out ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def export(
        self, request: recall.Export, _call: Call
    ) -> AsyncIterator[AsyncIterator[Record]]:
        """All that is remembered but for deleted conversations, in order. Raises NotFound for the
        namespace; and Failed, after all others, where some could not be read."""
        space = None if request.namespace is None else await known(self._state, request.namespace)
        newest = await self._state.read("SELECT coalesce(max(id), 0) AS id FROM memory")
        async with aclosing(self._every(space, newest[0]["id"])) as found:
            yield found

    async def _every(self, space: int | None, newest: int) -> AsyncGenerator[Record, None]:
        last, lost = 0, 0
        where = NOT_DELETED if space is None else "memory.namespace_id = ?4"
        while True:
            rows = await self._state.read(
                f"{RECORD} WHERE memory.id > ?1 AND memory.id <= ?2 AND {where}"
                " ORDER BY memory.id LIMIT ?3",
                (last, newest, _READ, *(() if space is None else (space,))),
            )
            if not rows:
                break
            last = rows[-1]["id"]
            away = [row["id"] for row in rows if row["state"] == "archived"]
            texts = await self._vault.texts(away) if away else {}
            found = await asyncio.to_thread(made, rows, texts)
            lost += len(rows) - len(found)
            for record in found:
                yield record
        if lost:
            raise Failed(
                f"{memories(lost)} could not be exported; all others were.",
                "arcanum memory stats says which archives are damaged.",
            )

    # --- in -------------------------------------------------------------------------------------

    async def import_(self, request: recall.Import, job: JobControl) -> Imported:
        """Raises NotFound or Invalid for the file."""
        started = time.monotonic()
        path = request.path.data
        try:
            file = await asyncio.to_thread(RecordFile, path, request.namespace)
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no file {request.path.display}.", "Look at its name."
            ) from error
        except (OSError, ValueError) as error:
            why = visible(getattr(error, "strerror", None) or str(error))
            raise Invalid(
                f"{request.path.display}: {why}.", "Give a file that an export has written."
            ) from error
        run = _Run(self._ground, job)
        try:
            await run.take_in(file)
        except OSError as error:
            raise Failed(
                f"{visible(os.fsdecode(path))}: {visible(error.strerror or str(error))}.",
                "What was read before is taken in. Import it again when it can be read.",
            ) from error
        finally:
            await asyncio.to_thread(file.close)
        return run.result(time.monotonic() - started)


class _Run:
    """One import on its way."""

    def __init__(self, ground: Ground, job: JobControl) -> None:
        self._ground = ground
        self._state = ground.state
        self._job = job
        self._lines = 0
        self._added = 0
        self._skipped = 0
        self._refused = 0
        self._problems: list[str] = []
        self._hidden: list[tuple[bytes, bytes]] = []

    def result(self, seconds: float) -> Imported:
        return Imported(
            lines=self._lines,
            added=self._added,
            skipped=self._skipped,
            refused=self._refused,
            problems=tuple(self._problems),
            seconds=round(seconds, 3),
        )

    async def take_in(self, file: RecordFile) -> None:
        try:
            await self._take_in_all(file)
        except BaseException:
            with suppress(ArcanumError):  # Made again it is whole; as far as it goes, it is, too.
                await self._link(whole=False)
            raise
        await self._link(whole=True)

    async def _take_in_all(self, file: RecordFile) -> None:
        waiting: list[Line] = []
        ended = False
        while not ended:
            await self._job.checkpoint()
            piece = await asyncio.to_thread(file.piece, _PIECE, _PIECE_BYTES)
            ended = piece.ended
            self._lines += piece.lines
            for number, problem in piece.refused:
                self._refuse(number, problem)
            waiting += piece.found
            if len(waiting) >= _WRITTEN or (ended and waiting):
                await self._write(waiting)
                waiting = []
            self._job.progress(min(piece.read, file.size), file.size, "bytes")

    def _refuse(self, number: int, problem: str) -> None:
        self._refused += 1
        if len(self._problems) < _TOLD:
            self._problems.append(f"line {number:,}: {problem}")

    async def _write(self, lines: Sequence[Line]) -> None:
        """One transaction. What its namespace refuses is told by the lines."""

        async def work(tx: Transaction) -> tuple[int, dict[str, str]]:
            places, refused = await _namespaces(tx, {line.namespace for line in lines})
            newest = (await tx.fetch("SELECT coalesce(max(id), 0) AS id FROM memory"))[0]["id"]
            await tx.executemany(
                _INSERT,
                [
                    (places[line.namespace], line.newer, *line.values)
                    for line in lines
                    if line.namespace in places
                ],
            )
            return await self._told(tx, newest, list(places)), refused

        added, refused = await self._state.write(work)
        for line in lines:
            if line.namespace in refused:
                self._refuse(line.number, refused[line.namespace])
            elif line.newer is not None:
                self._hidden.append((line.newer, line.uid))
        self._added += added
        self._skipped += sum(line.namespace not in refused for line in lines) - added

    async def _told(self, tx: Transaction, newest: int, names: Sequence[str]) -> int:
        found = await tx.fetch("SELECT count(*) AS n FROM memory WHERE id > ?", (newest,))
        added = int(found[0]["n"])
        if added:
            first = await tx.fetch(
                "SELECT id FROM memory WHERE id > ? ORDER BY id LIMIT 100", (newest,)
            )
            await told(
                tx,
                "imported",
                [row["id"] for row in first],
                self._ground.machine,
                names[0] if len(names) == 1 else "",
                count=added,
            )
        return added

    async def _link(self, *, whole: bool) -> None:
        """What was merged or replaced points to what stands for it now, wherever in the file it
        stood. ``whole``: the file ended, so what points to nothing stands for itself."""
        await self._in_parts(_LINK, self._hidden)
        if whole:
            await self._in_parts(_UNLINKED, [(uid,) for _newer, uid in self._hidden])

    async def _in_parts(self, sql: str, values: Sequence[tuple[bytes, ...]]) -> None:
        for first in range(0, len(values), _WRITTEN):
            some = values[first : first + _WRITTEN]

            async def work(tx: Transaction, some: Sequence[tuple[bytes, ...]] = some) -> None:
                await tx.executemany(sql, some)

            await self._state.write(work)


async def _namespaces(
    tx: Transaction, names: Iterable[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """The numbers of those that take memories in, made where needed; why others do not."""
    places, refused = {}, {}
    for name in sorted(names):
        try:
            places[name] = await make_namespace(tx, name)
        except NotFound as error:
            refused[name] = error.message
    return places, refused
