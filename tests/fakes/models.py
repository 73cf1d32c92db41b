"""A catalogue of rehearsed models, and the whole engine on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from engine.clients.local import LocalClient
from engine.config import Config
from engine.contract.backend import (
    AddedModel,
    Backend,
    BackendCatalog,
    Hub,
    ModelChoice,
    ModelState,
    Observation,
    Observer,
    Placement,
)
from engine.contract.errors import Invalid, NotFound
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.embedder import HashedEmbedder
from tests.fakes.rehearsed import RehearsedBackend


class RehearsedCatalog:
    """Implements ``BackendCatalog``. The first of ``models`` is the default.

    ``sizes``: bytes that a model takes, of a machine that has ``memory`` for models; one without a
    size runs elsewhere. ``fresh`` makes another copy each time. ``can_add``: what a person can
    add, by its source. ``embedder`` is what is called bundled.
    """

    def __init__(
        self,
        models: dict[str, RehearsedBackend],
        found: tuple[ModelChoice, ...] = (),
        *,
        sizes: dict[str, int] | None = None,
        memory: int = 0,
        fresh: Callable[[], RehearsedBackend] | None = None,
        can_add: dict[str, AddedModel] | None = None,
        hub: Hub | None = None,
        embedder: HashedEmbedder | None = None,
    ) -> None:
        self.models = models
        self._found = found
        self.sizes = sizes or {}
        self.memory = memory
        self._fresh = fresh
        self._can_add = can_add or {}
        self._hub = hub
        self.embedder = embedder or HashedEmbedder()
        self.made: list[tuple[str, RehearsedBackend]] = []
        self.added: tuple[AddedModel, ...] = ()
        self.forgotten: list[str] = []
        self._observers: list[Observer] = []

    def choices(self) -> tuple[ModelChoice, ...]:
        mine = tuple(
            ModelChoice(name, "rehearsed", "for tests", size=self.sizes.get(name, 0))
            for name in self.models
        )
        return mine + tuple(
            ModelChoice(
                each.name,
                "rehearsed",
                each.place,
                origin="downloaded" if each.downloaded else "added",
            )
            for each in self.added
        )

    async def discover(self) -> tuple[ModelChoice, ...]:
        return self._found

    async def prepare(self) -> None:
        """Nothing is imported late."""

    def create(self, name: str) -> Backend:
        if name not in {each.name for each in self.choices()}:
            raise NotFound(f"There is no model {name}.")
        if name in self.models and self._fresh is None:
            made = self.models[name]
        else:
            made = self._fresh() if self._fresh is not None else RehearsedBackend()
        self.made.append((name, made))
        return made

    def embedding(self, name: str) -> Backend:
        if name != "bundled":
            raise NotFound(f"There is no model {name}.")
        return self.embedder

    async def place(self, name: str) -> Placement | None:
        if name not in self.sizes:
            return None
        size, free = self.sizes[name], self.memory - self.taken()
        return Placement("rehearsed", "CPU", "for tests", weights=size, free_ram=free)

    def taken(self) -> int:
        """Bytes of all models that are loaded."""
        loaded = {
            id(made): self.sizes.get(name, 0)
            for name, made in self.made
            if made.state is ModelState.READY
        }
        return sum(loaded.values())

    async def examine(self, source: str, name: str, model: str, key_env: str) -> AddedModel:
        if source not in self._can_add:
            raise NotFound(f"There is no {source}.")
        found = self._can_add[source]
        return replace(found, name=name or found.name, model=model, key_env=key_env)

    def check_name(self, name: str) -> None:
        if name == "scripted":
            raise Invalid(f"{name} stands for something else.")

    def learn(self, added: Sequence[AddedModel]) -> None:
        self.added = tuple(added)

    def watch(self, observer: Observer) -> None:
        self._observers.append(observer)

    def tell(self, seen: Observation) -> None:
        for observer in self._observers:
            observer(seen)

    async def forget_session(self, session: str) -> None:
        self.forgotten.append(session)

    @property
    def hub(self) -> Hub:
        if self._hub is None:
            raise NotFound("There is no hub.")
        return self._hub

    @property
    def default(self) -> str:
        return next(iter(self.models))


@asynccontextmanager
async def engine_with(
    home: Home,
    models: dict[str, RehearsedBackend],
    found: tuple[ModelChoice, ...] = (),
    config: Config | None = None,
    catalog: BackendCatalog | None = None,
) -> AsyncIterator[LocalClient]:
    """A client of an engine that answers with these models."""
    home.prepare()
    known = catalog or RehearsedCatalog(models, found)
    engine = Engine(home, config or Config(), known, "command")
    await engine.open()
    try:
        yield LocalClient(engine)
    finally:
        await engine.stop()
