"""What memory a model takes and how much of it a GPU can, worked out before it is loaded.

What a model takes, in bytes:

* weights: what its tensors take in the file. A model whose first layer serves as its last too
  (``tied``) has a second copy of that on a GPU.
* cache: keys and values, ``2 x layers x context x parallel x kv_heads x head_dim x 2`` at 16 bits;
  layer by layer where heads differ, keys and values apart where their lengths do. llama.cpp takes
  all of it at once (``llama_kv_cache`` in its log). A sliding window, or layers with a state
  instead of a cache, would take less: that is not counted off.
* compute: buffers of one batch, ``4 x batch x (5 x embedding + 3 x feed-forward)`` and the mask of
  attention, ``2 x batch x context``. That is, to within 3 %, what llama.cpp reserved ("compute
  buffer size" in its log) for Llamas of the shapes of 135 million, 1 and 8 thousand million
  parameters at contexts from 256 to 32,768 tokens. llama-cpp-python reserves the logits of a whole
  batch, and on the CPU the scores of attention, which others compute piece by piece. To it comes
  what the process takes besides: 40 MiB and 200 bytes for each word of the vocabulary. That is
  what the bundled model's takes (proportional set size, after a prompt of 700 tokens, at five
  contexts from 512 to 32,768). With mlx-lm it is 140 MiB, and batches are twice as long.

On a CPU llama.cpp copies weights of some types (Q4_0, Q4_K) into another order. The file's own
pages can then be dropped by the system, and are not counted a second time. MLX takes the cache as
a conversation grows; here it is counted whole. Where no states are kept on disk, llama.cpp keeps
some in memory besides (``Options.cache_mib``); those are not counted. What a GPU's driver keeps
for itself is left free in each: 512 MiB, an assumption, not a measurement.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from backends.hardware import Gpu, Hardware
from backends.runtimes import LLAMA_CPP_PYTHON, MLX, XLLAMACPP, Runtime
from backends.shape import Shape
from engine.contract.errors import Unavailable

_MIB = 1024 * 1024
_BATCH = 256
_PROCESS = 40 * _MIB
_PROCESS_OF_MLX = 140 * _MIB
_A_WORD = 200
_RESERVE = 512 * _MIB
INSTALL = {
    XLLAMACPP: "pip install xllamacpp",
    LLAMA_CPP_PYTHON: "make llama (for NVIDIA: make cuda, for a Mac's GPU: make metal)",
    MLX: "make mlx",
}
ABLE = {"gguf": (XLLAMACPP, LLAMA_CPP_PYTHON), "mlx": (MLX,)}
"""What runs which kind of model, the first by preference."""
_REACHES = {"cuda": "cuda", "vulkan": "cuda", "metal": "metal"}
"""The kind of GPU that a build uses, of those that are looked for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the configuration asks for. ``gpu_layers`` None: as many as fit.

    ``context``: tokens for each of the ``parallel`` answers. ``library`` auto: the fastest here.
    """

    context: int = 4096
    parallel: int = 2
    gpu_layers: int | None = None
    library: str = "auto"


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes. ``buffers`` lie with the layers; ``process`` is what no GPU takes."""

    weights: int
    cache: int
    buffers: int
    process: int

    @property
    def on_gpu(self) -> int:
        """Bytes on a GPU that takes the whole model."""
        return self.weights + self.cache + self.buffers


def needs(shape: Shape, wishes: Wishes, library: str = XLLAMACPP, *, on_gpu: bool = False) -> Needs:
    """What a model takes."""
    mlx = library == MLX
    batch = 2 * _BATCH if mlx else _BATCH
    buffers = 4 * batch * (5 * shape.embedding + 3 * shape.forward) + 2 * batch * wishes.context
    if library == LLAMA_CPP_PYTHON:
        scores = 0 if on_gpu else 4 * batch * shape.heads * wishes.context
        buffers = max(buffers + scores, 4 * batch * shape.vocabulary)
    process = (_PROCESS_OF_MLX if mlx else _PROCESS) + _A_WORD * shape.vocabulary
    cells = wishes.context * wishes.parallel
    return Needs(shape.weights, sum(shape.cache_a_token) * cells, buffers, process)


# --- which library ------------------------------------------------------------------------------


def choose(
    kind: str, gpus: Collection[str], runtimes: Sequence[Runtime], library: str = "auto"
) -> Runtime:
    """What runs a model of this ``kind`` (gguf or mlx) best, with ``gpus`` of these kinds.

    ``library`` is what the configuration names; it counts where it can run such a model. Raises
    Unavailable where none that can is installed.
    """
    able = ABLE[kind]
    wanted = (library,) if library in able else able
    found = [each for name in wanted for each in runtimes if each.library == name]
    if not found:
        raise Unavailable(
            f"{wanted[0]}, which runs such a model here, is not installed",
            f"Install it: {INSTALL[wanted[0]]}",
        )
    return next((each for each in found if _REACHES.get(each.accelerator) in gpus), found[0])


def usable(runtime: Runtime, hardware: Hardware) -> tuple[Gpu, ...]:
    """The GPUs that a library can use here."""
    return tuple(gpu for gpu in hardware.gpus if gpu.kind == _REACHES.get(runtime.accelerator))


# --- where --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Split:
    """What of a model lies on GPUs: so many of its ``total`` layers, taking so many bytes.

    Layers count as llama.cpp counts them: each repeated one, and the output. ``room``: bytes that
    these GPUs have for it.
    """

    gpus: tuple[Gpu, ...]
    layers: int
    total: int
    taken: int
    room: int

    @property
    def whole(self) -> bool:
        return self.layers == self.total

    @property
    def shared(self) -> bool:
        """The GPU's memory is the machine's."""
        return any(gpu.shared for gpu in self.gpus)


def split(shape: Shape, runtime: Runtime, hardware: Hardware, wishes: Wishes) -> Split:
    """The layers from the last on: as many as are asked for, or else as fit.

    llama.cpp offloads in this order, too: the output, then the last layer, then the one before.
    """
    gpus = usable(runtime, hardware)
    room = sum(max(0, gpu.free - _RESERVE) for gpu in gpus)
    total = len(shape.layers) + 1
    if not gpus:
        return Split((), 0, total, 0, 0)
    need = needs(shape, wishes, runtime.library, on_gpu=True)
    if runtime.library == MLX:
        return Split(gpus, total, total, need.on_gpu, room)
    cells = wishes.context * wishes.parallel
    costs = [shape.output + (shape.input if shape.tied else 0)]
    for weight, cache in zip(reversed(shape.layers), reversed(shape.cache_a_token), strict=True):
        costs.append(weight + cache * cells)
    taken, layers = need.buffers, 0
    for cost in costs if wishes.gpu_layers is None else costs[: wishes.gpu_layers]:
        if wishes.gpu_layers is None and taken + cost > room:
            break
        taken += cost
        layers += 1
    return Split(gpus, layers, total, taken if layers else 0, room)
