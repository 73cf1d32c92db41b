"""Where a model runs, how much of it on a GPU, why, and what would make it faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from backends.fitting import Wishes, choose, needs
from backends.hardware import Gpu, Hardware
from backends.placement import Case, place
from backends.registry import Catalog, ModelSettings
from backends.runtimes import LLAMA_CPP_PYTHON, MLX, XLLAMACPP, Runtime
from backends.shape import Shape, cache_a_token
from engine.contract.backend import Placement
from engine.contract.errors import Unavailable

GIB = 1024**3
MIB = 1024**2

CPU = Runtime(XLLAMACPP, "2026.10")
CUDA = Runtime(LLAMA_CPP_PYTHON, "0.3.36", "cuda")
BINDING = Runtime(LLAMA_CPP_PYTHON, "0.3.36")
METAL = Runtime(XLLAMACPP, "2026.10", "metal")
MLX_LM = Runtime(MLX, "0.32", "metal")
RTX = Gpu("cuda", "NVIDIA GeForce RTX 4070", 12 * GIB, 11 * GIB, "555.42", "8.9")
M2 = Gpu("metal", "Apple M2 Pro", 21 * GIB, 20 * GIB, shared=True)

# Llama 3.1 8B at Q4_K_M: 4.9 GB, 32 layers, 8 heads of 128 for keys and values.
LLAMA_8B = Shape(
    name="Llama 3.1 8B",
    architecture="llama",
    quantisation="Q4_K_M",
    parameters=8_030_000_000,
    size=4_920_000_000,
    input=280_000_000,
    layers=(132_000_000,) * 32,
    output=416_000_000,
    cache_a_token=(cache_a_token(8, 128, 128),) * 32,
    embedding=4096,
    forward=14336,
    heads=32,
    context=131_072,
    vocabulary=128_256,
    tied=False,
    template=True,
)
Q8 = replace(LLAMA_8B, quantisation="Q8_0", layers=(240_000_000,) * 32, size=8_500_000_000)


def machine(*gpus: Gpu, free_ram: int = 20 * GIB, trouble: str = "") -> Hardware:
    return Hardware("linux", 32 * GIB, free_ram, 8, gpus, trouble)


def placed(
    runtime: Runtime,
    hardware: Hardware,
    wishes: Wishes | None = None,
    shape: Shape = LLAMA_8B,
    runtimes: tuple[Runtime, ...] = (),
) -> Placement:
    return place(Case(shape, runtime, hardware, wishes or Wishes(), runtimes))


def fits(found: Placement) -> bool:
    """The rule: each part where it lies."""
    return found.on_device <= found.free and found.needs - found.on_device <= found.free_ram


# --- which library ---


@pytest.mark.parametrize(
    ("kind", "gpus", "there", "library", "expected"),
    [
        ("gguf", {"cuda"}, [CPU, CUDA], "auto", CUDA),
        ("gguf", {"cuda"}, [Runtime(XLLAMACPP, "1", "cuda"), CUDA], "auto", XLLAMACPP),
        ("gguf", set(), [CPU, CUDA], "auto", CPU),
        ("gguf", {"cuda"}, [CPU, BINDING], "auto", CPU),
        ("gguf", {"cuda"}, [CPU, CUDA], "xllamacpp", CPU),
        ("gguf", set(), [CPU, BINDING], "llama-cpp-python", BINDING),
        ("gguf", {"metal"}, [METAL, MLX_LM], "mlx", METAL),
        ("mlx", {"metal"}, [METAL, MLX_LM], "auto", MLX_LM),
        ("mlx", set(), [CPU, MLX_LM], "xllamacpp", MLX_LM),
        ("gguf", set(), [CUDA], "auto", CUDA),
    ],
)
def test_the_fastest_library_that_can_run_it_is_taken(
    kind: str, gpus: set[str], there: list[Runtime], library: str, expected: Runtime | str
) -> None:
    found = choose(kind, gpus, there, library)
    assert expected in {found, found.library}


@pytest.mark.parametrize(
    ("kind", "there", "library", "hint"),
    [
        ("gguf", [MLX_LM], "auto", "pip install xllamacpp"),
        ("gguf", [CPU], "llama-cpp-python", "make cuda"),
        ("mlx", [CPU, CUDA], "auto", "make mlx"),
    ],
)
def test_a_library_that_is_missing_is_named_with_how_to_get_it(
    kind: str, there: list[Runtime], library: str, hint: str
) -> None:
    with pytest.raises(Unavailable, match="is not installed") as caught:
        choose(kind, set(), there, library)
    assert hint in caught.value.hint


# --- how much on a GPU ---


def test_all_of_it_goes_on_a_gpu_with_room() -> None:
    found = placed(CUDA, machine(RTX))
    assert (found.gpu_layers, found.layers) == (33, 33)
    assert found.device == "NVIDIA GeForce RTX 4070"
    assert fits(found)
    assert found.needs - found.on_device >= 280_000_000  # The first layer stays outside.
    assert found.because == (
        "All 33 layers fit into the 11.3 GB that the NVIDIA GeForce RTX 4070 has for it:"
        " llama-cpp-python 0.3.36 runs it there."
    )
    assert found.faster == ()


@pytest.mark.parametrize("free_gib", [1, 2, 4, 5])
def test_as_many_layers_as_fit_go_there(free_gib: int) -> None:
    found = placed(CUDA, machine(replace(RTX, free=free_gib * GIB)))
    more = placed(CUDA, machine(replace(RTX, free=(free_gib + 1) * GIB)))
    assert found.gpu_layers < more.gpu_layers
    assert found.on_device <= free_gib * GIB - 512 * MIB
    assert fits(found)
    a_layer = 132_000_000 + 8192 * cache_a_token(8, 128, 128)
    if found.gpu_layers > 1:
        assert found.on_device + a_layer > free_gib * GIB - 512 * MIB  # One more would not fit.
        assert f"{found.gpu_layers} of 33 layers fit" in found.because
        assert any("context" in each for each in found.faster)
        assert any("other programs hold" in each for each in found.faster)


def test_no_layer_fits_beside_what_others_hold() -> None:
    found = placed(CUDA, machine(replace(RTX, free=300 * MIB)))
    assert (found.gpu_layers, found.on_device, found.device) == (0, 0, "CPU, 8 cores")
    assert "Not one layer fits" in found.because


def test_two_gpus_share_it() -> None:
    small = replace(RTX, free=4 * GIB)
    found = placed(CUDA, machine(small, small), shape=LLAMA_8B)
    assert found.gpu_layers == 33
    assert found.device == "2 x NVIDIA GeForce RTX 4070"
    other = replace(small, name="NVIDIA L4")
    assert placed(CUDA, machine(small, other)).device.endswith("4070 + NVIDIA L4")


def test_layers_that_are_asked_for_are_placed_whether_they_fit_or_not() -> None:
    some = placed(CUDA, machine(RTX), Wishes(gpu_layers=10))
    assert (some.gpu_layers, fits(some)) == (10, True)
    assert "The configuration puts 10 of 33 layers" in some.because
    assert any("no gpu_layers" in each for each in some.faster)
    tight = placed(CUDA, machine(replace(RTX, free=2 * GIB)), Wishes(gpu_layers=999))
    assert (tight.gpu_layers, fits(tight)) == (33, False)
    full = placed(CUDA, machine(replace(RTX, free=0)), Wishes(gpu_layers=1))
    assert full.free > 0  # Known, and too little.
    assert not fits(full)
    none = placed(CUDA, machine(RTX), Wishes(gpu_layers=0))
    assert (none.gpu_layers, none.on_device, none.device) == (0, 0, "CPU, 8 cores")


def test_what_does_not_fit_into_memory_says_so_in_numbers() -> None:
    found = placed(CPU, machine(free_ram=3 * GIB))
    assert not fits(found)
    assert found.needs == found.weights + found.cache + found.compute
    assert found.weights == 280_000_000 + 32 * 132_000_000 + 416_000_000
    assert found.cache == 2 * 32 * 4096 * 2 * 8 * 128 * 2
    assert found.free_ram == 3 * GIB


def test_tied_weights_lie_on_the_gpu_a_second_time() -> None:
    tied = replace(LLAMA_8B, tied=True, output=0)
    assert placed(CUDA, machine(RTX), shape=tied).weights == tied.weights + tied.input
    assert placed(CPU, machine(), shape=tied).weights == tied.weights


def test_a_gpu_that_does_not_tell_its_memory_gets_what_is_asked_for() -> None:
    unknown = Gpu("cuda", "NVIDIA GB10", 0, 0)
    found = placed(CUDA, machine(unknown))
    assert found.gpu_layers == 0
    assert "does not tell its memory" in found.because
    assert any("gpu_layers" in each for each in found.faster)


def test_a_mac_counts_everything_as_its_own_memory() -> None:
    found = placed(METAL, machine(M2), runtimes=(METAL,))
    assert (found.gpu_layers, found.on_device) == (33, 0)
    assert found.device == "Apple M2 Pro"
    assert found.faster == (
        "make mlx, then an MLX model instead of GGUF: MLX is made for the Apple M2 Pro",
    )
    assert not fits(placed(METAL, machine(M2, free_ram=4 * GIB)))
    mlx = placed(MLX_LM, machine(M2))
    assert (mlx.library, mlx.device, mlx.faster) == ("mlx-lm 0.32", "Apple M2 Pro", ())


# --- what would make it faster ---


def test_a_gpu_that_lies_idle_is_named_with_what_to_do() -> None:
    found = placed(CPU, machine(RTX), runtimes=(CPU,))
    assert "cannot use the NVIDIA GeForce RTX 4070" in found.because
    assert found.faster[0].startswith("make cuda")
    found = placed(CPU, machine(RTX), runtimes=(CPU, CUDA))
    assert found.faster[0].startswith('library = "llama-cpp-python" in config.toml')
    found = placed(BINDING, machine(M2), runtimes=(BINDING,))
    assert found.faster[0].startswith("make metal")


def test_without_a_gpu_a_smaller_quantisation_is_what_helps() -> None:
    assert placed(CPU, machine()).faster == ()
    found = placed(CPU, machine(), shape=Q8)
    assert found.because == "No GPU was found: xllamacpp 2026.10 runs it on the CPU."
    assert "Q8_0" in found.faster[0]
    assert "Q4_K_M" in found.faster[0]


def test_a_driver_in_trouble_is_told_of() -> None:
    found = placed(CUDA, machine(trouble="NVIDIA's driver did not answer within 5 s"))
    assert "did not answer within 5 s" in found.because
    assert any("nvidia-smi" in each for each in found.faster)


def test_a_build_for_other_gpus_decides_itself() -> None:
    assert "built for rocm" in placed(Runtime(XLLAMACPP, "1", "rocm"), machine()).because


def test_llama_cpp_python_computes_attention_in_one_piece_on_the_cpu() -> None:
    long = Wishes(context=32_768, parallel=1)
    plain = needs(LLAMA_8B, long, LLAMA_CPP_PYTHON).buffers
    assert plain - needs(LLAMA_8B, long, XLLAMACPP).buffers == 4 * 256 * 32 * 32_768
    assert needs(LLAMA_8B, long, LLAMA_CPP_PYTHON, on_gpu=True).buffers < plain


# --- held against what really happens ---


@pytest.mark.model
@pytest.mark.parametrize("context", [512, 8192])
async def test_the_estimate_is_what_the_bundled_model_really_takes(
    tmp_path: Path, context: int
) -> None:
    catalog = Catalog(ModelSettings(tmp_path / "run", context=context, library="xllamacpp"))
    estimate = await catalog.place("bundled")
    assert estimate is not None
    assert estimate.device.startswith("CPU")
    backend = catalog.create("bundled")
    await backend.load()
    try:
        # Resident, not proportional: another process may have the same file in memory.
        taken = psutil.Process(backend.info().pid).memory_info().rss
    finally:
        await backend.unload()
    assert 0.7 * taken <= estimate.needs <= 1.3 * taken
    assert estimate.free_ram > estimate.needs
    assert backend.info().device == estimate.device
