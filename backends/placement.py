"""Where a model runs here, in numbers and in words: why there, and what would make it faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backends.fitting import Split, Wishes, needs, split, usable
from backends.hardware import Gpu, Hardware
from backends.runtimes import LLAMA_CPP_PYTHON, MLX, Runtime
from backends.shape import Shape, amount
from engine.contract.backend import Placement

_FINE_BITS = 6.0
"""Bits for a weight above which a smaller quantisation costs little quality."""
_SMALL = 10**9
"""Bytes of weights below which that would gain nothing to speak of."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a placement depends on. ``runtimes``: every library that is installed."""

    shape: Shape
    runtime: Runtime
    hardware: Hardware
    wishes: Wishes
    runtimes: Sequence[Runtime] = ()


def place(case: Case) -> Placement:
    """Nothing is refused here. A model fits where ``on_device`` is no more than ``free``, and the
    rest of what it needs no more than ``free_ram``.

    On a GPU that shares the machine's memory all of it counts as the machine's.
    """
    shape, hardware = case.shape, case.hardware
    parts = split(shape, case.runtime, hardware, case.wishes)
    need = needs(shape, case.wishes, case.runtime.library, on_gpu=parts.layers > 0)
    twice = shape.tied and parts.layers > 0 and not parts.shared
    return Placement(
        library=case.runtime.label,
        device=named(parts.gpus) if parts.layers else cpu(hardware),
        because=_because(case, parts),
        layers=parts.total,
        gpu_layers=parts.layers,
        context=case.wishes.context,
        weights=need.weights + (shape.input if twice else 0),
        cache=need.cache,
        compute=need.buffers + need.process,
        on_device=0 if parts.shared else parts.taken,
        free=max(1, parts.room) if parts.gpus else 0,  # 0 would say that it is not known.
        free_ram=hardware.free_ram,
        faster=tuple(_faster(case, parts)),
    )


def named(gpus: Sequence[Gpu]) -> str:
    """GPUs, as people are told of them."""
    names = [gpu.name for gpu in gpus]
    if len(names) > 1 and len(set(names)) == 1:
        return f"{len(names)} x {names[0]}"
    return " + ".join(names)


def cpu(hardware: Hardware) -> str:
    return f"CPU, {hardware.cores} cores" if hardware.cores > 1 else "CPU"


def _because(case: Case, parts: Split) -> str:
    label, hardware = case.runtime.label, case.hardware
    if not hardware.gpus and case.runtime.accelerator in {"rocm", "vulkan"}:
        return f"{label} is built for {case.runtime.accelerator}: it decides what a GPU takes."
    if not hardware.gpus:
        why = f" ({hardware.trouble})" if hardware.trouble else ""
        return f"No GPU was found{why}: {label} runs it on the CPU."
    if not parts.gpus:
        return f"{label} cannot use the {named(hardware.gpus)}: it runs on the CPU."
    gpu = named(parts.gpus)
    if case.runtime.library == MLX:
        return f"{label} is made for the {gpu}."
    if case.wishes.gpu_layers is not None:
        return (
            f"The configuration puts {parts.layers} of {parts.total} layers on the {gpu};"
            f" {label} runs it."
        )
    if not any(each.total for each in parts.gpus):
        return f"The {gpu} does not tell its memory: {label} runs it on the CPU."
    free = f"the {amount(parts.room)} that the {gpu} has for it"
    if parts.whole:
        return f"All {parts.total} layers fit into {free}: {label} runs it there."
    if parts.layers:
        return (
            f"{parts.layers} of {parts.total} layers fit into {free}; the CPU runs the rest"
            f" ({label})."
        )
    return f"Not one layer fits into {free}: {label} runs it on the CPU."


# --- what would make it faster ------------------------------------------------------------------


def _faster(case: Case, parts: Split) -> list[str]:
    found = _other_library(case, parts)
    if case.hardware.trouble:
        found.append("see whether NVIDIA's driver answers: nvidia-smi")
    if parts.gpus and not parts.whole:
        found += _more_on_gpu(case, parts)
    shape = case.shape
    bits = 8 * shape.weights / shape.parameters if shape.parameters else 0
    if bits > _FINE_BITS and shape.weights > _SMALL and not parts.whole:
        called = f"this one is {shape.quantisation}, " if shape.quantisation else "this one has "
        found.append(f"a smaller quantisation of it, as Q4_K_M: {called}{bits:.1f} bits a weight")
    return found


def _other_library(case: Case, parts: Split) -> list[str]:
    """What to set or to install, so that a GPU that is here is used."""
    hardware, runtime = case.hardware, case.runtime
    if not hardware.gpus:
        return []
    gpu = named(hardware.gpus)
    able = [each for each in case.runtimes if each != runtime and usable(each, hardware)]
    if runtime.library != MLX and not parts.gpus:
        other = next((each for each in able if each.library != MLX), None)
        if other is not None:
            return [f'library = "{other.library}" in config.toml: that build uses the {gpu}']
        target = "make metal" if hardware.apple else "make cuda"
        return [f"{target}: builds {LLAMA_CPP_PYTHON} for the {gpu}"]
    if runtime.library != MLX and hardware.apple:
        there = any(each.library == MLX for each in case.runtimes)
        step = "" if there else "make mlx, then "
        return [f"{step}an MLX model instead of GGUF: MLX is made for the {gpu}"]
    return []


def _more_on_gpu(case: Case, parts: Split) -> list[str]:
    """What would make more layers fit, or more be put there."""
    if case.wishes.gpu_layers is not None:
        wishes = Wishes(case.wishes.context, case.wishes.parallel)
        if split(case.shape, case.runtime, case.hardware, wishes).layers > parts.layers:
            return ["no gpu_layers in config.toml: more of it fits on the GPU"]
        return []
    if not any(gpu.total for gpu in parts.gpus):
        return ["gpu_layers in config.toml: how many layers the GPU is to take"]
    found = []
    cache = needs(case.shape, case.wishes).cache
    if case.wishes.context * case.wishes.parallel > 2048 and cache:
        found.append(
            f"less context in config.toml: context = {case.wishes.context} and parallel ="
            f" {case.wishes.parallel} take {amount(cache)}"
        )
    taken = sum(gpu.total - gpu.free for gpu in parts.gpus)
    if taken * 10 > sum(gpu.total for gpu in parts.gpus) and not parts.shared:
        found.append(f"the {amount(taken)} of the GPU's memory that other programs hold")
    return found
