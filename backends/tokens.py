"""How many tokens a prompt has where no tokenizer can be asked, and what is said of too many.

Up to three small ASCII letters, with a capital and a space before them, count as one token, and so
does any other byte. Byte-pair tokenizers hardly ever need more, so what fits by this count fits;
for English prose it is about half more than the truth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.contract.backend import Message
from engine.contract.errors import PromptTooLong

SHORTEN = "Ask something shorter, or use a model with a larger context."

# What a chat template puts around each message, and before the answer.
_PER_MESSAGE = 8

_TOKEN = re.compile(rb" ?[A-Z]?[a-z]{1,3}|[\s\S]")


def estimate(text: str) -> int:
    """Tokens of ``text``, rather too many than too few."""
    return sum(1 for _ in _TOKEN.finditer(text.encode("utf-8", "replace")))


def estimate_prompt(messages: Sequence[Message]) -> int:
    """Tokens of a whole prompt, rather too many than too few."""
    return _PER_MESSAGE + sum(_PER_MESSAGE + estimate(each.content) for each in messages)


def too_long(name: str, tokens: int, context: int, about: str = "") -> PromptTooLong:
    """The error for a prompt over the context. ``about``: "about " for an estimate."""
    return PromptTooLong(
        f"The prompt has {about}{tokens:,} tokens; {name} has room for {context:,}", SHORTEN
    )
