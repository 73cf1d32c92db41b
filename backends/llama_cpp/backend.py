"""A GGUF model on this machine, in a child process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backends.address import Address
from backends.connect import Trouble, connect, warm_up
from backends.llama_cpp.child import Child, Options
from backends.llama_cpp.gguf import check_gguf
from backends.once import SingleFlight
from backends.tokens import estimate_prompt, too_long
from engine.contract.backend import BackendInfo, Generation, Message, ModelState, P, Piece
from engine.contract.base import visible
from engine.contract.errors import Failed, ModelFailed, Unavailable

if TYPE_CHECKING:
    from backends.chat import ChatServer

_AGAIN = "Ask again: it is loaded anew. If that repeats, use another model: arcanum model list"
_EXTRA = {"cache_prompt": True, "return_progress": True}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    ``pulse_s``: for any sign of life while a request is under way; a long prompt does not stop
    those. ``silence_s``: for the next piece or progress of the answer itself.
    """

    load_s: float = 300.0
    pulse_s: float = 15.0
    silence_s: float = 300.0


@dataclass(frozen=True, slots=True)
class _Running:
    child: Child
    server: ChatServer
    context: int


class LlamaCpp:
    """The ``Backend`` over a child process. ``runtime_dir`` is where its socket's folder goes."""

    def __init__(
        self,
        model: Path,
        runtime_dir: Path,
        options: Options | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._model = model
        self._name = visible(model.stem)
        self._runtime_dir = runtime_dir
        self._options = options or Options()
        self._patience = patience or Patience()
        self._loading = SingleFlight()
        self._running: _Running | None = None
        self._watching: asyncio.Task[None] | None = None
        # More requests than the server has slots would wait in it without a sign of life.
        self._slots = asyncio.Semaphore(self._options.parallel)
        self._size = 0
        self._reason = ""

    def info(self) -> BackendInfo:
        running = self._running
        if self._loading.busy:
            state = ModelState.LOADING
        elif running is not None:
            state = ModelState.READY
        else:
            state = ModelState.FAILED if self._reason else ModelState.UNLOADED
        return BackendInfo(
            backend="llama_cpp",
            model=self._name,
            state=state,
            reason=self._reason,
            context=running.context if running else self._options.context,
            size=self._size,
            pid=running.child.pid if running else None,
        )

    async def load(self) -> None:
        if self._running is None or not self._running.child.alive:
            await self._loading.run(self._start)

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        async with self._slots:
            running, tokens = await self._count(generation.messages)
            if tokens >= running.context:
                raise too_long(self._name, tokens, running.context)
            async with (
                self._pulse(running.child, running.server),
                running.server.chat(generation, _EXTRA) as pieces,
            ):
                yield pieces

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return (await self._count(messages))[1]

    async def unload(self) -> None:
        await self._loading.cancel()
        self._reason = ""
        if self._running is not None:
            self._running.child.unload()
        if self._watching is not None:
            await asyncio.wait({self._watching})

    def extra(self, port: type[P]) -> P | None:
        return None

    # --- one child's life ---

    async def _start(self) -> None:
        if self._watching is not None:  # The last child is being cleaned up.
            await asyncio.wait({self._watching})
        self._reason = ""
        try:
            self._size = await asyncio.to_thread(check_gguf, self._model)
            warming = asyncio.create_task(warm_up())
            try:
                child = await Child.start(
                    self._model, self._options, self._runtime_dir, self._patience.load_s
                )
            finally:
                await asyncio.wait({warming})
            self._running = await self._meet(child)
        except Failed as error:
            self._reason = error.message
            raise
        self._watching = asyncio.create_task(self._watch(self._running))

    async def _meet(self, child: Child) -> _Running:
        """Asks a new child for the context that its model really has."""
        try:
            address = Address.unix(child.socket)
            server = await connect(
                self._name,
                address,
                partial(self._explain, child),
                key=child.key,
                silence_s=self._patience.silence_s,
            )
            async with self._pulse(child, server):
                props = await server.fetch("GET", f"{address.root}/props")
            return _Running(child, server, int(props["default_generation_settings"]["n_ctx"]))
        except BaseException:
            await child.stop()
            raise

    async def _watch(self, running: _Running) -> None:
        """Cleans up after the child, whenever it ends."""
        await running.child.wait()
        self._running = None
        if not running.child.unloaded:
            self._reason = f"Its process {running.child.verdict()}"
        await running.server.close()
        await running.child.stop()

    async def _ready(self) -> _Running:
        await self.load()
        if self._running is None:
            raise ModelFailed(f"{self._name} did not stay loaded. {self._reason}", _AGAIN)
        return self._running

    # --- one request ---

    async def _count(self, messages: Sequence[Message]) -> tuple[_Running, int]:
        running = await self._ready()
        try:
            return running, await self._count_by(running, messages)
        except ModelFailed:
            if running.child.alive:
                raise
        # It died since the last question, and nobody had noticed: no reason to fail this one.
        running = await self._ready()
        return running, await self._count_by(running, messages)

    async def _count_by(self, running: _Running, messages: Sequence[Message]) -> int:
        async with self._pulse(running.child, running.server):
            count = await running.server.count(messages)
        return estimate_prompt(messages) if count is None else count

    @asynccontextmanager
    async def _pulse(self, child: Child, server: ChatServer) -> AsyncIterator[None]:
        """Ends a child that shows no sign of life while this request waits for it."""
        feeling = asyncio.create_task(self._feel(child, server))
        try:
            yield
        finally:
            feeling.cancel()
            await asyncio.wait({feeling})
            if not feeling.cancelled():
                feeling.result()

    async def _feel(self, child: Child, server: ChatServer) -> None:
        half = self._patience.pulse_s / 2
        while child.alive:
            await asyncio.sleep(half)
            try:
                async with asyncio.timeout(half):
                    await server.fetch("GET", server.address.root + "/health")
            except TimeoutError:
                child.kill(f"showed no sign of life for {self._patience.pulse_s:g} s and was ended")
            except Failed:  # It ended: the request itself notices.
                return

    async def _explain(self, child: Child, trouble: Trouble, detail: str) -> Failed:
        """What a person is told when a request to the child fails underway."""
        if trouble is Trouble.SILENT:
            child.kill(f"wrote nothing for {self._patience.silence_s:g} s and was ended")
        with suppress(TimeoutError):
            async with asyncio.timeout(2):  # Its end may be noticed a little later.
                await child.wait()
        if child.alive:
            return ModelFailed(f"{self._name} broke off: {detail}", _AGAIN)
        if child.unloaded:
            return Unavailable(f"{self._name} was unloaded while it was asked", "Ask again.")
        return ModelFailed(f"{self._name} stopped: its process {child.verdict()}", _AGAIN)
