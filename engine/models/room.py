"""Serves ``model``: which model is in use and why, which others there are, and what they take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from engine.contract import model as words
from engine.contract.backend import Backend, Message, ModelChoice, Placement
from engine.contract.base import Empty, visible
from engine.contract.call import Call
from engine.contract.errors import Busy, Failed, Invalid, ModelFailed, NotFound, Refused
from engine.contract.ports import Concern, JobControl, Models, Severity
from engine.ground import Ground
from engine.models import telling
from engine.models.added import AddedModels
from engine.models.downloading import Downloads
from engine.models.measuring import Measuring, check
from engine.models.pool import Loaded, Pool
from engine.models.stopping import stopping
from engine.models.warming import Warming

_SETTING = "model.use"
_FALLBACK = "scripted"
_DEFAULTS = {"bundled": "it comes with Arcanum", _FALLBACK: "no model can be run here"}
_MIB = 1024 * 1024


class ModelsRoom:
    """The choice: an operation's, else the configuration's, else the default.

    A choice that cannot be made here (not installed, no longer configured) falls back to the
    scripted backend, which says what is missing and never pretends to be a model. A model that
    fails to *load* is an error: it is not replaced behind the user's back.

    Another choice loads nothing and frees nothing: the model in use before stays loaded for as
    long as any idle one does, so that changing to and fro costs no load.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._catalog = ground.models
        self._because = ""
        config = ground.config.model.in_force()
        self._budget = (config.memory_mib or 0) * _MIB
        self._pool = Pool(
            ground.models,
            budget=self._budget,
            keep_alive_s=config.keep_alive_minutes * 60,
            changed=self._changed,
            loaded=self._loaded,
        )
        self._warming = Warming(self._pool)
        self._added = AddedModels(ground.settings, ground.models)
        self._downloads = Downloads(ground.home.data / "models")
        self._measuring = Measuring(ground.models, telling.memory_of)
        self._measured = False

    async def start(self) -> None:
        self._catalog.watch(self._ground.metrics.asked)
        self._catalog.watch(lambda _: self._pool.look())
        await self._catalog.prepare()
        await self._added.read()
        chosen = await self._ground.settings.get(_SETTING)
        configured = self._ground.config.model.use
        default = self._catalog.default
        if isinstance(chosen, str):
            self._choose(chosen, "you chose it with `model use`")
        elif configured is not None:
            self._choose(configured, "config.toml names it")
        else:
            self._choose(default, _DEFAULTS.get(default, "config.toml names it"))
        door = self._ground.door
        door.unary(words.INFO, self._info)
        door.unary(words.LIST, self._list)
        door.unary(words.USE, self._use)
        door.unary(words.ADD, self._add)
        door.unary(words.REMOVE, self._remove)
        door.unary(words.LOAD, self._load)
        door.unary(words.UNLOAD, self._unload)
        door.job(words.DOWNLOAD, self._download, lambda request: request.source)
        door.job(words.BENCH, self._bench, lambda request: request.name or self._current.name)
        self._ground.provide(Models, self)  # type: ignore[type-abstract]
        self._ground.probes["model"] = self._concerns

    async def stop(self) -> None:
        await self._warming.stop()
        await self._pool.stop()

    def _choose(self, name: str, because: str) -> None:
        try:
            self._current = self._pool.pin(name)
            self._because = because
        except (NotFound, Failed, Invalid) as error:
            self._current = self._pool.pin(_FALLBACK)
            self._because = f"{visible(name)} cannot be used: {error.message}"

    # --- the port -------------------------------------------------------------------------------

    def info(self) -> words.ModelInfo:
        return self._told(self._current)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Backend]:
        async with self._pool.lease(self._current.name) as backend:
            yield backend

    def opens_with(self, messages: Sequence[Message]) -> None:
        self._warming.beginning = tuple(messages)

    def tell(self) -> None:
        """Tells the faces how the model is now."""
        self._ground.bus.publish(words.ModelChanged(info=self.info(), machine=self._ground.machine))

    def _told(self, model: Loaded, size: int = 0) -> words.ModelInfo:
        because = self._because if model is self._current else ""
        return telling.info(model, because, self._ground.config.model, size)

    def _changed(self, name: str) -> None:
        self._ground.metrics.models_loaded.set(self._pool.count())
        if name == self._current.name:
            self.tell()

    def _loaded(self, backend: Backend, seconds: float) -> None:
        metrics = self._ground.metrics
        metrics.model_load_seconds.labels(metrics.model(backend.info().model)).observe(seconds)

    async def _concerns(self) -> list[Concern]:
        it = self.info()
        if it.simulated:
            return [Concern(Severity.BROKEN, "model", f"no model: {self._because}", link="agent")]
        if it.state == "failed":
            return [Concern(Severity.BROKEN, "model", it.reason, link="agent")]
        return []

    # --- looking --------------------------------------------------------------------------------

    async def _info(self, request: words.AnyModel, _call: Call) -> words.ModelInfo:
        return await self._full(request.name or self._current.name)

    async def _full(self, name: str) -> words.ModelInfo:
        """With its placement, and with what its process takes."""
        model = self._pool.peek(name) or Loaded(name, self._catalog.create(name), self._pool)
        choice = await self._added.find(name)
        place, reason = None, ""
        try:
            place = await self._catalog.place(name)
        except Failed as error:  # What cannot be placed can still be told of, with the reason.
            reason = visible(error.message)
        pid = model.backend.info().pid
        memory = await telling.memory_of(pid) if pid else 0
        found = self._told(model, choice.size if choice is not None else 0)
        if reason:
            return found.model_copy(update={"memory": memory, "reason": found.reason or reason})
        if place is not None and model.ready and model.placement is not None:
            # Where it runs, not where it would go now; what is free is read anew.
            place = replace(model.placement, free=place.free, free_ram=place.free_ram)
        more = self._placed(place, found, loaded=model.ready)
        return found.model_copy(update={"memory": memory, **more})

    def _placed(
        self, place: Placement | None, found: words.ModelInfo, *, loaded: bool
    ) -> dict[str, object]:
        if place is None:
            return {}
        placement = telling.placement(place, self._budget, loaded=loaded)
        return {
            "placement": placement,
            "library": found.library or placement.library,
            "device": found.device or placement.device,
        }

    async def _list(self, _request: Empty, _call: Call) -> words.ModelList:
        found = (*await self._added.known(), *await self._catalog.discover())
        return words.ModelList(models=tuple(self._line(choice) for choice in found))

    def _line(self, choice: ModelChoice) -> words.ModelLine:
        model = self._pool.peek(choice.name)
        return telling.line(choice, model, in_use=choice.name == self._current.name)

    # --- choosing -------------------------------------------------------------------------------

    async def _use(self, request: words.UseModel, _call: Call) -> words.ModelInfo:
        self._catalog.create(request.name)
        await self._ground.settings.put(_SETTING, request.name)
        self._choose(request.name, "you chose it with `model use`")
        self.tell()
        return self.info()

    async def _add(self, request: words.AddModel, _call: Call) -> words.ModelLine:
        if request.source.startswith("hf:"):
            raise Invalid(
                f"{visible(request.source)} must be downloaded first.", "model.download does both."
            )
        choice = await self._added.add(request.source, request.name, request.model, request.key_env)
        return self._line(choice)

    async def _remove(self, request: words.UseModel, _call: Call) -> words.ModelLine:
        if request.name == self._current.name:
            raise Refused(
                f"{visible(request.name)} is the model in use.",
                "Use another one first: arcanum model use NAME",
            )
        line = self._line(await self._added.remove(request.name))
        await self._pool.drop(request.name)
        return line.model_copy(update={"state": "unloaded"})

    async def _load(self, request: words.AnyModel, _call: Call) -> words.ModelInfo:
        name = request.name or self._current.name
        await self._pool.open(name)
        self._warming.begin(name)
        return await self._full(name)

    async def _unload(self, request: words.AnyModel, _call: Call) -> words.ModelInfo:
        name = request.name or self._current.name
        if self._pool.peek(name) is None:
            self._catalog.create(name)  # Raises NotFound where there is no such model.
        await self._pool.close(name)
        return await self._full(name)

    # --- jobs -----------------------------------------------------------------------------------

    async def _download(self, request: words.DownloadModel, job: JobControl) -> words.ModelLine:
        hub = self._catalog.hub
        download = await stopping(hub.look_up(request.source), job)
        name = request.name or ""
        if name:
            await self._added.refuse_taken(name)
        place = await self._downloads.fetch(hub, download, job)
        try:
            return self._line(await self._added.add(str(place), name, downloaded=True))
        except ModelFailed as error:
            raise ModelFailed(
                error.message,
                f"It came just as the hub has it, and stays in {visible(str(place.parent))}:"
                " delete it, and take another model.",
            ) from error

    async def _bench(self, request: words.BenchModel, job: JobControl) -> words.BenchResult:
        name = request.name or self._current.name
        check(self._catalog.create(name), name)
        if self._measured:
            raise Busy("A model is being measured already.", "arcanum jobs list shows it.")
        self._measured = True
        try:
            return await stopping(self._measure(name, request, job), job)
        finally:
            self._measured = False

    async def _measure(
        self, name: str, request: words.BenchModel, job: JobControl
    ) -> words.BenchResult:
        async with self._pool.copy(name) as backend:
            return await self._measuring.measure(backend, name, request, job)
