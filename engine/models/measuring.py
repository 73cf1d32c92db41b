"""How fast a model is here: medians over rounds, on a copy that no conversation uses."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median

from engine.contract.backend import Backend, BackendCatalog, Generation, Message, Priority
from engine.contract.base import visible
from engine.contract.errors import Failed, Refused
from engine.contract.model import BenchModel, BenchResult
from engine.contract.ports import JobControl

_STORY = (
    "the river ran past an old mill where nobody had worked for years and every summer children "
    "came down from village to swim under its broken wheel while their parents sat on warm stones "
    "with bread cheese small talk about weather prices who would marry whom before winter"
)
_ASK = "Tell this story on, in as many words as you can:"
_FITTING_TRIES = 8
_STEPS = ("load", "new prompt", "kept prompt")


@dataclass(slots=True)
class _Answer:
    first_s: float
    new_tokens: int
    new_s: float
    prompt_tokens: int
    cached_tokens: int


@dataclass(slots=True)
class _Seen:
    load_s: list[float] = field(default_factory=list)
    new: list[_Answer] = field(default_factory=list)
    kept: list[_Answer] = field(default_factory=list)
    memory: int = 0


class Measuring:
    """``memory`` reads what a process takes, in bytes."""

    def __init__(self, catalog: BackendCatalog, memory: Callable[[int], Awaitable[int]]) -> None:
        self._catalog = catalog
        self._memory = memory

    async def measure(
        self, backend: Backend, name: str, asked: BenchModel, job: JobControl
    ) -> BenchResult:
        """``backend`` is loaded, and nobody else's. Raises Refused, or what the backend raises."""
        check(backend, name)
        seen = _Seen()
        sessions: list[str] = []
        step = 0

        async def next_step(note: str) -> None:
            nonlocal step
            await job.checkpoint()
            job.progress(step, asked.rounds * len(_STEPS), "steps", note)
            step += 1

        try:
            for _round in range(asked.rounds):
                await next_step("loading it from nothing")
                seen.load_s.append(await _load(backend))
                messages = await _prompt(backend, asked.prompt_tokens)
                sessions.append(f"bench-{secrets.token_hex(6)}")
                ask = Generation(
                    messages,
                    asked.new_tokens,
                    session=sessions[-1],
                    priority=Priority.BACKGROUND,
                )
                await next_step("a prompt that it has not read")
                seen.new.append(await _answer(backend, ask, asked.prompt_tokens))
                await next_step("the same prompt again")
                seen.kept.append(await _answer(backend, ask, asked.prompt_tokens))
                if pid := backend.info().pid:
                    seen.memory = max(seen.memory, await self._memory(pid))
            job.progress(step, step, "steps")
        finally:
            for session in sessions:
                await self._catalog.forget_session(session)
        return _result(backend, name, seen)


def check(backend: Backend, name: str) -> None:
    """Raises Refused for what is not measured: no model at all, or one of another machine."""
    info = backend.info()
    if info.simulated:
        raise Refused(
            f"{visible(name)} is no model: there is nothing to measure.",
            "arcanum model list",
        )
    if not info.local:
        raise Refused(
            f"{visible(name)} runs on another machine: measuring would send text there.",
            "Only models on this machine are measured: arcanum model list",
        )


async def _load(backend: Backend) -> float:
    await backend.unload()
    started = time.perf_counter()
    await backend.load()
    return time.perf_counter() - started


async def _prompt(backend: Backend, tokens: int) -> tuple[Message, ...]:
    """A prompt of about so many tokens that begins like no other."""
    dice = random.Random()  # noqa: S311 - it only has to differ
    words, count = _STORY.split(), tokens
    tries = 0
    while True:
        story = " ".join(dice.choices(words, k=count))
        messages = (Message("user", f"{secrets.token_hex(4)} {_ASK} {story}"),)
        found, tries = await backend.count_tokens(messages), tries + 1
        near = abs(found - tokens) <= max(2, tokens // 50)
        if near or count == 1 or tries == _FITTING_TRIES:
            return messages
        count = max(1, count + round((tokens - found) * count / max(found, 1)))


async def _answer(backend: Backend, ask: Generation, prompt_tokens: int) -> _Answer:
    started = time.perf_counter()
    first = last = None
    pieces, cached, new_tokens = 0, 0, 0
    async with backend.stream(ask) as stream:
        async for piece in stream:
            if piece.text:
                last = time.perf_counter()
                first = first or last
                pieces += 1
            if piece.usage is not None:
                prompt_tokens = piece.usage.prompt_tokens
                new_tokens, cached = piece.usage.new_tokens, piece.usage.cached_tokens
    if first is None or last is None:
        raise Failed(
            "The model answered nothing, so its speed cannot be told.", "Try a longer prompt."
        )
    return _Answer(first - started, new_tokens or pieces, last - first, prompt_tokens, cached)


def _result(backend: Backend, name: str, seen: _Seen) -> BenchResult:
    info = backend.info()
    kept = [each.first_s for each in seen.kept if each.cached_tokens > 0]
    speeds = [(each.new_tokens - 1) / each.new_s for each in seen.new if each.new_s > 0]
    return BenchResult(
        name=name,
        model=visible(info.model),
        library=visible(info.library),
        device=visible(info.device),
        load_s=median(seen.load_s),
        first_token_s=median(each.first_s for each in seen.new),
        first_token_kept_s=median(kept) if kept else None,
        prompt_tokens=round(median(each.prompt_tokens for each in seen.new)),
        prompt_tokens_per_s=median(each.prompt_tokens / each.first_s for each in seen.new),
        new_tokens=round(median(each.new_tokens for each in seen.new)),
        new_tokens_per_s=median(speeds) if speeds else 0.0,
        memory=seen.memory,
    )
