"""A catalogue of rehearsed models, and the whole engine on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from engine.clients.local import LocalClient
from engine.config import Config
from engine.contract.backend import AddedModel, Backend, Hub, ModelChoice, Observer, Placement
from engine.contract.errors import NotFound
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.rehearsed import RehearsedBackend


class RehearsedCatalog:
    """Implements ``BackendCatalog``. The first of ``models`` is the default."""

    def __init__(
        self, models: dict[str, RehearsedBackend], found: tuple[ModelChoice, ...] = ()
    ) -> None:
        self.models = models
        self._found = found
        self.added: tuple[AddedModel, ...] = ()
        self.forgotten: list[str] = []

    def choices(self) -> tuple[ModelChoice, ...]:
        return tuple(ModelChoice(name, "rehearsed", "for tests") for name in self.models)

    async def discover(self) -> tuple[ModelChoice, ...]:
        return self._found

    def create(self, name: str) -> Backend:
        if name not in self.models:
            raise NotFound(f"There is no model {name}.")
        return self.models[name]

    async def place(self, name: str) -> Placement | None:
        return None

    async def examine(self, source: str, name: str, model: str, key_env: str) -> AddedModel:
        raise NotFound(f"There is no {source}.")

    def learn(self, added: Sequence[AddedModel]) -> None:
        self.added = tuple(added)

    def watch(self, observer: Observer) -> None:
        self.observer = observer

    async def forget_session(self, session: str) -> None:
        self.forgotten.append(session)

    @property
    def hub(self) -> Hub:
        raise NotFound("There is no hub.")

    @property
    def default(self) -> str:
        return next(iter(self.models))


@asynccontextmanager
async def engine_with(
    home: Home,
    models: dict[str, RehearsedBackend],
    found: tuple[ModelChoice, ...] = (),
    config: Config | None = None,
) -> AsyncIterator[LocalClient]:
    """A client of an engine that answers with these models."""
    home.prepare()
    engine = Engine(home, config or Config(), RehearsedCatalog(models, found), "command")
    await engine.open()
    try:
        yield LocalClient(engine)
    finally:
        await engine.stop()
