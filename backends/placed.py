"""Models that run in a child process here: by which library, and how much of them on a GPU."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from weakref import WeakSet

from backends import runtimes
from backends.fitting import Wishes, choose
from backends.hardware import gpu_kinds, look
from backends.hosted.backend import Hosted
from backends.hosted.embedding import HostedEmbedding
from backends.hosted.settings import Options, Setup
from backends.hosted.states import StateStore
from backends.llama_cpp.backend import XLLAMACPP
from backends.llama_cpp.binding import LLAMA_CPP_PYTHON
from backends.llama_cpp.embedding import EMBEDDING, FILE, NAME, OPTIONS, identify, make, options_for
from backends.llama_cpp.embedding import package as bundled_embedding
from backends.llama_cpp.gguf import check_gguf, read_gguf
from backends.mlx.backend import MLX_LM
from backends.mlx.folder import check_mlx, read_mlx
from backends.placement import Case, place
from backends.runtimes import Runtime, installed
from backends.settings import ModelSettings
from backends.shape import Shape
from engine.contract.backend import Observer, Placement

GGUF, MLX = "gguf", "mlx"
_HOSTS = {
    runtimes.XLLAMACPP: XLLAMACPP,
    runtimes.LLAMA_CPP_PYTHON: LLAMA_CPP_PYTHON,
    runtimes.MLX: MLX_LM,
}
_KINDS: dict[str, tuple[str, Callable[[Path], int], Callable[[Path], Shape]]] = {
    GGUF: ("llama_cpp", check_gguf, read_gguf),
    MLX: ("mlx", check_mlx, read_mlx),
}
_DECIDE_THEMSELVES = {"rocm", "vulkan"}
"""Builds for GPUs that are not looked for here."""


class LocalModels:
    """Makes and places the models of this machine. ``kind`` is gguf or mlx.

    ``observer`` is told of what happens to a model without being asked for.
    """

    def __init__(
        self,
        settings: ModelSettings,
        environ: Mapping[str, str] = os.environ,
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._observer = observer
        folder = settings.states
        self._states = StateStore(folder, settings.state_bytes) if folder is not None else None
        self._made: WeakSet[Hosted] = WeakSet()

    def create(self, kind: str, model: Path) -> Hosted:
        """Cheap: the machine is looked at when the model is loaded. Raises Unavailable."""
        settings = self._settings
        runtime, _ = self._runtime(kind)
        name, check, _ = _KINDS[kind]
        setup = Setup(
            model,
            _HOSTS[runtime.library],
            settings.runtime_dir,
            Options(settings.threads, settings.context, settings.parallel),
            states=self._states if settings.state_bytes else None,
        )
        made = Hosted(name, check, setup, partial(self._options, kind, model), self._observer)
        self._made.add(made)
        return made

    def embedding(self, model: Path | None) -> HostedEmbedding:
        """What makes vectors of texts: a GGUF file, or None for the bundled one. Raises
        Unavailable."""
        settings = self._settings
        choose(GGUF, (), installed(), runtimes.XLLAMACPP)
        options = replace(OPTIONS, threads=settings.threads)
        if model is None:
            bundled_embedding()  # Said now where it is missing.
            model = (settings.made or settings.runtime_dir) / FILE
            decide, name = partial(_made, model.parent, options), NAME
        else:
            decide, name = partial(options_for, model, options), ""
        setup = Setup(model, EMBEDDING, settings.runtime_dir, options)
        return HostedEmbedding(setup, identify, decide, self._observer, name)

    async def forget(self, session: str) -> None:
        """Removes what any of them keeps of this conversation. Raises OSError."""
        if self._states is None:
            return
        await asyncio.to_thread(self._states.forget, session)
        for made in tuple(self._made):
            made.forget(session)

    async def place(self, kind: str, model: Path) -> Placement:
        """Where it would run now. Raises Unavailable, ModelFailed."""
        return place(await self._case(kind, model))

    def _runtime(self, kind: str) -> tuple[Runtime, tuple[Runtime, ...]]:
        """What is to run such a model, and everything that is installed."""
        there = installed()
        return choose(kind, gpu_kinds(), there, self._settings.library), there

    async def _case(self, kind: str, model: Path) -> Case:
        runtime, there = await asyncio.to_thread(self._runtime, kind)
        _, _, read = _KINDS[kind]
        shape = await asyncio.to_thread(read, model)
        settings = self._settings
        slots = _HOSTS[runtime.library].slots
        parallel = min(settings.parallel, slots or settings.parallel)
        wishes = Wishes(settings.context, parallel, settings.gpu_layers)
        return Case(shape, runtime, await look(self._environ), wishes, there)

    async def _options(self, kind: str, model: Path) -> Options:
        """What a model is loaded with now: placed anew each time, by what is free then."""
        case, settings = await self._case(kind, model), self._settings
        placement = place(case)
        layers: int | None = placement.gpu_layers
        if case.runtime.accelerator in _DECIDE_THEMSELVES and not case.hardware.gpus:
            layers = settings.gpu_layers
        return Options(
            threads=settings.threads or max(1, case.hardware.cores - 1),
            context=settings.context,
            parallel=settings.parallel,
            gpu_layers=layers,
            device=placement.device,
        )


async def _made(folder: Path, options: Options) -> Options:
    await make(folder)
    return options
