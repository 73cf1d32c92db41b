"""The prompt: system text, recent turns, and the question with what memory recalls for it.

Recalled facts stand next to the question, in plain sentences: a small model overlooks them
anywhere else. What does not fit is refused with the numbers, never cut: only older turns, then
recalled ones, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.errors import PromptTooLong
from engine.contract.memory import RecallHit, Turn
from engine.contract.ports import Backend, Message

SYSTEM = "You are Agent-0, a helpful assistant. Answer in one short sentence."


def messages(
    question: str, recent: Sequence[Turn], recalled: Sequence[RecallHit]
) -> tuple[Message, ...]:
    """The whole prompt. ``recalled`` is best first; the best is put closest to the question."""
    found = [Message("system", SYSTEM)]
    for turn in recent:
        found += [Message("user", turn.question), Message("assistant", turn.answer)]
    facts = "\n".join(hit.text for hit in reversed(recalled))
    text = f"Earlier I told you:\n{facts}\n\nMy question: {question}" if facts else question
    found.append(Message("user", text))
    return tuple(found)


async def fit(
    backend: Backend,
    question: str,
    recent: Sequence[Turn],
    recalled: Sequence[RecallHit],
    max_tokens: int,
) -> tuple[tuple[Message, ...], list[RecallHit]]:
    """The longest prompt that leaves room for ``max_tokens``; what of ``recalled`` is in it.

    Raises PromptTooLong where the question alone does not fit.
    """
    turns, hits = list(recent), list(recalled)
    while True:
        prompt = messages(question, turns, hits)
        context = backend.info().context
        tokens = await backend.count_tokens(prompt)
        context = backend.info().context or context  # Known for sure once the model is loaded.
        if not context or tokens + max_tokens <= context:
            return prompt, hits
        if turns:
            turns = turns[(len(turns) + 1) // 2 :]
        elif hits:
            hits = hits[: len(hits) // 2]
        else:
            raise PromptTooLong(
                f"The question is {tokens} tokens long; with {max_tokens} for the answer, the"
                f" model's context of {context} tokens is too small.",
                "Ask something shorter, or raise model.context in config.toml.",
            )
