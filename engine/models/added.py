"""The models that a person added: kept as a setting, and told to the catalogue."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict, replace

from pydantic import TypeAdapter, ValidationError

from engine.contract.backend import AddedModel, BackendCatalog, ModelChoice
from engine.contract.base import visible
from engine.contract.errors import NotFound, Refused
from engine.contract.ports import Settings

_log = logging.getLogger("arcanum.models")
_SETTING = "model.added"
_MOST = 200
_FORM = TypeAdapter(AddedModel)


class AddedModels:
    """What was added, in the order of adding."""

    def __init__(self, settings: Settings, catalog: BackendCatalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._models: tuple[AddedModel, ...] = ()
        self._changing = asyncio.Lock()

    async def read(self) -> None:
        """Takes up what was kept; an entry that makes no sense is left out, and logged."""
        kept = await self._settings.get(_SETTING)
        found = []
        for each in kept if isinstance(kept, list) else []:
            try:
                found.append(_FORM.validate_python(each))
            except ValidationError as error:
                _log.warning("an added model is left out: %s", visible(str(error)))
        self._learn(tuple(found))

    async def add(
        self,
        source: str,
        name: str,
        model: str = "",
        key_env: str = "",
        *,
        downloaded: bool = False,
    ) -> ModelChoice:
        """Looks at it and adds it. Raises Refused for a duplicate, and what ``examine`` raises."""
        async with self._changing:
            found = await self._catalog.examine(source, name, model, key_env)
            await self._refuse_twin(found)
            await self._keep((*self._models, replace(found, downloaded=downloaded)))
            return await self.choice(found.name)

    async def remove(self, name: str) -> ModelChoice:
        """Takes it off the list. Raises NotFound, or Refused where nobody added it."""
        async with self._changing:
            choice = await self.choice(name)
            left = tuple(each for each in self._models if each.name != name)
            if len(left) == len(self._models):
                raise Refused(
                    f"{visible(name)} was not added by anybody ({choice.origin}).",
                    "A model of config.toml leaves the list with its line there.",
                )
            await self._keep(left)
            return choice

    async def known(self) -> tuple[ModelChoice, ...]:
        """All that is known without a network. Files are looked at, and a disk may be slow."""
        return await asyncio.to_thread(self._catalog.choices)

    async def find(self, name: str) -> ModelChoice | None:
        return next((each for each in await self.known() if each.name == name), None)

    async def choice(self, name: str) -> ModelChoice:
        """The model of that name. Raises NotFound."""
        if (found := await self.find(name)) is None:
            raise NotFound(f"There is no model named {visible(name)!r}.", "arcanum model list")
        return found

    async def refuse_taken(self, name: str) -> None:
        """Raises Refused where a model has that name, and Invalid where none can have it."""
        self._catalog.check_name(name)
        if await self.find(name) is not None:
            raise Refused(
                f"There is a model named {visible(name)} already.", "Give it another --name."
            )

    async def _refuse_twin(self, found: AddedModel) -> None:
        twin = next((each for each in self._models if _same(each, found)), None)
        if twin is not None:
            raise Refused(
                f"That model is on the list already, as {visible(twin.name)}.",
                f"arcanum model use {visible(twin.name)}",
            )
        await self.refuse_taken(found.name)
        if len(self._models) >= _MOST:
            raise Refused(f"{_MOST} models were added already.", "Remove one: arcanum model list")

    async def _keep(self, models: tuple[AddedModel, ...]) -> None:
        await self._settings.put(_SETTING, [asdict(each) for each in models])
        self._learn(models)

    def _learn(self, models: tuple[AddedModel, ...]) -> None:
        self._models = models
        self._catalog.learn(models)


def _same(one: AddedModel, other: AddedModel) -> bool:
    return (one.kind, one.place, one.model) == (other.kind, other.place, other.model)
