"""What is said stays text: in a message, what a model would take for a control token is broken up.

A server fills its template in first and makes tokens of the whole, so whoever types ``<|im_end|>``
would end their own message, and could go on as the system. A space behind the first character
makes plain text of it, which reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Plain = Callable[[str], str]
"""From what is said to what is sent."""

MAX_TOKENS = 1_000
_MAX_LENGTH = 200
# How models mark turns, beginnings and ends, by the first character. For servers that do not tell
# their own, and for models whose marks are no tokens.
_USUAL = {
    "<": (
        r"\|[^\s<>|]{1,48}\|?>",  # ChatML, Llama 3, Phi, GLM, gpt-oss; Gemma 4 begins so
        r"[^\s<>|]{1,48}\|>",  # Gemma 4 ends so
        r"｜[^\s<>]{1,48}>",  # DeepSeek, with a wide bar
        r"/?(?:s|bos|eos|pad|unk)>",
        r"(?:start|end)_of_turn>",
        r"</?SYS>>",
    ),
    "[": (
        r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|BOS|EOS|gMASK)\]",
        r"\|[^\s|\]]{1,48}\|\]",  # EXAONE
    ),
}


def plainly(tokens: Iterable[str] = ()) -> Plain:
    """Breaks up what is usual, and the control ``tokens`` of the model where those are known."""
    rests = {first: set(usual) for first, usual in _USUAL.items()}
    usual, count = _breaking(rests), 0
    for token in tokens:
        if count < MAX_TOKENS and _is_mark(token) and usual(token) == token:
            # Some models have thousands that differ in a number.
            rest = re.sub(r"[0-9]+", "[0-9]{1,9}", re.escape(token[1:]))
            known = rests.setdefault(token[0], set())
            count += rest not in known
            known.add(rest)
    return _breaking(rests) if count else usual


def _is_mark(token: str) -> bool:
    """Whether it is one that no ordinary word is part of, and that a space can break."""
    spaced = token[:1].isspace() or token[1:2].isspace()
    return 2 < len(token) <= _MAX_LENGTH and not spaced and not token[0].isalnum()


def _breaking(rests: dict[str, set[str]]) -> Plain:
    ways = (f"{re.escape(first)}(?={'|'.join(sorted(each))})" for first, each in rests.items())
    begins = re.compile("|".join(ways))
    return lambda text: begins.sub(r"\g<0> ", text)


USUALLY = plainly()
