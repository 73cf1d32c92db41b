"""How fast an answer comes, what it waits for, and what it took. Pure; times in seconds on any
clock that only moves forward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arcanum_tui.state.grid import Piece, Tone
from arcanum_tui.state.text import bar, number, percent

if TYPE_CHECKING:
    from engine.contract.agent0 import AnswerFinished, AnswerStarted

WINDOW_S = 2.0
"""Tokens a second are those of the last so many seconds."""

NEARLY_FULL = 80.0
"""Percent of a context from which on it is said to be nearly full."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An answer on its way. ``recent`` are times with the tokens that there were by then."""

    asked_at: float
    started_at: float | None = None
    first_at: float | None = None
    tokens: int = 0
    recent: tuple[tuple[float, int], ...] = ()
    prompt_tokens: int = 0
    context: int = 0

    def started(self, item: AnswerStarted, now: float) -> Pace:
        """The model has the question."""
        return replace(self, started_at=now, prompt_tokens=item.prompt_tokens, context=item.context)

    def came(self, tokens: int, now: float) -> Pace:
        """So many more tokens came."""
        total = self.tokens + tokens
        recent = [(at, count) for at, count in self.recent if at >= now - WINDOW_S]
        recent = recent or [(now, self.tokens)]
        if recent[-1][0] == now:
            recent[-1] = (now, recent[-1][1])
        first = now if self.first_at is None else self.first_at
        return replace(self, tokens=total, first_at=first, recent=(*recent, (now, total)))

    @property
    def rate(self) -> float:
        """Tokens a second lately; 0 where that is not known yet."""
        if len(self.recent) < 2:
            return 0.0
        (since, before), (until, after) = self.recent[0], self.recent[-1]
        return (after - before) / (until - since) if until > since else 0.0


@dataclass(frozen=True, slots=True)
class Took:
    """What a whole answer took."""

    tokens: int
    first_s: float | None
    seconds: float
    prompt_tokens: int = 0
    cached_tokens: int = 0
    context: int = 0
    cut: bool = False

    @classmethod
    def of(cls, item: AnswerFinished) -> Took:
        return cls(
            item.tokens,
            item.first_token_s,
            item.seconds,
            item.prompt_tokens,
            item.cached_tokens,
            item.context,
            item.finish == "length",
        )

    def words(self) -> list[str]:
        """The figures, the most telling first."""
        found = [f"{number(self.tokens)} tok"]
        since = self.first_s or 0.0
        if self.tokens > 1 and self.seconds > since:
            found.append(f"{(self.tokens - 1) / (self.seconds - since):.0f} tok/s")
        if self.first_s is not None:
            found.append(f"first {seconds(self.first_s)}")
        if self.cached_tokens and self.prompt_tokens:
            found.append(f"cached {percent(self.cached_tokens, self.prompt_tokens):.0f} %")
        return found


def seconds(value: float) -> str:
    """``0.12 s``, ``3.4 s``, ``75 s``."""
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 60 else f"{value:.0f} s"


def live(pace: Pace, now: float) -> list[str]:
    """The figures of an answer that is being written, the most telling first."""
    found = []
    if pace.first_at is not None:
        if pace.rate and now - pace.recent[-1][0] < WINDOW_S:
            found.append(f"{pace.rate:.0f} tok/s")
        found += [f"first {seconds(pace.first_at - pace.asked_at)}", f"{number(pace.tokens)} tok"]
    found.append(f"{now - pace.asked_at:.1f} s")
    return found


def context_use(used: int, context: int, room: int) -> list[Piece]:
    """How much of the model's context is used, in at most ``room`` cells; nothing if unknown."""
    if context <= 0 or used <= 0:
        return []
    share = percent(used, context)
    tone: Tone = "bad" if share >= 95 else "warn" if share >= NEARLY_FULL else "muted"
    sign = "! " if share >= NEARLY_FULL else ""
    word = f"{number(used)} of {number(context)}"
    if room >= 44:
        return [
            Piece("context ", "muted"),
            Piece(f"{bar(share / 100, 10)} ", tone),
            Piece(f"{sign}{word} · {share:.0f} %", tone),
        ]
    if room >= 24:
        return [
            Piece("context ", "muted"),
            Piece(f"{sign}{share:.0f} % of {number(context)}", tone),
        ]
    return [Piece(f"{sign}{share:.0f} %", tone)]
