"""The prompt: system text, recent turns, and the question with what memory recalls for it.

Recalled facts stand next to the question, in plain sentences: a small model overlooks them
anywhere else. What does not fit is refused with the numbers, never cut: only older turns, then
recalled ones, are left out.

The wording was chosen by measurement on SmolLM2-135M, greedy, two sets of eight facts: "Context: …
Question: … Answer:" with the best hit last gives 8 of 8 in both, the same facts in the system text
27 of 64 over all arrangements, as earlier chat turns 6 to 13 of 64. A persona in the system text
costs a tenth of the answers. Chat turns between cost more the longer they are: a model of that
size repeats its own last answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.backend import Backend, Message
from engine.contract.errors import PromptTooLong
from engine.contract.memory import RecallHit, Turn

_SMALL = 1024**3
"""Bytes of a model below which it gets recalled facts or recent turns, not both."""

PLAIN = "You are a helpful assistant."
FROM_CONTEXT = "Answer the question from the context."


def messages(
    question: str, recent: Sequence[Turn], recalled: Sequence[RecallHit]
) -> tuple[Message, ...]:
    """The whole prompt. ``recalled`` is best first; the best is put closest to the question."""
    facts = " ".join(hit.text for hit in reversed(recalled))
    asked = bool(facts) and question.rstrip().endswith("?")
    found = [Message("system", FROM_CONTEXT if asked else PLAIN)]
    for turn in recent:
        found += [Message("user", turn.question), Message("assistant", turn.answer)]
    text = question
    if asked:
        text = f"Context: {facts}\n\nQuestion: {question}\nAnswer:"
    elif facts:
        text = f"Context: {facts}\n\n{question}"
    found.append(Message("user", text))
    return tuple(found)


def choose(
    recent: Sequence[Turn], recalled: Sequence[RecallHit], model_size: int
) -> tuple[list[Turn], list[RecallHit]]:
    """What goes into the prompt of what there is. ``model_size`` in bytes, 0 where unknown.

    Only what was told is a fact: a question is not. No turn is in the prompt twice.
    """
    told = [hit for hit in recalled if not hit.text.rstrip().endswith("?")]
    facts = [hit for hit in told if hit.score >= told[0].score / 2]
    if facts and 0 < model_size < _SMALL:
        return [], facts
    there = {turn.id for turn in recent}
    return list(recent), [hit for hit in facts if hit.turn_id not in there]


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
