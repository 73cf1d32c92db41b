"""The loaded models: one copy for all who ask, freed when idle or when another needs the memory.

Who uses a model holds a lease. A model without leases is idle: a timer frees it, or a load that
needs its memory does, the least recently used first. What it has read is saved before. A load
waits a while for the answer that is in its way; nobody's answer is broken off for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.contract.backend import Backend, BackendCatalog, KeepsState, ModelState, Placement
from engine.contract.base import visible
from engine.contract.errors import ArcanumError, Unavailable
from engine.models import memory
from engine.models.once import Once

_log = logging.getLogger("arcanum.models")
_SAVE_WITHIN_S = 30.0
_SAVE_AT_STOP_S = 3.0
_WAIT_FOR_ANSWERS_S = 10.0


class Loaded:
    """A model that is in memory, comes into it or leaves it.

    ``told`` is its state as the faces know it.
    """

    def __init__(self, name: str, backend: Backend, pool: Pool) -> None:
        self.name = name
        self.backend = backend
        self.placement: Placement | None = None
        self.failure = ""
        self.leases = 0
        self.used_at = time.monotonic()
        self.told = ModelState.UNLOADED
        self.loading = Once(lambda: pool.load(self))
        self.retiring = Once(lambda: pool.retire(self))
        self.freeing = Once(lambda: pool.free(self))
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        return self.backend.info().state is ModelState.READY

    @property
    def state(self) -> ModelState:
        """As its backend says; waiting for memory is part of loading."""
        state = self.backend.info().state
        if state is ModelState.READY:
            return state
        if self.loading.running:
            return ModelState.LOADING
        return ModelState.FAILED if self.failure else state

    @property
    def moving(self) -> bool:
        """It is loaded or freed by us now."""
        return self.loading.running or self.freeing.running

    @property
    def resting(self) -> bool:
        """Nothing is in memory, nothing under way and nobody here."""
        return (
            not self.leases
            and not self.moving
            and self.state in {ModelState.UNLOADED, ModelState.FAILED}
        )

    def hold(self) -> None:
        self.leases += 1
        self.stay()

    def stay(self) -> None:
        """No timer frees it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave_in(self, seconds: float) -> None:
        self.stay()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.retiring.begin)


class Pool:
    """``budget``: bytes that all models may take, 0 for what the machine has free.

    ``keep_alive_s``: how long an idle model stays, below 0 for ever. ``changed`` is told the name
    of each model whose state changed; ``loaded`` that a load took so many seconds.
    """

    def __init__(
        self,
        catalog: BackendCatalog,
        *,
        budget: int,
        keep_alive_s: float,
        changed: Callable[[str], None],
        loaded: Callable[[Backend, float], None],
    ) -> None:
        self._catalog = catalog
        self._budget = budget
        self._keep_alive_s = keep_alive_s
        self._changed = changed
        self._loaded = loaded
        self._models: dict[str, Loaded] = {}
        self._pinned = ""
        self._deciding = asyncio.Lock()
        self._rested = asyncio.Event()
        self._closed = False

    def look(self) -> None:
        """Tells of each model whose state has changed by itself: a process may end at any time."""
        for model in list(self._models.values()):
            if model.moving or model.state is model.told:
                continue
            self._tell(model)
            model.stay()
            if not model.leases:
                self._rest(model)

    def _tell(self, model: Loaded) -> None:
        model.told = model.state
        self._changed(model.name)

    # --- which ----------------------------------------------------------------------------------

    def pin(self, name: str) -> Loaded:
        """The model that is spoken of as the one in use, loaded or not. Raises what create does."""
        model = self._model(name)
        before, self._pinned = self._models.get(self._pinned), name
        if before is not None:
            self._tidy(before)
        return model

    def peek(self, name: str) -> Loaded | None:
        return self._models.get(name)

    def count(self) -> int:
        """How many are in memory."""
        return sum(each.ready for each in self._models.values())

    def _model(self, name: str) -> Loaded:
        if name not in self._models:
            self._models[name] = Loaded(name, self._catalog.create(name), self)
        return self._models[name]

    def _tidy(self, model: Loaded) -> None:
        """Forgets a model that is not in memory, unless it is the one in use."""
        mine = self._models.get(model.name) is model
        if mine and model.name != self._pinned and model.resting:
            del self._models[model.name]

    # --- using ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Backend]:
        """The model, loaded, and kept so. Raises Unavailable with the numbers if it cannot fit."""
        model = self._model(name)
        model.hold()
        try:
            await self._make_ready(model)
            yield model.backend
        finally:
            model.leases -= 1
            self._rest(model)

    @asynccontextmanager
    async def copy(self, name: str) -> AsyncIterator[Backend]:
        """A copy that nobody else asks, loaded; gone afterwards."""
        key = f"{name}, a second copy"
        if key in self._models:
            raise Unavailable(f"{visible(name)} is being measured already.", "Wait for its end.")
        model = self._models[key] = Loaded(name, self._catalog.create(name), self)
        model.hold()
        try:
            await self._make_ready(model)
            yield model.backend
        finally:
            await asyncio.shield(self._forget(key))

    async def open(self, name: str) -> None:
        """Loads it ahead of the first question; it stays for as long as an idle one does."""
        async with self.lease(name):
            pass
        if self._keep_alive_s == 0 and (model := self._models.get(name)) is not None:
            model.stay()  # Else it would be gone before it is asked.

    async def close(self, name: str) -> None:
        """Frees it now. Answers under way end; whoever asks afterwards is served."""
        model = self._models.get(name)
        if model is not None:
            if not model.leases:
                await self._save(model, _SAVE_AT_STOP_S)
            await model.freeing.join()

    async def drop(self, name: str) -> None:
        """Frees it and forgets it: the name may come to mean another model."""
        if name in self._models:
            await self._forget(name)

    async def stop(self) -> None:
        """Saves and frees everything; nothing is loaded any more."""
        self._closed = True
        await asyncio.gather(*(self._end(each) for each in list(self._models.values())))

    async def _end(self, model: Loaded) -> None:
        model.stay()
        await model.loading.end()
        await self._save(model, _SAVE_AT_STOP_S)
        await model.freeing.join()

    async def _forget(self, key: str) -> None:
        model = self._models.pop(key)
        model.stay()
        await model.freeing.join()

    def _rest(self, model: Loaded) -> None:
        """Nobody may be left who uses it."""
        model.used_at = time.monotonic()
        self._rested.set()
        if model.leases or self._closed:
            return
        if self._models.get(model.name) is not model:
            model.freeing.begin()  # It was dropped while it was used.
        elif model.ready and self._keep_alive_s >= 0:
            model.leave_in(self._keep_alive_s)
        else:
            self._tidy(model)

    # --- loading --------------------------------------------------------------------------------

    async def _make_ready(self, model: Loaded) -> None:
        await model.freeing.over()
        if self._closed:
            raise Unavailable("The engine is stopping.", "Start it again.")
        if not model.ready and not await model.loading.join():
            raise Unavailable(
                f"{visible(model.name)} was unloaded while it was loading.", "Ask again."
            )

    async def load(self, model: Loaded) -> None:
        """The run of ``model.loading``: memory first, one model at a time, then the load."""
        model.failure = ""
        try:
            if await self._catalog.place(model.name) is None:
                await self._bring(model)
            else:
                async with self._deciding:
                    model.placement = await self._make_room(model)
                    await self._bring(model)
        except ArcanumError as error:
            model.failure = error.message
            raise
        finally:
            # Once this run is over: what it tells of is the state that is left.
            asyncio.get_running_loop().call_soon(self._ended, model)

    def _ended(self, model: Loaded) -> None:
        self._tell(model)
        if not model.leases:
            self._rest(model)

    async def _bring(self, model: Loaded) -> None:
        self._tell(model)
        started = time.perf_counter()
        await model.backend.load()
        self._loaded(model.backend, time.perf_counter() - started)

    async def _make_room(self, model: Loaded) -> Placement | None:
        """Where it goes, once there is room. Raises Unavailable with the numbers."""
        patient_until = time.monotonic() + _WAIT_FOR_ANSWERS_S
        while True:
            self._rested.clear()
            wanted = await self._catalog.place(model.name)
            held = self._held(model)
            room = memory.Room(self._budget, tuple(held))
            idle = [each for each in held if not each.busy]
            if wanted is None:
                return None
            if not room.lacks(wanted):
                idle = [each for each in idle if each.on_device] if room.cramps(wanted) else []
                if not idle:
                    return wanted
            elif not idle or room.lacks(wanted, leaving=idle):
                refusal = room.refusal(model.name, wanted)
                if room.lacks(wanted, leaving=room.held):
                    raise refusal
                await self._somebody_rests(patient_until - time.monotonic(), refusal)
                continue
            await min((held[each] for each in idle), key=lambda each: each.used_at).retiring.join()

    async def _somebody_rests(self, within_s: float, refusal: Unavailable) -> None:
        """Returns when a model has become idle. Raises ``refusal`` where none does."""
        try:
            async with asyncio.timeout(within_s):
                await self._rested.wait()
        except TimeoutError:
            raise refusal from None

    def _held(self, but: Loaded) -> dict[memory.Holding, Loaded]:
        """What else takes memory now."""
        return {
            memory.Holding(each.name, each.placement, each.leases > 0): each
            for each in self._models.values()
            if each is not but and each.placement is not None and each.ready
        }

    # --- freeing --------------------------------------------------------------------------------

    async def retire(self, model: Loaded) -> None:
        """The run of ``model.retiring``: frees it idle; whoever asks meanwhile keeps it."""
        await self._save(model, _SAVE_WITHIN_S)
        if not model.leases:
            await model.freeing.join()

    async def free(self, model: Loaded) -> None:
        """The run of ``model.freeing``."""
        try:
            await model.loading.end()
            await model.backend.unload()
        finally:
            model.failure = ""
            asyncio.get_running_loop().call_soon(self._freed, model)

    def _freed(self, model: Loaded) -> None:
        self._tell(model)
        self._tidy(model)

    async def _save(self, model: Loaded, within_s: float) -> None:
        keeps = model.backend.extra(KeepsState)  # type: ignore[type-abstract]  # noqa: S610 - no Django
        if keeps is None or not model.ready:
            return
        try:
            async with asyncio.timeout(within_s):
                await keeps.save()
        except (ArcanumError, TimeoutError) as error:
            _log.warning("%s: what it has read was not saved: %s", visible(model.name), error)
