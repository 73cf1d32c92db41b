"""The recall room: what is remembered, the index that finds it, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any

from engine.contract import recall
from engine.contract.base import Empty
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.errors import ArcanumError
from engine.contract.memories import Memory, Note, Stats
from engine.contract.ports import Concern, Door, JobControl, Operations, Recall, Severity
from engine.ground import Ground
from engine.recall import book
from engine.recall.archive import Archives
from engine.recall.embedding import Embedding
from engine.recall.folders import Folders
from engine.recall.forgetting import ForgetActs
from engine.recall.indexer import ALERT, Index
from engine.recall.portable import Portable
from engine.recall.searching import Searching
from engine.recall.showing import Showing
from engine.recall.tending import Tending
from engine.recall.vault import Vault
from engine.recall.wholeness import Wholeness
from engine.store import Transaction

_log = logging.getLogger("arcanum.recall")
_IDENTITY, _TENDED = "recall.identity", "recall.tended"
_SOON_S, _LOOK_S, _DAY_S = 60.0, 900.0, 86_400.0
"""After the start, and then again and again, it is asked whether a day went by."""
_CHANGES = frozenset({"memory.turn_opened", "recall.memory_changed", "engine.resync"})


class RecallRoom:
    """Owns the tables ``namespace``, ``memory`` and those around; provides the port ``Recall``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._state = ground.state
        self._index = Index(ground, Tending(ground).judge)
        self._embedding = Embedding(ground, self._index)
        self._vault = Vault(ground)
        self._wholeness = Wholeness(ground, self._vault)
        self._archives = Archives(ground, self._vault)
        self._portable = Portable(ground, self._vault)
        self._forgetting = ForgetActs(ground, self._vault, self._index)
        self._folders = Folders(ground, self._index.wake)
        self._searching = Searching(
            ground, self._index, self._embedding, self._vault, self._archives
        )
        self._showing = Showing(ground, self._vault)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._index.identity = await self._identity()
        await self._vault.settle()
        await self._wholeness.start()
        self._bind(self._ground.door)
        self._ground.provide(Recall, self._searching)  # type: ignore[type-abstract]
        self._ground.probes["recall"] = self._concerns
        self._ground.queues["memories"] = lambda: (self._index.waiting, ALERT)
        self._tasks = [
            asyncio.create_task(self._listen(), name="recall:listen"),
            asyncio.create_task(self._housekeep(), name="recall:housekeeping"),
        ]
        self._embedding.start()
        await self._folders.start()
        await self._index.wake_if_behind()

    def _bind(self, door: Door) -> None:
        door.unary(recall.SEARCH, self._searching.search)
        door.unary(recall.LIST, self._showing.page)
        door.unary(recall.SHOW, self._showing.one)
        door.unary(recall.NAMESPACES, self._showing.namespaces)
        door.unary(recall.ADD, self._add)
        door.unary(recall.PIN, self._pin)
        door.unary(recall.EDIT, self._edit)
        door.unary(recall.STATS, self._stats)
        door.unary(recall.RESTORE, self._archives.restore)
        door.unary(recall.WATCH, self._folders.watch)
        door.unary(recall.UNWATCH, self._folders.unwatch)
        door.stream(recall.EXPORT, self._portable.export)
        door.high(recall.FORGET, self._forgetting)
        door.job(recall.REBUILD, self._rebuild, lambda _request: "memories")
        door.job(recall.SYNC, self._folders.sync, lambda _request: "folders")
        door.job(recall.ARCHIVE, self._archives.archive, lambda _request: "memories")
        door.job(recall.IMPORT, self._portable.import_, lambda request: request.path.display)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wholeness.stop()
        await self._folders.stop()
        await self._embedding.stop()
        await self._index.stop()

    async def _identity(self) -> str:
        """Tells this database from any other, so that the index of another is not taken for its."""
        found = await self._ground.settings.get(_IDENTITY)
        if found is None:
            found = secrets.token_hex(16)
            await self._ground.settings.put(_IDENTITY, found)
        return str(found)

    async def _listen(self) -> None:
        """Every change of what is remembered is an event, whoever made it."""
        with self._ground.bus.subscribe() as events:
            async for event in events:
                if event.kind in _CHANGES:
                    self._index.wake()

    async def _housekeep(self) -> None:
        """Once a day what was long unused is archived, and what is beyond the limit."""
        await asyncio.sleep(_SOON_S)
        while True:
            if self._index.state == "failed":  # What was in its way may be gone.
                self._index.wake()
            try:
                last = float(await self._ground.settings.get(_TENDED) or 0)
                if not 0 <= time.time() - last < _DAY_S:  # A clock may have been set back.
                    await self._ground.settings.put(_TENDED, time.time())
                    await self._wholeness.look(again=True)
                    await self._archive()
            except ArcanumError as error:
                _log.warning("nothing was archived: %s", error.message)
            await asyncio.sleep(_LOOK_S)

    async def _archive(self) -> None:
        operations = self._ground.use(Operations)  # type: ignore[type-abstract]
        call = Call(Actor(ActorKind.SCHEDULE, "memory"))
        await operations.call(recall.ARCHIVE, recall.Archive(), call)

    # --- operations -----------------------------------------------------------------------------

    async def _add(self, request: recall.AddNotes, call: Call) -> recall.Added:
        notes = _signed(request.notes, call.actor)

        async def work(tx: Transaction) -> recall.Added:
            ids, new = await book.add(tx, request.namespace, notes)
            if new:
                await book.told(
                    tx, "added", ids, self._ground.machine, request.namespace, count=new
                )
            return recall.Added(namespace=request.namespace, ids=tuple(ids), added=new)

        return await self._state.write(work)

    async def _pin(self, request: recall.Pin, _call: Call) -> Memory:
        return await self._changed(
            lambda tx: book.pin(tx, request.id, not request.off, self._ground.machine)
        )

    async def _edit(self, request: recall.Edit, _call: Call) -> Memory:
        return await self._changed(lambda tx: book.edit(tx, request, self._ground.machine))

    async def _changed(self, work: Any) -> Memory:
        return await self._showing.whole(await self._state.write(work))

    async def _rebuild(self, _request: Empty, control: JobControl) -> Stats:
        await self._index.ask("rebuild", 120)
        stats = await self._stats_now()
        total = max(1, stats.waiting)
        while stats.waiting:
            await control.checkpoint()
            control.progress(total - stats.waiting, total, "memories")
            await asyncio.sleep(0.2)
            stats = await self._stats_now()
        return stats

    async def _stats(self, _request: Empty, _call: Call) -> Stats:
        return await self._stats_now()

    async def _stats_now(self) -> Stats:
        return await self._showing.stats(self._index, await self._folders.folders())

    async def _concerns(self) -> Sequence[Concern]:
        if self._index.state == "failed":
            told = [(Severity.BROKEN, self._index.why)]
        else:
            told = [(Severity.UNKNOWN, text) for text in self._behind()]
        found = [Concern(severity, "memory", text, link="memory") for severity, text in told]
        return [*found, *await self._wholeness.concerns(), *await self._folders.concerns()]

    def _behind(self) -> list[str]:
        """What the index has not come to yet, where that is much."""
        index, found = self._index, []
        if index.remaking:
            found.append(f"the index of memories: {index.remaking}")
        if index.waiting > ALERT:
            found.append(f"{index.waiting:,} memories are not in the index yet")
        if index.to_embed > ALERT and self._ground.config.memory.embedding != "none":
            why = f": {index.lexical_because}" if index.lexical_because else ""
            found.append(f"{index.to_embed:,} memories are found by their words alone yet{why}")
        return found


def _signed(notes: Sequence[Note], actor: Actor) -> Sequence[Note]:
    """Without a speaker a note is the word of whoever adds it."""
    if not (speaker := actor.speaker):
        return notes
    said = {"speaker": speaker}
    return [note if note.speaker else note.model_copy(update=said) for note in notes]
