"""Who calls, on whose behalf, and until when. Standard library only."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum


class ActorKind(StrEnum):
    """What kind of caller it is: only an operator is a person."""

    OPERATOR = "operator"
    AGENT = "agent"
    MODEL = "model"
    SCHEDULE = "schedule"
    RULE = "rule"


EVERYONE = frozenset(ActorKind)
ONLY_OPERATOR = frozenset({ActorKind.OPERATOR})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls."""

    kind: ActorKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def speaker(self) -> str:
        """Whose word it is what it says: "" is the person's own, which nobody else gives."""
        return "" if self.kind is ActorKind.OPERATOR else str(self)[:200]


OPERATOR = Actor(ActorKind.OPERATOR, "local")


@dataclass(frozen=True, slots=True)
class Call:
    """The circumstances of one call. ``deadline`` is on the clock of ``time.monotonic``."""

    actor: Actor = OPERATOR
    on_behalf_of: Actor | None = None
    parent: str | None = None
    deadline: float | None = None
    machine: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    def within(self, seconds: float | None) -> Call:
        """The same call, with at most ``seconds`` left."""
        if seconds is None:
            return self
        end = time.monotonic() + seconds
        return replace(self, deadline=end if self.deadline is None else min(end, self.deadline))

    def remaining(self) -> float | None:
        """Seconds left, or None where there is no deadline."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def child(self, actor: Actor) -> Call:
        """A call that this one causes, made by ``actor``; the deadline is inherited."""
        return Call(actor, self.on_behalf_of or self.actor, self.id, self.deadline, self.machine)
