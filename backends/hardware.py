"""What this machine has for a model: memory, cores, GPUs. Asked when it is needed, never kept."""

from __future__ import annotations

import asyncio
import csv
import os
import platform
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.contract.base import visible

_MIB = 1024 * 1024
_WITHIN_S = 5.0
_MAX_REPLY = 64 * 1024
_MAX_GPUS = 64
_MAX_MEMORY = 2**50
_FIELDS = "index,uuid,name,memory.total,memory.free,driver_version"
_NVML = Path(__file__).with_name("nvml.py")
# Where it is on Windows' Linux, which puts it into no PATH of a service.
_WSL = "/usr/lib/wsl/lib"
# What NVIDIA's driver brings: on a server or in a container, in Windows' Linux, on a Jetson.
_SIGNS = ("dev/nvidiactl", "proc/driver/nvidia", "usr/lib/wsl/lib/libcuda.so.1", "dev/nvhost-gpu")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU. Memory in bytes, ``total`` 0 where it is not told.

    ``kind`` is cuda or metal. ``shared``: its memory is the machine's, ``free`` what may be used
    of it at most. ``capability`` is NVIDIA's, like 8.9.
    """

    kind: str
    name: str
    total: int
    free: int
    driver: str = ""
    capability: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Hardware:
    """Memory in bytes; ``free_ram`` is what can be had without swapping, containers considered.

    ``cores``: how many this process may use. ``trouble``: why GPUs may be missing here.
    """

    system: str
    ram: int
    free_ram: int
    cores: int
    gpus: tuple[Gpu, ...] = ()
    trouble: str = ""

    @property
    def apple(self) -> bool:
        """True on a Mac with Apple silicon."""
        return any(gpu.kind == "metal" for gpu in self.gpus)


def gpu_kinds(
    system: str = sys.platform, architecture: str | None = None, root: Path = Path("/")
) -> frozenset[str]:
    """Which kinds of GPU there seem to be, by the files of their drivers: asks no driver."""
    if system == "darwin":
        is_arm = (architecture or platform.machine()) == "arm64"
        return frozenset({"metal"} if is_arm else ())
    return frozenset({"cuda"} if any((root / each).exists() for each in _SIGNS) else ())


async def look(
    environ: Mapping[str, str] = os.environ,
    *,
    system: str = sys.platform,
    architecture: str | None = None,
    root: Path = Path("/"),
    within_s: float = _WITHIN_S,
) -> Hardware:
    """Looks at this machine; a GPU's driver that does not answer is waited for ``within_s``.

    ``root`` is where the kernel's files are looked for.
    """
    ram, free, cores = await asyncio.to_thread(_memory_and_cores, root)
    kinds = gpu_kinds(system, architecture, root)
    if "metal" in kinds:
        gpu = await _apple(environ, within_s, ram, free)
        return Hardware(system, ram, free, cores, (gpu,))
    found, trouble = await _nvidia(environ, within_s) if "cuda" in kinds else ((), "")
    return Hardware(system, ram, free, cores, found, trouble)


# --- memory and cores ---------------------------------------------------------------------------


def _memory_and_cores(root: Path) -> tuple[int, int, int]:
    import psutil

    memory = psutil.virtual_memory()
    ram, free = memory.total, memory.available
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for folder in _cgroups(root):
        most = _number(folder / "memory.max")
        if most is not None:
            used = (_number(folder / "memory.current") or 0) - _reclaimable(folder)
            ram, free = min(ram, most), min(free, max(0, most - max(0, used)))
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal() and int(period):
            cores = min(cores, max(1, int(quota) // int(period)))
    return ram, free, cores


def _cgroups(root: Path) -> Iterator[Path]:
    """The control group (version 2) of this process, and all above it: each may have a limit."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        if line.startswith("0::/"):
            inner = PurePosixPath(line.removeprefix("0::"))
            for each in (inner, *inner.parents):
                yield root / "sys/fs/cgroup" / str(each).lstrip("/")


def _reclaimable(folder: Path) -> int:
    """Bytes of files that the kernel keeps in memory for as long as nobody else wants it."""
    stat = dict(line.partition(" ")[::2] for line in _text(folder / "memory.stat").splitlines())
    kept = (stat.get(name, "") for name in ("inactive_file", "active_file"))
    return sum(int(each) for each in kept if each.isdecimal())


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_REPLY).decode("ascii", "replace").strip()
    except OSError:
        return ""


# --- GPUs ---------------------------------------------------------------------------------------


async def _apple(environ: Mapping[str, str], within_s: float, ram: int, free: int) -> Gpu:
    """A Mac's GPU. Of the memory that it shares macOS lets it have two thirds, or three quarters
    on large ones, unless ``iogpu.wired_limit_mb`` says how much."""
    names = ("machdep.cpu.brand_string", "iogpu.wired_limit_mb")
    answers = []
    for name in names:
        status, reply = await _ask(environ, within_s, "sysctl", "-n", name)
        answers.append(reply.strip() if status == 0 else "")
    name, limit = answers
    usable = ram * 3 // 4 if ram > 36 * 1024 * _MIB else ram * 2 // 3
    if limit.isdecimal() and int(limit):
        usable = min(ram, int(limit) * _MIB)
    shown = visible(name)[:100] or "Apple silicon"
    return Gpu("metal", shown, usable, min(usable, free), shared=True)


async def _nvidia(environ: Mapping[str, str], within_s: float) -> tuple[tuple[Gpu, ...], str]:
    """NVIDIA's GPUs, and why there may be more. Without nvidia-smi its library is asked."""
    tool = shutil.which("nvidia-smi", path=f"{environ.get('PATH', os.defpath)}:{_WSL}")
    if tool is None:
        status, reply = await _ask(environ, within_s, sys.executable, "-P", os.fspath(_NVML))
    else:
        status, reply = await _query(environ, within_s, tool, f"{_FIELDS},compute_cap")
        if status not in {0, None}:  # Drivers before 2022 do not know the last field.
            status, reply = await _query(environ, within_s, tool, _FIELDS)
    if status is None:
        return (), f"NVIDIA's driver did not answer within {within_s:g} s"
    if status != 0:
        words = visible(reply.strip().splitlines()[0])[:200] if reply.strip() else ""
        return (), f"NVIDIA's driver is not usable: {words}" if words and tool else ""
    return _chosen(environ, _parse(reply)), ""


async def _query(
    environ: Mapping[str, str], within_s: float, tool: str, fields: str
) -> tuple[int | None, str]:
    return await _ask(
        environ, within_s, tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits"
    )


def _parse(reply: str) -> list[tuple[str, str, Gpu]]:
    """Index, UUID and GPU of each line that makes sense."""
    found = []
    for row in csv.reader(reply.splitlines()[:_MAX_GPUS], skipinitialspace=True):
        if len(row) >= 6 and row[0].strip().isdecimal():
            index, uuid, name, total, free, driver, capability, *_ = (
                visible(each.strip())[:100] for each in (*row, "")
            )
            gpu = Gpu("cuda", name, _mib(total), _mib(free), driver, capability)
            found.append((index, uuid, gpu))
    return found


def _mib(text: str) -> int:
    """0 for "[N/A]", as where the GPU shares the machine's memory."""
    return min(int(text) * _MIB, _MAX_MEMORY) if text.isdecimal() and len(text) < 16 else 0


def _chosen(environ: Mapping[str, str], found: list[tuple[str, str, Gpu]]) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES names, in its order; all where it is not set."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(gpu for _, _, gpu in found)
    chosen: list[Gpu] = []
    for each in map(str.strip, named.split(",")):
        match = [gpu for i, uuid, gpu in found if each and (each == i or uuid.startswith(each))]
        if not match:  # As CUDA reads it: what follows a wrong one does not count.
            break
        chosen += match[:1]
    return tuple(chosen)


async def _ask(
    environ: Mapping[str, str], within_s: float, program: str, *arguments: str
) -> tuple[int | None, str]:
    """The exit status and what it wrote; None where it did not end in time, 127 if not there."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(program, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError:
        return 127, ""
    try:
        async with asyncio.timeout(within_s):
            reply = await _read(process)
            status: int | None = await process.wait()
    except TimeoutError:
        status, reply = None, b""
    finally:
        await _end(process)
    return status, reply.decode("utf-8", "replace")


async def _read(process: asyncio.subprocess.Process) -> bytes:
    """What it writes, up to a bound; who writes more is ended."""
    assert process.stdout is not None
    reply = b""
    while more := await process.stdout.read(_MAX_REPLY):
        reply += more
        if len(reply) > _MAX_REPLY:
            await _end(process)
            break
    return reply[:_MAX_REPLY]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # One that hangs in its driver cannot be ended: that is not waited for.
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await process.wait()
    # A pipe with what nobody has read, or that somebody else holds too, stays open, and asyncio
    # has no public way to close it.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
