"""The whole room, spoken to as the faces and the other rooms do; vectors are of hashed stems."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.clients.local import LocalClient
from engine.config import Config, MemoryConfig
from engine.contract import jobs, recall
from engine.contract.base import Empty, Wire
from engine.contract.call import Call
from engine.contract.memories import Memory, Note, RecallHit, Stats
from engine.contract.operation import Operation
from engine.contract.ports import Recall, TurnLog
from engine.core.engine import Engine
from engine.home import Home
from engine.recall.indexer import Index
from tests.fakes.embedder import HashedEmbedder
from tests.fakes.house import done
from tests.fakes.models import RehearsedCatalog
from tests.fakes.waiting import until


@dataclass(frozen=True)
class Rooms:
    client: LocalClient
    engine: Engine
    embedder: HashedEmbedder

    async def do(self, operation: Operation[Any, Any], request: Wire) -> Any:
        return await done(self.client, operation, request)

    async def note(self, text: str, namespace: str = "a", **fields: Any) -> int:
        return (await self.notes([text], namespace, **fields))[0]

    async def notes(self, texts: Sequence[str], namespace: str = "a", **fields: Any) -> list[int]:
        notes = tuple(Note(text=text, **fields) for text in texts)
        added = await self.do(recall.ADD, recall.AddNotes(namespace=namespace, notes=notes))
        return list(added.ids)

    async def say(self, session: str, text: str, *, after: int | None = None) -> int:
        """A question that was answered; its turn."""
        await self.engine.lifecycle.ensure("memory")
        log = self.engine.ground.use(TurnLog)  # type: ignore[type-abstract]
        turn = await log.open(session, text, Call(), after=after)
        return (await log.close(turn, "done", "Noted.", "", "m")).id

    async def hits(self, query: str, namespace: str = "a", **more: Any) -> list[RecallHit]:
        request = recall.Search(query=query, namespace=namespace, **more)
        return list((await self.do(recall.SEARCH, request)).hits)

    async def found(self, query: str, namespace: str = "a", **more: Any) -> list[str]:
        return [hit.text for hit in await self.hits(query, namespace, **more)]

    async def show(self, number: int) -> Memory:
        shown: recall.Shown = await self.do(recall.SHOW, recall.OneMemory(id=number))
        return shown.memory

    async def stats(self) -> Stats:
        found: Stats = await self.do(recall.STATS, Empty())
        return found

    async def archive(self, **fields: Any) -> None:
        started = await self.do(recall.ARCHIVE, recall.Archive(**fields))
        async with self.client.stream(jobs.FOLLOW, jobs.JobId(id=started.job_id)) as states:
            async for _ in states:
                pass

    async def settled(self) -> Stats:
        """Once everything is indexed and embedded, and every verdict is written down."""

        async def is_settled() -> bool:
            stats = await self.stats()
            return not stats.waiting and not stats.to_embed

        await until(is_settled, 20)
        return await self.stats()

    async def settled_words(self) -> None:
        """Once everything is found by its words."""

        async def is_settled() -> bool:
            return not (await self.stats()).waiting

        await until(is_settled, 20)

    async def state_of(self, number: int, state: str) -> Memory:
        async def is_so() -> bool:
            return (await self.show(number)).state == state

        await until(is_so, 10)
        return await self.show(number)

    @property
    def port(self) -> Recall:
        return self.engine.ground.use(Recall)  # type: ignore[type-abstract]

    @property
    def index(self) -> Index:
        searching: Any = self.port
        found: Index = searching._index
        return found

    async def worker(self) -> int:
        """The process of the index."""
        await self.stats()
        assert self.index._worker is not None
        return self.index._worker.pid


@asynccontextmanager
async def rooms_at(
    home: Home, embedder: HashedEmbedder | None = None, **memory: Any
) -> AsyncIterator[Rooms]:
    home.prepare()
    embedder = embedder or HashedEmbedder()
    config = Config(memory=MemoryConfig(**memory))
    engine = Engine(home, config, RehearsedCatalog({}, embedder=embedder), "command")
    await engine.open()
    try:
        await engine.lifecycle.ensure("recall")
        yield Rooms(LocalClient(engine), engine, embedder)
    finally:
        await engine.stop()
