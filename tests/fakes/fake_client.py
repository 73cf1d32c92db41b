"""A strict engine in memory: the whole ``EngineClient`` with real contract models.

Requests and results travel through JSON as on a wire, operations that are not bound are refused,
durable events are numbered and replayed. Nothing happens by itself: a test moves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from engine.contract import (
    agent0,
    approvals,
    assets,
    discovery,
    jobs,
    media,
    memory,
    model,
    quota,
    recall,
    report,
    telemetry,
)
from engine.contract import engine as engine_words
from engine.contract.base import Empty, ErrorInfo, Wire
from engine.contract.call import Call
from engine.contract.client import Done, Pending, Snapshot
from engine.contract.errors import ArcanumError, Disconnected, NotFound, Unavailable
from engine.contract.events import Event
from engine.contract.memories import Forget
from engine.contract.operation import Kind, Operation
from tests.fakes import fake_shelves
from tests.fakes.fake_world import World
from tests.unit.reports import samples

_END = object()


class FakeEngine:
    """One engine that any number of clients reach. ``world`` is its truth.

    ``broken``: operation name → the error it raises. ``held``: operation name → an event that a
    call of it waits for before it is answered, ``slow``: after. ``waiting`` counts the latter.
    ``calls``: every request, in order. ``open_streams`` by operation name.
    """

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.up = True
        self.broken: dict[str, ArcanumError] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.slow: dict[str, asyncio.Event] = {}
        self.waiting = self.pings = 0
        self.calls: list[tuple[str, Wire]] = []
        self.open_streams: dict[str, int] = {}
        self.connects = 0
        self._queues: set[asyncio.Queue[Any]] = set()
        self._streams: set[asyncio.Future[None]] = set()
        self.world.listen(self._deliver)

    async def connect(self) -> FakeClient:
        """What the app is given as its factory."""
        self.connects += 1
        if not self.up:
            raise Unavailable("No engine answers.", "Start one with: arcanum serve")
        return FakeClient(self)

    def go_down(self) -> None:
        """The engine's process dies: everything open ends with Disconnected."""
        self.up = False
        for queue in self._queues:
            queue.put_nowait(_END)
        for stream in self._streams:
            stream.set_result(None)

    def requests(self, operation: Operation[Any, Any]) -> list[Any]:
        """The requests that this operation got."""
        return [request for name, request in self.calls if name == operation.name]

    def _deliver(self, event: Event) -> None:
        for queue in self._queues:
            queue.put_nowait(event)

    @asynccontextmanager
    async def opened(self, items: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """The items of a stream, until the engine goes down."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._streams.add(gone)
        try:
            yield self._until(gone, items)
        finally:
            self._streams.discard(gone)

    async def _until(self, gone: asyncio.Future[None], items: Any) -> AsyncIterator[Any]:
        while True:
            item = asyncio.ensure_future(anext(items, _END))
            try:
                await asyncio.wait((item, gone), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise Disconnected("The engine went away.", "It is tried again by itself.")
                if item.result() is _END:
                    return
                yield item.result()
            finally:
                item.cancel()
                await asyncio.gather(item, return_exceptions=True)

    @asynccontextmanager
    async def subscribe(self, after: int | None) -> AsyncIterator[AsyncIterator[Event]]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        past = [] if after is None else [e for e in self.world.log if (e.seq or 0) > after]
        self._queues.add(queue)
        try:
            yield self._drain(past, queue)
        finally:
            self._queues.discard(queue)

    async def _drain(self, past: list[Event], queue: asyncio.Queue[Any]) -> AsyncIterator[Event]:
        for event in past:
            yield event
        while (event := await queue.get()) is not _END:
            yield type(event).model_validate_json(event.model_dump_json())
        raise Disconnected("The engine went away.", "It is tried again by itself.")

    async def gate(self, name: str) -> None:
        if not self.up:
            raise Disconnected("The engine went away.", "It is tried again by itself.")
        if name in self.held:
            await self.held[name].wait()
        if name in self.broken:
            raise self.broken[name]


class FakeClient:
    """The protocol over a ``FakeEngine``."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.closed = False

    async def call(
        self, operation: Operation[Any, Any], request: Any, call: Call | None = None
    ) -> Done[Any] | Pending:
        assert not self.closed
        assert operation.kind is not Kind.STREAM, f"{operation.name} is a stream"
        request = _travel(operation.request, request)
        self._engine.calls.append((operation.name, request))
        await self._engine.gate(operation.name)
        handler = _HANDLERS.get(operation.name)
        if handler is None:
            raise NotFound(f"{operation.name} is not bound here.")
        result = await handler(self._engine.world, request)
        if (gone := self._engine.slow.get(operation.name)) is not None:
            self._engine.waiting += 1
            await gone.wait()
            self._engine.waiting -= 1
        if isinstance(result, Pending):
            return result
        kind = jobs.JobStarted if operation.kind is Kind.JOB else operation.result
        return Done(_travel(kind, result))

    @asynccontextmanager
    async def stream(
        self, operation: Operation[Any, Any], request: Any, call: Call | None = None
    ) -> AsyncIterator[AsyncIterator[Any]]:
        assert not self.closed
        assert operation.kind is Kind.STREAM, f"{operation.name} is no stream"
        engine = self._engine
        request = _travel(operation.request, request)
        engine.calls.append((operation.name, request))
        await engine.gate(operation.name)
        engine.open_streams[operation.name] = engine.open_streams.get(operation.name, 0) + 1
        items = _STREAMS[operation.name](engine.world, request)
        try:
            async with engine.opened(items) as opened:
                yield opened
        finally:
            engine.open_streams[operation.name] -= 1
            await items.aclose()

    @asynccontextmanager
    async def events(self, after: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        await self._engine.gate("events")
        async with self._engine.subscribe(after) as items:
            yield items

    async def snapshot(self, topics: Sequence[Operation[Any, Any]]) -> Snapshot:
        results: dict[str, Any] = {}
        failures: dict[str, ErrorInfo] = {}
        seq = self._engine.world.seq
        for operation in topics:
            try:
                done = await self.call(operation, operation.request())
            except Disconnected:
                raise
            except ArcanumError as error:
                failures[operation.name] = ErrorInfo.model_validate(error.to_wire())
            else:
                assert isinstance(done, Done)
                results[operation.name] = done.result
        return Snapshot(seq, results, failures)

    async def ping(self) -> None:
        self._engine.pings += 1
        await self._engine.gate("ping")

    async def close(self) -> None:
        self.closed = True


def _travel(kind: type[Wire], value: Any) -> Any:
    assert isinstance(value, kind), f"{type(value).__name__} is no {kind.__name__}"
    return kind.model_validate_json(value.model_dump_json())


Handler = Callable[[World, Any], Any]


async def _status(world: World, request: Empty) -> engine_words.Status:
    return world.status()


async def _scan(world: World, request: assets.LibraryName) -> jobs.JobStarted:
    return jobs.JobStarted(job_id=world.start_job("media.scan", request.library).id)


async def _report(world: World, request: report.ReportMedia) -> report.MediaReport:
    return samples.report("-".join(request.libraries) or "all")


async def _prune(world: World, request: quota.Prune) -> Pending:
    return Pending(world.request_prune(request.library))


async def _delete(world: World, request: memory.OneSession) -> Pending:
    return Pending(world.talk.request_deletion(request.session))


async def _forget(world: World, request: Forget) -> Pending:
    return Pending(world.memories.request_forgetting(request))


_HANDLERS: dict[str, Handler] = {
    engine_words.STATUS.name: _status,
    approvals.LIST.name: World.list_approvals,
    approvals.SHOW.name: World.show_approval,
    approvals.APPROVE.name: World.approve,
    approvals.DENY.name: World.deny,
    approvals.KEEP.name: World.keep,
    jobs.LIST.name: World.list_jobs,
    jobs.PAUSE.name: World.pause_job,
    jobs.RESUME.name: World.resume_job,
    jobs.CANCEL.name: World.cancel_job,
    media.LIBRARIES.name: World.list_libraries,
    media.ADD.name: World.add_library,
    media.REMOVE.name: World.remove_library,
    report.MEDIA.name: _report,
    media.SCAN.name: _scan,
    quota.SHOW.name: World.show_gauges,
    quota.SET.name: World.set_limit,
    quota.PRUNE.name: _prune,
    quota.UNDO.name: World.undo,
    model.INFO.name: World.model_info,
    model.LIST.name: World.list_models,
    model.USE.name: World.use_model,
    model.LOAD.name: World.load_model,
    memory.SESSIONS.name: lambda world, request: world.talk.list_sessions(request),
    memory.TURNS.name: lambda world, request: world.talk.list_turns(request),
    memory.RENAME.name: lambda world, request: world.talk.rename(request),
    memory.SWITCH.name: lambda world, request: world.talk.switch(request),
    memory.DELETE.name: _delete,
    memory.RESTORE.name: lambda world, request: world.talk.restore(request),
    recall.SEARCH.name: lambda world, request: world.memories.search(request),
    recall.LIST.name: lambda world, request: world.memories.list(request),
    recall.SHOW.name: lambda world, request: world.memories.show(request),
    recall.ADD.name: lambda world, request: world.memories.add(request),
    recall.PIN.name: lambda world, request: world.memories.pin(request),
    recall.EDIT.name: lambda world, request: world.memories.edit(request),
    recall.FORGET.name: _forget,
    recall.RESTORE.name: lambda world, request: world.memories.restore(request),
    recall.NAMESPACES.name: lambda world, request: world.memories.namespaces(request),
    recall.STATS.name: lambda world, request: world.memories.stats(request),
    recall.WATCH.name: lambda world, request: world.memories.watch(request),
    recall.UNWATCH.name: lambda world, request: world.memories.unwatch(request),
    discovery.LOOK.name: World.look,
    discovery.ANSWER.name: World.answer,
    **fake_shelves.HANDLERS,
}

_STREAMS: dict[str, Callable[[World, Any], Any]] = {
    agent0.ASK.name: World.ask,
    memory.EXPORT.name: lambda world, request: world.talk.export(request),
    telemetry.WATCH.name: World.watch,
}
