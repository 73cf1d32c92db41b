"""Making a prompt fit the model's context, counted by the model's own tokenizer.

Nothing is cut. Older turns are left out first, then recalled facts; what a person asked and
attached is in the prompt whole, or refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.agent0.prompt import Draft
from engine.contract.backend import Backend, Message
from engine.contract.errors import PromptTooLong

_SHORTER = "or raise model.context in config.toml."


def least_room(most: int, context: int) -> int:
    """Tokens that are kept free for an answer of at most ``most``."""
    return min(most, context // 4)


async def fit(backend: Backend, draft: Draft, most: int) -> tuple[Draft, int]:
    """The longest draft that leaves room for an answer, and its tokens (0: nobody knows).

    Each count asks the model's process: usually there is one. Raises PromptTooLong.
    """
    context = backend.info().context
    if not context:
        return draft, 0
    room = least_room(most, context)
    while True:
        tokens = await backend.count_tokens(draft.messages())
        if tokens + room <= context:
            return draft, tokens
        if draft.turns:
            draft = replace(draft, turns=draft.turns[(len(draft.turns) + 1) // 2 :])
        elif draft.facts:
            draft = replace(draft, facts=draft.facts[: len(draft.facts) // 2])
        else:
            await _refuse_attachments(backend, draft, room, context)
            raise _too_long(tokens, room, context)


async def room_for(backend: Backend, prompt: Sequence[Message], most: int) -> int:
    """Tokens, at most ``most``, that the answer to this prompt may have. Raises PromptTooLong."""
    context = backend.info().context
    if not context:
        return most
    tokens = await backend.count_tokens(prompt)
    if tokens + least_room(most, context) > context:
        raise _too_long(tokens, least_room(most, context), context)
    return min(most, context - tokens)


def _too_long(tokens: int, room: int, context: int) -> PromptTooLong:
    return PromptTooLong(
        f"The question is {tokens:,} tokens long; with {room:,} for the answer, the"
        f" model's context of {context:,} tokens is too small.",
        f"Ask something shorter, {_SHORTER}",
    )


async def _refuse_attachments(backend: Backend, draft: Draft, room: int, context: int) -> None:
    """Raises PromptTooLong for the first attachment without which it would fit so far."""
    before = 0
    for number in range(len(draft.attached) + 1):
        some = replace(draft, attached=draft.attached[:number])
        tokens = await backend.count_tokens(some.messages())
        if tokens + room > context:
            if number:
                raise PromptTooLong(
                    f"{draft.attached[number - 1].name} does not fit: it is {tokens - before:,}"
                    f" tokens long, and of the model's context of {context:,} tokens"
                    f" {context - room - before:,} are left beside the question and"
                    f" {room:,} for the answer.",
                    f"Attach a shorter part of it, {_SHORTER}",
                )
            return
        before = tokens
