"""What this machine has, and which libraries are here: told by what it says, never by guesses."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from backends.hardware import Gpu, Hardware, look
from backends.runtimes import LLAMA_CPP_PYTHON, MLX, XLLAMACPP, Runtime, installed, needed

GIB = 1024**3
TWO = """\
0, GPU-1111, NVIDIA GeForce RTX 4070, 12282, 11500, 555.42, 8.9
1, GPU-2222, NVIDIA H200, 143771, 143000, 555.42, 9.0
"""


def tool(folder: Path, name: str, script: str) -> dict[str, str]:
    """An environment in which ``name`` is this shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def says(folder: Path, text: str) -> dict[str, str]:
    return tool(folder, "nvidia-smi", f"cat <<'EOF'\n{text}EOF")


async def linux(
    environ: dict[str, str], root: Path | None = None, within_s: float = 5.0
) -> Hardware:
    """``root`` None: a machine with NVIDIA's driver."""
    if root is None:
        root = Path(environ["PATH"].split(":")[0]).parent / "root"
        (root / "dev").mkdir(parents=True)
        (root / "dev" / "nvidiactl").touch()
    return await look(environ, system="linux", root=root, within_s=within_s)


# --- NVIDIA ---


async def test_every_gpu_is_told_with_what_is_free_of_it(tmp_path: Path) -> None:
    found = await linux(says(tmp_path / "bin", TWO))
    mib = 1024 * 1024
    assert found.gpus == (
        Gpu("cuda", "NVIDIA GeForce RTX 4070", 12282 * mib, 11500 * mib, "555.42", "8.9"),
        Gpu("cuda", "NVIDIA H200", 143771 * mib, 143000 * mib, "555.42", "9.0"),
    )
    assert not found.apple
    assert not found.trouble


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("1", ["NVIDIA H200"]),
        ("1,0", ["NVIDIA H200", "NVIDIA GeForce RTX 4070"]),
        ("GPU-22", ["NVIDIA H200"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["NVIDIA GeForce RTX 4070"]),
    ],
)
async def test_gpus_that_are_hidden_from_cuda_are_not_counted(
    tmp_path: Path, chosen: str, names: list[str]
) -> None:
    environ = says(tmp_path / "bin", TWO) | {"CUDA_VISIBLE_DEVICES": chosen}
    assert [gpu.name for gpu in (await linux(environ)).gpus] == names


async def test_an_old_driver_knows_less(tmp_path: Path) -> None:
    script = (
        'case "$1" in *compute_cap*) echo "Field \\"compute_cap\\" is not valid"; exit 2;; esac\n'
        'echo "0, GPU-1, Tesla K80, 11441, 11000, 440.1"'
    )
    found = await linux(tool(tmp_path / "bin", "nvidia-smi", script))
    assert [(gpu.name, gpu.capability) for gpu in found.gpus] == [("Tesla K80", "")]


async def test_a_gpu_that_does_not_tell_its_memory_has_none(tmp_path: Path) -> None:
    line = "0, GPU-1, NVIDIA GB10, [N/A], [Not Supported], 580.1, 12.1\n"
    gpu = (await linux(says(tmp_path / "bin", line))).gpus[0]
    assert (gpu.total, gpu.free) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        "0, GPU-1\n",
        "x, y, z, 1, 2, 3, 4\n",
        "0,\x1b[2J," * 400 + "\n",
        "-1, a, b, 1, 2, 3, 4\n",
        "0, a, b, 99999999999999999999, 1e9, \x1b[2J, 4\n",
    ],
)
async def test_nonsense_from_the_driver_is_no_gpu_or_a_harmless_one(
    tmp_path: Path, text: str
) -> None:
    for gpu in (await linux(says(tmp_path / "bin", text))).gpus:
        assert (gpu.name + gpu.driver + gpu.capability).isprintable()
        assert gpu.total == 0


async def test_a_driver_that_fails_says_why(tmp_path: Path) -> None:
    script = 'echo "NVIDIA-SMI has failed because it could not talk to the driver."; exit 9'
    found = await linux(tool(tmp_path / "bin", "nvidia-smi", script))
    assert found.gpus == ()
    assert "could not talk to the driver" in found.trouble


async def test_a_driver_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    environ = tool(tmp_path / "bin", "nvidia-smi", "echo $$ > $0.pid; sleep 100 & wait")
    found = await linux(environ, within_s=0.5)
    assert time.monotonic() - begun < 5
    assert found.gpus == ()
    assert "did not answer within 0.5 s" in found.trouble
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "bin" / "nvidia-smi.pid").read_text()), 0)


async def test_a_driver_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    begun = time.monotonic()
    await linux(tool(tmp_path / "bin", "nvidia-smi", "yes 0,"), within_s=20)
    assert time.monotonic() - begun < 10


async def test_nothing_stays_open_where_somebody_else_holds_the_drivers_pipe(
    tmp_path: Path,
) -> None:
    pid = tmp_path / "bin" / "nvidia-smi.pid"
    away = f"import os, time; os.setsid(); open('{pid}', 'w').write(str(os.getpid()))"
    script = f'"{sys.executable}" -c "{away}; time.sleep(100)" & sleep 100'
    environ = tool(tmp_path / "bin", "nvidia-smi", script)
    before = psutil.Process().num_fds()
    try:
        found = await linux(environ, within_s=2)
        await asyncio.sleep(0)  # The loop closes pipes in its next turn.
        assert "did not answer" in found.trouble
        assert psutil.Process().num_fds() == before
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


FAKE_NVML = """
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
int nvmlInit_v2(void) { return 0; }
int nvmlSystemGetDriverVersion(char *out, unsigned n) { strcpy(out, "570.1"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **out) { *out = (void *)7; return 0; }
int nvmlDeviceGetUUID(void *d, char *out, unsigned n) { strcpy(out, "GPU-9"); return 0; }
int nvmlDeviceGetName(void *d, char *out, unsigned n) {
  strcpy(out, "NVIDIA L4"); return d != (void *)7;
}
int nvmlDeviceGetMemoryInfo(void *d, memory *m) {
  m->total = 24ull << 30; m->free = 20ull << 30; return 0;
}
int nvmlDeviceGetCudaComputeCapability(void *d, int *a, int *b) { *a = 8; *b = 9; return 0; }
"""


@pytest.mark.system("cc")
async def test_without_nvidia_smi_the_drivers_library_is_asked(tmp_path: Path) -> None:
    source, empty = tmp_path / "nvml.c", tmp_path / "empty"
    source.write_text(FAKE_NVML)
    empty.mkdir()
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    found = await linux({"PATH": str(empty), "LD_LIBRARY_PATH": str(tmp_path)})
    assert found.gpus == (Gpu("cuda", "NVIDIA L4", 24 * GIB, 20 * GIB, "570.1", "8.9"),)


async def test_a_machine_without_the_driver_is_no_trouble_and_nobody_is_asked(
    tmp_path: Path,
) -> None:
    environ = tool(tmp_path / "bin", "nvidia-smi", f"touch {tmp_path}/asked")
    found = await linux(environ, root=tmp_path)
    assert (found.gpus, found.trouble) == ((), "")
    assert not (tmp_path / "asked").exists()


async def test_a_driver_without_a_tool_or_a_library_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = await linux({"PATH": str(tmp_path / "empty")})
    assert (found.gpus, found.trouble) == ((), "")


# --- Apple ---


def sysctl(folder: Path, limit: int) -> dict[str, str]:
    script = f'case "$2" in iogpu*) echo {limit};; *) echo "Apple M2 Pro";; esac'
    return tool(folder, "sysctl", script)


async def test_a_mac_shares_its_memory_with_its_gpu(tmp_path: Path) -> None:
    found = await look(sysctl(tmp_path / "a", 0), system="darwin", architecture="arm64")
    (gpu,) = found.gpus
    assert found.apple
    assert (gpu.kind, gpu.name, gpu.shared) == ("metal", "Apple M2 Pro", True)
    assert found.ram * 2 // 3 <= gpu.total <= found.ram * 3 // 4
    assert gpu.free <= min(gpu.total, found.free_ram)
    found = await look(sysctl(tmp_path / "b", 512), system="darwin", architecture="arm64")
    assert found.gpus[0].total == 512 * 1024 * 1024


async def test_an_intel_mac_has_no_gpu_for_models(tmp_path: Path) -> None:
    found = await look(sysctl(tmp_path / "a", 0), system="darwin", architecture="x86_64")
    assert (found.gpus, found.apple) == ((), False)


# --- memory and cores ---


def cgroup(root: Path, where: str, **files: str) -> None:
    folder = root / "sys/fs/cgroup" / where
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")


async def test_a_containers_limits_count_at_every_level(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/box/app\n")
    mib = 1024 * 1024
    cgroup(
        tmp_path,
        "box",
        memory_max=str(300 * mib),
        memory_current=str(200 * mib),
        memory_stat=f"anon 1\ninactive_file {40 * mib}\nactive_file {10 * mib}",
        cpu_max="150000 100000",
    )
    cgroup(tmp_path, "box/app", memory_max="max", memory_current="5", cpu_max="max 100000")
    found = await linux({"PATH": str(tmp_path)}, root=tmp_path)
    assert (found.ram, found.free_ram, found.cores) == (300 * mib, 150 * mib, 1)


async def test_without_limits_it_is_the_machines(tmp_path: Path) -> None:
    found = await linux({"PATH": str(tmp_path)}, root=tmp_path)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.ram == pages
    assert 0 < found.free_ram <= pages
    assert found.cores == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../..", "0::/" + "a/" * 400])
async def test_nonsense_in_the_kernels_files_limits_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(text)
    cgroup(tmp_path, "", memory_max="lots", memory_current="-5", cpu_max="0 0")
    found = await linux({"PATH": str(tmp_path)}, root=tmp_path)
    assert found.free_ram > 0
    assert found.cores >= 1


# --- libraries ---


def package(site: Path, name: str, distribution: str, *files: str) -> list[str]:
    folder = site / name
    (folder / "lib").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it was imported')\n")
    (site / f"{distribution}-1.2.3.dist-info").mkdir()
    for file in files:
        (folder / file).write_bytes(b"")
    return [str(site)]


@pytest.mark.parametrize(
    ("file", "accelerator"),
    [
        ("lib/libggml-cuda.so", "cuda"),
        ("lib/libggml-metal.dylib", "metal"),
        ("lib/libggml-vulkan.so", "vulkan"),
        ("lib/libggml-hip.so", "rocm"),
        ("lib/libggml-cpu.so", ""),
    ],
)
def test_what_llama_cpp_python_was_built_for_is_seen(
    tmp_path: Path, file: str, accelerator: str
) -> None:
    path = package(tmp_path, "llama_cpp", "llama_cpp_python", file)
    assert installed(path) == (Runtime(LLAMA_CPP_PYTHON, "1.2.3", accelerator),)


def elf(names: list[str]) -> bytes:
    """A shared library of 64 bits that asks for these."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    at, entries = 1, []
    for name in names:
        entries.append((1, at))
        at += len(name) + 1
    start = 64 + 2 * 56
    entries += [(5, start), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    ident = b"\x7fELF" + bytes((2, 1, 1, 0, 0)) + b"\0" * 7
    head = ident + struct.pack("<2HI3QI6H", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    after = start + len(strings)
    load = struct.pack("<2I6Q", 1, 5, 0, 0, 0, after + len(dynamic), after + len(dynamic), 4096)
    moving = struct.pack("<2I6Q", 2, 6, after, after, after, len(dynamic), len(dynamic), 8)
    return head + load + moving + strings + dynamic


@pytest.mark.parametrize(
    ("libraries", "accelerator"),
    [
        (["libm.so.6", "libcuda.so.1"], "cuda"),
        (["libcublas.so.12"], "cuda"),
        (["libamdhip64.so.6"], "rocm"),
        (["libvulkan.so.1"], "vulkan"),
        (["libm.so.6", "libgomp.so.1"], ""),
    ],
)
def test_what_xllamacpp_was_built_for_is_seen(
    tmp_path: Path, libraries: list[str], accelerator: str
) -> None:
    path = package(tmp_path, "xllamacpp", "xllamacpp")
    (tmp_path / "xllamacpp" / "xllamacpp.abi3.so").write_bytes(elf(libraries))
    assert installed(path, "linux") == (Runtime(XLLAMACPP, "1.2.3", accelerator),)
    assert installed(path, "darwin")[0].accelerator == "metal"


def test_a_real_library_and_a_damaged_one(tmp_path: Path) -> None:
    real = [name for name in needed(Path(sys.executable).resolve()) if name.startswith("libc.")]
    assert sys.platform != "linux" or real
    whole = elf(["libcuda.so.1"])
    for length in range(len(whole)):
        (tmp_path / "cut.so").write_bytes(whole[:length])
        assert len(needed(tmp_path / "cut.so")) <= 1
    assert needed(tmp_path / "gone.so") == []


def test_mlx_needs_a_mac_for_its_gpu(tmp_path: Path) -> None:
    path = package(tmp_path, "mlx_lm", "mlx_lm")
    assert installed(path, "linux") == (Runtime(MLX, "1.2.3"),)
    assert installed(path, "darwin") == (Runtime(MLX, "1.2.3", "metal"),)


def test_nothing_is_imported_and_it_is_quick(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from backends.runtimes import installed\n"
        "names = [each.library for each in installed()]\n"
        "print(names, sorted({'xllamacpp', 'llama_cpp', 'mlx_lm', 'mlx'} & set(sys.modules)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert told.startswith("['xllamacpp'")
    assert told.endswith("[]")
