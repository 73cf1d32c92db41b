"""The libraries that run models, as they are installed. Looked at, never imported."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import BinaryIO

XLLAMACPP = "xllamacpp"
LLAMA_CPP_PYTHON = "llama-cpp-python"
MLX = "mlx-lm"
_PACKAGES = {XLLAMACPP: "xllamacpp", LLAMA_CPP_PYTHON: "llama_cpp", MLX: "mlx_lm"}
# What a build is linked to, or brings along, by what it then runs on.
_SIGNS = {
    "cuda": ("libggml-cuda", "libcuda.", "libcudart.", "libcublas."),
    "metal": ("libggml-metal",),
    "rocm": ("libggml-hip", "libamdhip64."),
    "vulkan": ("libggml-vulkan", "libvulkan."),
}
_MAX_ENTRIES = 4096
_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed library. ``accelerator``: cuda, metal, rocm or vulkan; empty for the CPU."""

    library: str
    version: str
    accelerator: str = ""

    @property
    def label(self) -> str:
        return f"{self.library} {self.version}".strip()


def installed(path: Sequence[str] | None = None, system: str = sys.platform) -> tuple[Runtime, ...]:
    """Every library that is there. Some milliseconds."""
    found = []
    for library in _PACKAGES:
        if (folder := _folder(library, path)) is not None:
            accelerator = _accelerator(library, folder, system)
            found.append(Runtime(library, _version(library, folder), accelerator))
    return tuple(found)


def _folder(library: str, path: Sequence[str] | None) -> Path | None:
    spec = PathFinder.find_spec(_PACKAGES[library], path)
    folders = (spec.submodule_search_locations if spec is not None else None) or ()
    return next(map(Path, folders), None)


def _version(library: str, folder: Path) -> str:
    """As its folder of metadata is named, beside the package."""
    name = library.replace("-", "_")
    for found in folder.parent.glob(f"{name}-*.dist-info"):
        return found.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return ""


def _accelerator(library: str, folder: Path, system: str) -> str:
    if library == MLX or (library == XLLAMACPP and system == "darwin"):
        # Both have no other build for Apple silicon.
        return "metal" if system == "darwin" else ""
    signs = [each.name for each in folder.glob("lib/lib*")]
    signs += [each.name for each in folder.parent.glob(f"{folder.name}.libs/lib*")]
    for binary in folder.glob("*.so"):
        signs += needed(binary)
    for accelerator, names in _SIGNS.items():
        if any(sign.startswith(names) for sign in signs):
            return accelerator
    return ""


# --- what a binary is linked to -----------------------------------------------------------------

_HEADER = struct.Struct("<4s5B7x2HI3QI6H")
_SEGMENT = struct.Struct("<2I6Q")
_ENTRY = struct.Struct("<qQ")
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS = 1, 5


def needed(binary: Path) -> list[str]:
    """The shared libraries that a 64-bit ELF file asks for; none for any other file."""
    try:
        with binary.open("rb") as file:
            return _needed(file)
    except (OSError, OverflowError, struct.error, ValueError):
        return []  # Not there, cut off, or not of this form.


def _needed(file: BinaryIO) -> list[str]:
    head = _HEADER.unpack(file.read(_HEADER.size))
    if head[:3] != (b"\x7fELF", 2, 1):
        return []
    segments_at, segments = head[10], head[15]
    file.seek(segments_at)
    table = file.read(_SEGMENT.size * segments)
    found = [each for each in _SEGMENT.iter_unpack(table) if each[0] in {_LOAD, _DYNAMIC}]
    entries: list[tuple[int, int]] = []
    for kind, _, offset, _, _, size, _, _ in found:
        if kind == _DYNAMIC:
            file.seek(offset)
            data = file.read(min(size, _MAX_ENTRIES * _ENTRY.size))
            entries = list(_ENTRY.iter_unpack(data[: len(data) // 16 * 16]))
    address = dict(entries).get(_STRINGS, 0)
    names = [value for tag, value in entries if tag == _NEEDED]
    for kind, _, offset, virtual, _, size, _, _ in found:
        if kind == _LOAD and virtual <= address < virtual + size:
            return [_string(file, offset + address - virtual + each) for each in names]
    return []


def _string(file: BinaryIO, at: int) -> str:
    file.seek(at)
    return file.read(_MAX_NAME).partition(b"\0")[0].decode("ascii", "replace")
