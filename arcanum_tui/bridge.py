"""Between the engine and the screens: one connection, kept up; events in batches, folded.

Imported after the first paint, because the contract's models take their time to load.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from arcanum_tui.state import fold
from arcanum_tui.state.model import State
from engine.contract.base import Wire
from engine.contract.client import Done, EngineClient, Pending, Snapshot
from engine.contract.errors import ArcanumError, Disconnected, Unavailable
from engine.contract.events import Event, Resync
from engine.contract.operation import Operation

Req = TypeVar("Req", bound=Wire)
Res = TypeVar("Res", bound=Wire)

Connect = Callable[[], Awaitable[EngineClient]]

HZ = 12.0
"""The screens are told at most so often in a second."""

REREAD_S = 0.4
"""Results that events made stale are read again at most this often."""

LOOK_S = 15.0
"""The status is read again this often even when nothing happens: unknowns grow with time."""

MEANWHILE = 10_000
"""At most so many events are kept while a result is read again."""

TURN_S = 0.5
PING_S = 2.0
"""A sign of life is asked for so long after the last one."""

SILENT_S = 5.0
"""An engine that has given none for so long is said not to answer: a busy one takes its time."""

RETRY_S = (0.3, 1.0, 2.0, 5.0)


class Bridge:
    """Keeps ``state`` up to date and hands it to ``deliver``, in batches.

    When the engine goes away it says so in ``state.link``, tries again by itself, and takes a
    fresh snapshot when it is back.
    """

    def __init__(
        self,
        connect: Connect,
        deliver: Callable[[State], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.state = State()
        self._connect, self._deliver, self._clock = connect, deliver, clock
        self._client: EngineClient | None = None
        self._again = asyncio.Event()
        self._live = asyncio.Event()
        self._wake = asyncio.Event()
        self._events: deque[Event] = deque()
        self._heard = False
        self._meanwhile: deque[Event] = deque(maxlen=MEANWHILE)

    # --- calls ----------------------------------------------------------------------------------

    async def call(self, operation: Operation[Req, Res], request: Req) -> Done[Res] | Pending:
        """As ``EngineClient.call``. Raises Unavailable while there is no connection."""
        return await self._need().call(operation, request)

    async def ask(self, operation: Operation[Req, Res], request: Req) -> Res:
        """The result of an operation that never needs an approval."""
        done = await self.call(operation, request)
        if isinstance(done, Pending):
            raise Unavailable(f"#{done.approval_id} waits for an answer first.", "a shows it.")
        return done.result

    @asynccontextmanager
    async def stream(
        self, operation: Operation[Any, Any], request: Wire
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """As ``EngineClient.stream``."""
        async with self._need().stream(operation, request) as items:
            yield items

    async def connected(self) -> None:
        """Waits until there is a connection."""
        await self._live.wait()

    def reconnect(self) -> None:
        """Tries again now, or reads everything again."""
        self._again.set()
        self._wake.set()

    def _need(self) -> EngineClient:
        if self._client is None:
            why = self.state.link.why or "The engine is still starting."
            raise Unavailable(why, "It is tried again by itself; r tries now.")
        return self._client

    # --- the connection -------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until it is cancelled."""
        tries = 0
        while True:
            self._again.clear()
            why, wait = "", None
            try:
                await self._session()
            except ArcanumError as error:
                why = f"{error.message} {error.hint}".strip()
                wait = RETRY_S[tries] if error.retryable else None
            except OSError as error:
                why, wait = str(error), RETRY_S[tries]
            finally:
                tries = 0 if self._live.is_set() else min(tries + 1, len(RETRY_S) - 1)
                await self._drop()
            self._tell(fold.lost(self.state, why, self._clock()))
            # Not wait_for: before Python 3.12 it can swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._again.wait()

    async def _session(self) -> None:
        self._client = client = await self._connect()
        # First the events from now on, then the snapshot: nothing can fall between them.
        async with client.events() as events:
            reader = asyncio.create_task(self._listen(events))
            tasks = [reader]
            try:
                tasks.append(asyncio.create_task(self._listen_for_life(client)))
                await self._read(client)
                self._live.set()
                tasks.append(asyncio.create_task(self._look_back(client, self.state.seq)))
                await self._follow(client, reader)
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError, ArcanumError):
                        await task

    async def _listen_for_life(self, client: EngineClient) -> None:
        """Says so while the engine neither answers nor tells anything, and when it does again."""
        while True:
            ping, link = asyncio.ensure_future(client.ping()), self.state.link
            self._heard, since, quiet = False, self._clock(), 0.0
            try:
                while not (await asyncio.wait({ping}, timeout=TURN_S))[0]:
                    # In turns: while this process itself is held up, nothing can be heard.
                    quiet += TURN_S
                    if self._heard:
                        self._heard, quiet, since = False, 0.0, self._clock()
                        self._tell(fold.answered(self.state, link))
                    elif quiet >= SILENT_S and self.state.link.state != "silent":
                        self._tell(fold.silent(self.state, since))
                await ping
            finally:
                ping.cancel()
            self._tell(fold.answered(self.state, link))
            await asyncio.sleep(PING_S)

    async def _look_back(self, client: EngineClient, upto: int) -> None:
        """The latest durable events that the snapshot holds already: what happened before."""
        if not upto:
            return
        async with client.events(max(0, upto - fold.RECENT)) as events:
            async for event in events:
                if event.seq is not None:
                    self._events.append(event)
                    self._wake.set()
                    if event.seq >= upto:
                        return

    async def _drop(self) -> None:
        client, self._client = self._client, None
        self._live.clear()
        self._events.clear()
        if client is not None:
            with suppress(ArcanumError, OSError):
                await client.close()

    async def _read(self, client: EngineClient) -> None:
        snapshot = await client.snapshot(fold.TOPICS)
        state = fold.read(self.state, snapshot, self._clock())
        self._tell(fold.at(state, snapshot.seq))

    async def _listen(self, events: AsyncIterator[Event]) -> None:
        try:
            async for event in events:
                self._events.append(event)
                self._heard = True
                self._wake.set()
        finally:
            self._wake.set()
        raise Disconnected("The engine closed the connection.", "It is tried again by itself.")

    async def _follow(self, client: EngineClient, reader: asyncio.Task[None]) -> None:
        """Folds what came, tells the screens, and reads again what became stale."""
        loop = asyncio.get_running_loop()
        stale: set[str] = set()
        rereading: asyncio.Task[Snapshot] | None = None
        read_at = loop.time()
        try:
            while True:
                with suppress(TimeoutError):
                    due = read_at + (REREAD_S if stale else LOOK_S) - loop.time()
                    async with asyncio.timeout(max(0.0, due)):
                        await self._wake.wait()
                self._wake.clear()
                if self._again.is_set():
                    self._again.clear()
                    await self._read(client)
                stale |= await self._fold(client)
                if reader.done():
                    await reader
                if rereading is not None and rereading.done():
                    self._reread(await rereading)
                    rereading = None
                if rereading is None and loop.time() - read_at >= (REREAD_S if stale else LOOK_S):
                    wanted = fold.topics(stale or {"engine.status"})
                    self._meanwhile.clear()
                    rereading = asyncio.create_task(client.snapshot(wanted))
                    rereading.add_done_callback(lambda _: self._wake.set())
                    stale, read_at = set(), loop.time()
                await asyncio.sleep(1.0 / HZ)
        finally:
            if rereading is not None:
                rereading.cancel()
                with suppress(asyncio.CancelledError, ArcanumError):
                    await rereading

    def _reread(self, snapshot: Snapshot) -> None:
        """Takes results in, without losing what was told while they were read."""
        state = fold.read(self.state, snapshot, self._clock())
        for event in self._meanwhile:
            if event.seq is None or event.seq > snapshot.seq:
                state = fold.apply(state, event)
        self._tell(state)

    async def _fold(self, client: EngineClient) -> set[str]:
        stale: set[str] = set()
        state = self.state
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Resync):
                await self._read(client)
                state = self.state
                continue
            state, more = fold.fold(state, event)
            stale |= more
            self._meanwhile.append(event)
        self._tell(state)
        return stale

    def _tell(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._deliver(state)
