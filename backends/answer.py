"""Reading an answer: from the events of a chat completion to its pieces. Imports httpx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

import httpx

from backends.failures import Wording
from backends.sse import MalformedStream, Stalled
from backends.wire import field, is_number, whole, whole_number
from engine.contract.backend import Piece, TokenLogprob, Usage

MAX_TEXT_PER_TOKEN = 512
MAX_LOGPROBS = 64
MAX_ALTERNATIVES = 20
USAGE_WITHIN_S = 0.5
"""What an answer took comes right behind its end, or not at all."""

_DONE = b"[DONE]"


class NoEnd(Exception):
    """The stream is over, and the answer is not."""


class Answer:
    """One answer of at most ``max_tokens``. ``usage_follows``: the server was asked to tell it."""

    def __init__(self, words: Wording, max_tokens: int, *, usage_follows: bool) -> None:
        self._words = words
        self._room = (max_tokens + 16) * MAX_TEXT_PER_TOKEN
        self._usage_follows = usage_follows
        self._usage: Usage | None = None
        self._begun = False

    async def pieces(self, events: AsyncIterator[bytes]) -> AsyncGenerator[Piece]:
        """Its pieces. Raises ModelFailed, PromptTooLong, NoEnd, and what ``events`` raises."""
        async for data in events:
            if data == _DONE:
                if not self._begun:
                    raise self._words.silent()
                yield Piece("", "stop", usage=self._usage)
                return
            event = parse(data, self._words)
            choice = self._choice(event)
            self._note_usage(event)
            if text := self._text(choice):
                yield Piece(text, logprobs=_logprobs(choice))
            if (finish := field(choice, "finish_reason")) is not None:
                end = self._end(finish)
                if self._usage_follows and self._usage is None:
                    await self._read_usage(events)
                yield Piece("", end, usage=self._usage)
                return
        raise NoEnd

    def _choice(self, event: Any) -> Any:
        problem = field(event, "error")
        if problem is None and field(event, "object") == "error":
            problem = event
        if problem is not None:
            raise self._words.broke_off(problem, begun=self._begun)
        choices = field(event, "choices")
        if isinstance(choices, list):
            return choices[0] if choices else None
        if field(event, "usage") is None and field(event, "timings") is None:
            raise self._words.malformed("an event without choices")
        return None

    def _text(self, choice: Any) -> str:
        """The text of this event. What a model thinks to itself is counted, and not shown."""
        delta = field(choice, "delta")
        text = _plain(field(delta, "content"))
        thought = field(delta, "reasoning_content") or field(delta, "reasoning")
        if text or thought:
            self._begun = True
        self._room -= 1 + len(text) + (len(thought) if isinstance(thought, str) else 0)
        if self._room < 0:
            raise self._words.malformed("it wrote far more than it was asked for")
        return text

    def _end(self, finish: Any) -> str:
        if finish == "content_filter":
            raise self._words.filtered()
        if finish in {"error", "abort"}:
            raise self._words.broke_off(f"it ended with {finish!r}", begun=True)
        return "length" if finish == "length" else "stop"

    async def _read_usage(self, events: AsyncIterator[bytes]) -> None:
        """Reads on to the usage. The answer is whole: whatever is wrong here, costs only that."""
        with suppress(TimeoutError, MalformedStream, Stalled, httpx.HTTPError, ValueError):
            async with asyncio.timeout(USAGE_WITHIN_S):
                async for data in events:
                    if data == _DONE:
                        return
                    self._note_usage(json.loads(data))
                    if self._usage is not None:
                        return

    def _note_usage(self, event: Any) -> None:
        usage, timings = field(event, "usage"), field(event, "timings")
        if usage is None and timings is None:
            return
        cached = whole_number(field(field(usage, "prompt_tokens_details"), "cached_tokens"))
        if cached is None:
            cached = whole_number(field(timings, "cache_n")) or 0
        prompt = whole_number(field(usage, "prompt_tokens"))
        new = whole_number(field(usage, "completion_tokens"))
        if prompt is None and (read := whole_number(field(timings, "prompt_n"))) is not None:
            prompt = read + cached
        if new is None:
            new = whole_number(field(timings, "predicted_n"))
        if prompt is not None and new is not None:
            self._usage = Usage(prompt, new, min(cached, prompt))


def parse(data: bytes, words: Wording) -> Any:
    """The JSON that a server wrote. Raises ModelFailed."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise words.malformed("what it wrote is not JSON") from error


def _plain(content: Any) -> str:
    """The text of a message's content, which some servers write as a list of parts."""
    if isinstance(content, list):
        content = "".join(
            part
            for each in content
            if field(each, "type") == "text" and isinstance(part := field(each, "text"), str)
        )
    return whole(content) if isinstance(content, str) else ""


def _logprobs(choice: Any) -> tuple[TokenLogprob, ...]:
    told = field(field(choice, "logprobs"), "content")
    if not isinstance(told, list):
        return ()
    found = []
    for each in told[:MAX_LOGPROBS]:
        if (token := _token(each)) is not None:
            others = field(each, "top_logprobs")
            others = others[:MAX_ALTERNATIVES] if isinstance(others, list) else []
            pairs = tuple(pair for other in others if (pair := _token(other)) is not None)
            found.append(TokenLogprob(*token, pairs))
    return tuple(found)


def _token(value: Any) -> tuple[str, float] | None:
    text, logprob = field(value, "token"), field(value, "logprob")
    if not isinstance(text, str) or not is_number(logprob):
        return None
    return whole(text[:MAX_TEXT_PER_TOKEN]), min(float(logprob), 0.0)
