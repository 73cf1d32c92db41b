"""Answers as JSON: asked for by a schema, checked by us, and asked for again where they do not fit.

A backend that can hold its model to a schema does; for any other the prompt says what is wanted.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from engine.agent0.fitting import room_for
from engine.agent0.schema import bounded, problems
from engine.contract.agent0 import Structured
from engine.contract.backend import Backend, Generation, Message, Priority
from engine.contract.base import Json, visible
from engine.contract.errors import Busy, ModelFailed
from engine.contract.ports import Models

ATTEMPTS = 3
_SHOWN_BACK = 2_000
"""Characters of a wrong answer that the model is shown again."""
_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""How long work that nobody waits for waits before it asks again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked. ``schema`` is a bounded one."""

    messages: tuple[Message, ...]
    schema: Json
    max_tokens: int

    @classmethod
    def of(cls, text: str, schema: Json, max_tokens: int) -> Wanted:
        """Raises Invalid where the schema is not one that can be checked."""
        known = bounded(schema)
        shape = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
        asked = f"{text}\n\nAnswer with JSON alone, one object that fits this schema:\n{shape}"
        messages = (Message("system", "You answer with JSON."), Message("user", asked))
        return cls(messages, known, max_tokens)


async def structured(
    models: Models,
    wanted: Wanted,
    priority: Priority,
    check: Callable[[Backend], None],
    attempts: int = ATTEMPTS,
) -> Structured:
    """The answer, once it fits. ``check`` raises where the model that is lent may not be asked.

    Raises ModelFailed where no answer fits; a person's call is told of Busy, other work waits.
    """
    started = time.perf_counter()
    messages = wanted.messages
    tokens = 0
    wrong = model = ""
    for attempt in range(1, attempts + 1):
        generation = Generation(
            messages, wanted.max_tokens, schema=wanted.schema, priority=priority
        )
        reply = await _patiently(priority, lambda: _once(models, generation, check))  # noqa: B023
        model, tokens = reply.model, tokens + reply.tokens
        value, wrong = _read(reply, wanted)
        if not wrong:
            seconds = time.perf_counter() - started
            return Structured(
                value=value, model=model, attempts=attempt, tokens=tokens, seconds=seconds
            )
        messages = (
            *wanted.messages,
            Message("assistant", reply.text[:_SHOWN_BACK]),
            Message("user", f"That does not fit: {wrong}. Answer again, with JSON alone."),
        )
    times = "once" if attempts == 1 else f"{attempts} times"
    raise ModelFailed(
        f"{model} gave no JSON that fits, asked {times}: {visible(wrong)}",
        "Ask for less, allow more tokens, or use a larger model: arcanum model list",
    )


@dataclass(frozen=True, slots=True)
class _Reply:
    text: str
    model: str
    tokens: int
    cut: bool


async def _once(models: Models, generation: Generation, check: Callable[[Backend], None]) -> _Reply:
    async with models.lease() as backend:
        check(backend)
        most = await room_for(backend, generation.messages, generation.max_tokens)
        text: list[str] = []
        tokens, cut = 0, False
        async with backend.stream(replace(generation, max_tokens=most)) as pieces:
            async for piece in pieces:
                text.append(piece.text)
                tokens = piece.usage.new_tokens if piece.usage else tokens + bool(piece.text)
                cut = piece.finish == "length"
        return _Reply("".join(text), visible(backend.info().model), tokens, cut=cut)


async def _patiently(priority: Priority, ask: Callable[[], Awaitable[_Reply]]) -> _Reply:
    """Asks; where nobody waits for the answer, it gives way as often as it must."""
    if priority is Priority.BACKGROUND:
        for wait_s in _WAITS_S:
            try:
                return await ask()
            except Busy:
                await asyncio.sleep(wait_s)
    return await ask()


def _read(reply: _Reply, wanted: Wanted) -> tuple[Any, str]:
    """The value, and what is wrong with it, "" where it fits."""
    # A model that nobody holds to JSON likes to wrap it in words.
    text = reply.text[reply.text.find("{") : reply.text.rfind("}") + 1]
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if reply.cut:
            return None, f"it was cut at {reply.tokens} tokens"
        return None, f"it is not one JSON object: {error}"
    return value, "; ".join(islice(problems(value, wanted.schema), 5))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
