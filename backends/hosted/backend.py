"""A model on this machine, in a child process of ours, whichever library runs it there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backends.hosted.running import AGAIN, Running
from backends.hosted.settings import Options, Setup
from backends.hosted.slots import Slot
from backends.hosted.states import prefix_name, session_name
from backends.once import SingleFlight
from backends.tokens import too_long
from engine.contract.backend import (
    BackendInfo,
    Feature,
    Generation,
    KeepsState,
    Message,
    ModelState,
    Observation,
    Observer,
    P,
    Piece,
)
from engine.contract.errors import Failed, ModelFailed

_EXTRA = {"cache_prompt": True, "return_progress": True}
_MAX_PREFIXES = 8


@dataclass(frozen=True, slots=True)
class _Seat:
    """Where an answer to a prompt of so many tokens is given."""

    running: Running
    slot: Slot
    tokens: int


class Hosted:
    """The ``Backend`` over a child process, and its ``KeepsState``.

    ``kind`` is the backend's name. ``check`` looks at the model before a process is started: it
    returns its size in bytes, or raises ModelFailed. ``decide`` makes the options of each load
    anew, all but how many answers it gives at a time; it may raise Failed. ``observer`` is told of
    a process that ends by itself, and of one that is started: also for a question, behind the back
    of whoever looks after loading.
    """

    def __init__(
        self,
        kind: str,
        check: Callable[[Path], int],
        setup: Setup,
        decide: Callable[[], Awaitable[Options]] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._kind = kind
        self._check = check
        self._setup = setup
        self._decide = decide
        self._observer = observer
        self._name = setup.name
        self._loading = SingleFlight()
        self._running: Running | None = None
        self._watching: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        # More requests than the server has slots would wait in it without a sign of life.
        self._seats = asyncio.Semaphore(setup.parallel)
        self._prefixes: dict[str, tuple[Message, ...]] = {}
        self._size = 0
        self._load_s: float | None = None
        self._library = setup.host.label
        self._reason = ""

    def info(self) -> BackendInfo:
        running, setup = self._running, self._setup
        if self._loading.busy:
            state = ModelState.LOADING
        elif running is not None:
            state = ModelState.READY
        else:
            state = ModelState.FAILED if self._reason else ModelState.UNLOADED
        return BackendInfo(
            backend=self._kind,
            model=self._name,
            state=state,
            reason=self._reason,
            context=running.context if running else setup.options.context,
            size=self._size,
            pid=running.child.pid if running else None,
            library=self._library,
            device=setup.options.device,
            parallel=setup.parallel,
            features=setup.host.features | ({Feature.STATE} if setup.states else set()),
            load_s=self._load_s,
        )

    async def load(self) -> None:
        if self._leaving is not None:  # It is loaded anew when it has gone.
            await asyncio.wait({self._leaving})
        if self._running is None or not self._running.child.alive:
            await self._loading.run(self._start)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        name = session_name(generation.session)
        async with (
            self._seated(name, generation.messages) as seat,
            self._answer(seat, generation) as pieces,
        ):
            yield pieces

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return (await self._count(messages))[1]

    async def unload(self) -> None:
        await self._loading.cancel()
        self._reason = ""
        if self._running is not None and self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(self._running))
        for ending in (self._leaving, self._watching):
            if ending is not None:
                await asyncio.wait({ending})

    def forget(self, session: str) -> None:
        """What it holds of a conversation in memory goes, once its states are forgotten."""
        if self._running is not None:
            self._running.keeper.forget(session_name(session))

    def extra(self, port: type[P]) -> P | None:
        return self if port is KeepsState else None  # type: ignore[return-value]

    # --- KeepsState ---

    async def warm(self, messages: Sequence[Message]) -> None:
        prefix = tuple(messages)
        name = prefix_name(prefix)
        self._prefixes[name] = self._prefixes.pop(name, prefix)
        while len(self._prefixes) > _MAX_PREFIXES:
            del self._prefixes[next(iter(self._prefixes))]
        # The templates of some models refuse a prompt without a question.
        asked = prefix and prefix[-1].role == "user"
        prompt = prefix if asked else (*prefix, Message("user", "Hello"))
        async with self._seated(name, prompt) as seat:
            if not seat.slot.tokens:
                async with self._answer(seat, Generation(prompt, max_tokens=1)) as pieces:
                    async for _ in pieces:
                        pass
        await seat.running.keeper.save()

    async def save(self) -> None:
        if self._running is not None:
            await self._running.keeper.save()

    # --- one child's life ---

    async def _start(self) -> None:
        if self._watching is not None:  # The last child is being cleaned up.
            await asyncio.wait({self._watching})
        begun = time.monotonic()
        self._reason = ""
        self._tell()
        try:
            if self._decide is not None:
                self._setup = replace(self._setup, options=await self._decide())
            self._size = await asyncio.to_thread(self._check, self._setup.model)
            self._running = await Running.start(self._setup, self._prefixes)
        except Failed as error:
            self._reason = error.message
            raise
        finally:
            asyncio.get_running_loop().call_soon(self._tell)  # When this run is over.
        self._library = self._running.library
        self._load_s = time.monotonic() - begun
        self._watching = asyncio.create_task(self._watch(self._running))

    async def _watch(self, running: Running) -> None:
        """Cleans up after the child, whenever it ends."""
        await running.child.wait()
        self._running = None
        if not running.child.unloaded:
            self._reason = f"Its process {running.child.verdict()}"
            self._tell()
        await running.stop()

    def _tell(self) -> None:
        if self._observer is not None:
            seen = Observation(self._name, self._kind, what="changed", seconds=0.0, outcome="ok")
            self._observer(seen)

    async def _leave(self, running: Running) -> None:
        """Ends the child, after what it has read is on disk."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._setup.patience.leave_s):
                    await running.keeper.save()
        finally:
            running.child.unload()
            await running.child.wait()
            self._leaving = None

    async def _ready(self) -> Running:
        await self.load()
        if self._running is None:
            raise ModelFailed(f"{self._name} did not stay loaded. {self._reason}", AGAIN)
        return self._running

    # --- one request ---

    async def _count(
        self, messages: Sequence[Message], *, again: bool = True
    ) -> tuple[Running, int]:
        """``again`` as ``ChatServer.count`` has it."""
        running = await self._ready()
        try:
            return running, await running.count(messages, again=again)
        except Failed:
            if running.child.alive:
                raise
        # It ended since the last question, and nobody had noticed: no reason to fail this one.
        running = await self._ready()
        return running, await running.count(messages, again=again)

    @asynccontextmanager
    async def _seated(self, name: str, messages: tuple[Message, ...]) -> AsyncIterator[_Seat]:
        """Waits for a slot, and takes up there what is kept of the conversation."""
        async with self._seats:
            running, tokens = await self._count(messages, again=False)
            if tokens >= running.context:
                raise too_long(self._name, tokens, running.context)
            async with running.pulse(), running.keeper.seat(name, messages) as slot:
                yield _Seat(running, slot, tokens)

    @asynccontextmanager
    async def _answer(
        self, seat: _Seat, generation: Generation
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        extra: dict[str, Any] = dict(_EXTRA)
        if self._setup.states is not None:  # Else llama.cpp knows best what it has in memory.
            extra["id_slot"] = seat.slot.number
        async with (
            seat.running.server.chat(generation, extra) as pieces,
            aclosing(seat.running.keeper.follow(seat.slot, seat.tokens, pieces)) as followed,
        ):
            yield followed
