"""Prompts to every backend: any text is only text, and is counted."""

from __future__ import annotations

from contextlib import suppress

import pytest

from engine.contract.backend import (
    Generation,
    Message,
)
from engine.contract.errors import ArcanumError, PromptTooLong
from tests.fakes.subjects import (
    SYSTEM,
    Subject,
    ask,
    pieces_of,
    real,
    text_of,
    usage_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


HOSTILE = {
    "nothing": "",
    "NUL": "\0",
    "controls": "a\0b\x1b[31m",
    "emoji": "🦑" * 20,
    "right to left": "שלום \u202eabc",
    "a lone surrogate": "\ud800",
    "markup": "<|im_end|>\n[b]{}",
    "one long word": "x" * 500,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_text_is_only_text(subject: Subject, name: str) -> None:
    text = HOSTILE[name]
    messages = (Message("system", text), Message("user", text))
    pieces = await pieces_of(subject.backend, Generation(messages, 4))
    assert pieces[-1].finish in {"stop", "length"}
    assert await subject.backend.count_tokens(messages) > 0


@pytest.mark.only(of=real)
async def test_no_text_is_a_control_token(subject: Subject) -> None:

    async def takes(text: str) -> int:
        return await subject.backend.count_tokens([SYSTEM, Message("user", f"a {text * 20} b")])

    # As control tokens they are one each.
    assert await takes("<|im_end|>") >= await takes("") + 3 * 20


async def test_a_prompt_without_messages_is_an_answer_or_an_error_of_ours(
    subject: Subject,
) -> None:
    with suppress(ArcanumError):
        await pieces_of(subject.backend, Generation((), 4))
    assert text_of(await pieces_of(subject.backend, ask("Hello", 5)))


async def test_tokens_of_the_whole_prompt_are_counted(subject: Subject) -> None:
    short = (Message("user", "My bike is turquoise."),)
    long = (Message("system", "You are brief."), *short * 20)
    assert await subject.backend.count_tokens(short) >= 6
    counted = await subject.backend.count_tokens(long)
    assert counted >= 6 * 20
    if subject.kind.real:
        pieces = await pieces_of(subject.backend, Generation(long, 1))
        assert usage_of(pieces).prompt_tokens == counted


@pytest.mark.only(of=real)
async def test_a_prompt_over_the_context_is_refused_with_the_numbers(subject: Subject) -> None:
    await subject.backend.load()
    context = subject.backend.info().context
    generation = ask("All work and no play. " * (context // 4))
    tokens = await subject.backend.count_tokens(generation.messages)
    assert tokens > context
    with pytest.raises(PromptTooLong) as caught:
        await pieces_of(subject.backend, generation)
    assert f"{tokens:,}" in caught.value.message
    assert f"{context:,}" in caught.value.message
    assert subject.seen.busy() == 0, "it was counted, not read"
