"""Which conversation sits in which slot of a model's server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.contract.backend import Message


@dataclass(slots=True, eq=False)
class Slot:
    """A place in the server that holds what one conversation's model has read.

    ``name``: whose that is, "" where nobody comes back to it. ``messages`` begin it, ``tokens`` is
    how many it holds; of those ``unsaved`` are on no disk. ``forgotten``: how often that
    conversation had been when it came. ``saving`` writes it to disk now, or erases it.
    """

    number: int
    name: str = ""
    messages: tuple[Message, ...] = ()
    tokens: int = 0
    unsaved: int = 0
    forgotten: int = 0
    busy: bool = False
    used: int = 0
    saving: asyncio.Task[None] | None = None
    resting: asyncio.TimerHandle | None = None

    def clear(self) -> None:
        """Forgets what it holds."""
        self.name, self.messages, self.tokens, self.unsaved = "", (), 0, 0


@dataclass(slots=True)
class Slots:
    """The slots of one server. Whoever takes one sees to it that not more are taken than exist."""

    count: int
    all: list[Slot] = field(init=False)
    _clock: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.all = [Slot(number) for number in range(self.count)]

    def take(self, name: str, prefix: str) -> Slot:
        """The best free slot, from now on busy.

        The conversation's own; else one with ``prefix``, which begins what is to be read; else one
        that nobody comes back to; else the one that has rested longest, prefixes before
        conversations: those are all on disk.
        """
        free = [slot for slot in self.all if not slot.busy]
        slot = min(free, key=lambda each: self._rank(each, name, prefix))
        if slot.resting is not None:
            slot.resting.cancel()
        self._clock += 1
        slot.busy, slot.used, slot.resting = True, self._clock, None
        return slot

    def _rank(self, slot: Slot, name: str, prefix: str) -> tuple[int, int]:
        if name and slot.name == name:
            rank = 0
        elif prefix and slot.name == prefix:
            rank = 1
        elif not slot.name:
            rank = 2
        else:
            rank = 3
        return rank, slot.used

    def sits(self, name: str) -> bool:
        """Whether the conversation is being answered in some slot right now."""
        return any(slot.busy and slot.name == name for slot in self.all)


def begins(prefix: Sequence[Message], messages: Sequence[Message]) -> bool:
    """Whether ``messages`` begin with ``prefix``."""
    return tuple(messages[: len(prefix)]) == tuple(prefix)
