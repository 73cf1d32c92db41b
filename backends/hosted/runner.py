"""A model in this process, as ``backends.hosted.serving`` uses it. Standard library only."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Ask:
    """What to generate. ``prompt`` and ``max_tokens`` fit the context together.

    ``alternatives``: log-probabilities are wanted, with so many alternatives; None: none.
    """

    prompt: list[int]
    max_tokens: int
    temperature: float = 0.0
    schema: dict[str, Any] | None = None
    alternatives: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """So many tokens of the prompt are read, the cached ones among them."""

    cached: int
    read: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the answer. ``text`` may be empty until a character is whole.

    ``counts`` is False for text that was held back, after the last token.
    """

    text: str
    logprob: float = 0.0
    alternatives: tuple[tuple[str, float], ...] = ()
    counts: bool = True


Steps: TypeAlias = Generator[Progress | Token, None, None]


class Runner(Protocol):
    """A model in this process. All but ``prompt`` is called in the thread that loaded it.

    Raises ValueError for what cannot be done as asked.
    """

    @property
    def context(self) -> int: ...

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """The whole prompt in tokens, by the model's own template."""
        ...

    def generate(self, ask: Ask) -> Steps:
        """Progress first, then tokens, until the model ends or ``max_tokens`` are there.

        What it read is kept for the next prompt that begins alike, also where it is closed early.
        """
        ...

    def save(self, path: Path) -> int:
        """Writes what was read last; the number of its tokens."""
        ...

    def restore(self, path: Path) -> int:
        """Takes up what was saved; the number of its tokens."""
        ...

    def erase(self) -> int:
        """Forgets what was read; the number of its tokens."""
        ...


def common(read: list[int], prompt: list[int]) -> int:
    """How many tokens of ``prompt`` need not be read where ``read`` are known.

    The last one always is: the answer begins with what comes of it.
    """
    pairs = enumerate(zip(read, prompt, strict=False))
    alike = next((n for n, (a, b) in pairs if a != b), min(len(read), len(prompt)))
    return min(alike, len(prompt) - 1)
