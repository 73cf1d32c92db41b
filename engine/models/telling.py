"""Models in the words of the contract."""

from __future__ import annotations

import asyncio

from engine.config import ModelConfig
from engine.contract.backend import ModelChoice, Placement
from engine.contract.base import visible
from engine.contract.model import ModelInfo, ModelLine, PlacementInfo
from engine.models import memory
from engine.models.pool import Loaded


def info(model: Loaded, because: str, config: ModelConfig, size: int = 0) -> ModelInfo:
    """Without its placement and memory, which take a look at the machine.

    ``size`` is what its files take, for as long as its backend has not looked at them.
    """
    it = model.backend.info()
    size = it.size or size
    return ModelInfo(
        name=visible(model.name),
        backend=it.backend,
        model=visible(it.model),
        state=model.state.value,
        reason=visible(it.reason or model.failure),
        chosen_because=because,
        context=it.context,
        size=size,
        pid=it.pid,
        endpoint=visible(it.endpoint),
        local=it.local,
        simulated=it.simulated,
        max_new_tokens=config.most_new_tokens(size),
        library=visible(it.library),
        device=visible(it.device),
        parallel=it.parallel,
        features=tuple(sorted(each.value for each in it.features)),
        load_s=it.load_s,
    )


def placement(place: Placement, budget: int, *, loaded: bool) -> PlacementInfo:
    """``loaded``: it is there, so it fits, whatever is left beside it."""
    return PlacementInfo(
        library=visible(place.library),
        device=visible(place.device),
        because=visible(place.because),
        layers=place.layers,
        gpu_layers=place.gpu_layers,
        weights=place.weights,
        cache=place.cache,
        compute=place.compute,
        on_device=place.on_device,
        free=place.free,
        free_ram=place.free_ram,
        budget=budget,
        fits=loaded or memory.fits(place, budget),
        faster=tuple(visible(each) for each in place.faster),
    )


def line(choice: ModelChoice, model: Loaded | None, *, in_use: bool) -> ModelLine:
    """A line of the list."""
    return ModelLine(
        name=choice.name,
        backend=choice.backend,
        description=visible(choice.description),
        endpoint=visible(choice.endpoint),
        size=choice.size,
        in_use=in_use,
        origin=choice.origin,
        state="unloaded" if model is None else model.state.value,
    )


async def memory_of(pid: int) -> int:
    """What a process takes, its shared pages shared out (PSS) where that can be told; else RSS.

    0 where it is gone.
    """
    return await asyncio.to_thread(_memory_of, pid)


def _memory_of(pid: int) -> int:
    import psutil

    try:
        process = psutil.Process(pid)
        try:
            full = process.memory_full_info()
        except psutil.AccessDenied:
            return int(process.memory_info().rss)
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.Error:
        return 0
