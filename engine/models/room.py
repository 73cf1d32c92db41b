"""Serves ``model``: the model in use, why it is that one, and its state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.contract import model as words
from engine.contract.backend import Backend
from engine.contract.base import Empty, visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, NotFound, Unavailable
from engine.contract.ports import Concern, Models, Severity
from engine.ground import Ground

_SETTING = "model.use"
_FALLBACK = "scripted"
_DEFAULTS = {"bundled": "it comes with Arcanum", _FALLBACK: "no model can be run here"}


class ModelsRoom:
    """One backend at a time. The choice: an operation's, else the configuration's, else default.

    A choice that cannot be made here (not installed, no longer configured) falls back to the
    scripted backend, which says what is missing and never pretends to be a model. A model that
    fails to *load* is an error: it is not replaced behind the user's back.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._name = ""
        self._because = ""
        self._backend: Backend | None = None

    async def start(self) -> None:
        chosen = await self._ground.settings.get(_SETTING)
        configured = self._ground.config.model.use
        default = self._ground.models.default
        if isinstance(chosen, str):
            self._choose(chosen, "you chose it with `model use`")
        elif configured is not None:
            self._choose(configured, "config.toml names it")
        else:
            self._choose(default, _DEFAULTS.get(default, "config.toml names it"))
        self._ground.door.unary(words.INFO, self._info)
        self._ground.door.unary(words.LIST, self._list)
        self._ground.door.unary(words.USE, self._use)
        self._ground.door.unary(words.LOAD, self._load)
        self._ground.door.unary(words.UNLOAD, self._unload)
        self._ground.provide(Models, self)  # type: ignore[type-abstract]
        self._ground.probes["model"] = self._concerns

    async def stop(self) -> None:
        await self.backend.unload()

    def _choose(self, name: str, because: str) -> None:
        try:
            self._backend = self._ground.models.create(name)
            self._name, self._because = name, because
        except (NotFound, Unavailable) as error:
            self._backend = self._ground.models.create(_FALLBACK)
            self._name = _FALLBACK
            self._because = f"{visible(name)} cannot be used: {error.message}"

    @property
    def backend(self) -> Backend:
        assert self._backend is not None
        return self._backend

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Backend]:
        backend = self.backend
        await backend.load()
        yield backend

    def info(self) -> words.ModelInfo:
        it = self.backend.info()
        return words.ModelInfo(
            name=self._name,
            backend=it.backend,
            model=visible(it.model),
            state=it.state.value,
            reason=visible(it.reason),
            chosen_because=self._because,
            context=it.context,
            size=it.size,
            pid=it.pid,
            endpoint=visible(it.endpoint),
            local=it.local,
            simulated=it.simulated,
            max_new_tokens=self._ground.config.model.max_new_tokens,
        )

    def tell(self) -> None:
        """Tells the faces how the model is now."""
        self._ground.bus.publish(words.ModelChanged(info=self.info(), machine=self._ground.machine))

    async def _concerns(self) -> list[Concern]:
        it = self.info()
        if it.simulated:
            return [Concern(Severity.BROKEN, "model", f"no model: {self._because}", link="agent")]
        if it.state == "failed":
            return [Concern(Severity.BROKEN, "model", it.reason, link="agent")]
        return []

    # --- operations -----------------------------------------------------------------------------

    async def _info(self, _request: words.AnyModel, _call: Call) -> words.ModelInfo:
        return self.info()

    async def _list(self, _request: Empty, _call: Call) -> words.ModelList:
        found = (*self._ground.models.choices(), *await self._ground.models.discover())
        return words.ModelList(
            models=tuple(
                words.ModelLine(
                    name=choice.name,
                    backend=choice.backend,
                    description=visible(choice.description),
                    endpoint=visible(choice.endpoint),
                    size=choice.size,
                    in_use=choice.name == self._name,
                )
                for choice in found
            )
        )

    async def _use(self, request: words.UseModel, _call: Call) -> words.ModelInfo:
        backend = self._ground.models.create(request.name)
        previous = self.backend
        await self._ground.settings.put(_SETTING, request.name)
        self._backend, self._name = backend, request.name
        self._because = "you chose it with `model use`"
        self.tell()
        await previous.unload()
        return self.info()

    async def _load(self, _request: words.AnyModel, _call: Call) -> words.ModelInfo:
        try:
            await self.backend.load()
        except ArcanumError:
            self.tell()
            raise
        self.tell()
        return self.info()

    async def _unload(self, _request: words.AnyModel, _call: Call) -> words.ModelInfo:
        await self.backend.unload()
        self.tell()
        return self.info()
