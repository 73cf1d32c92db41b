"""Who waits for a model, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextvars import ContextVar
from dataclasses import dataclass, field

from engine.contract.backend import Priority


@dataclass(slots=True)
class Waited:
    """How long a request has waited for its turn."""

    seconds: float = 0.0


waited: ContextVar[Waited | None] = ContextVar("waited", default=None)
"""Where the wait of the request that is being opened is noted."""


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits. ``turn`` is done when it may begin, or fails when it may not."""

    session: str
    priority: Priority
    turn: asyncio.Future[None] = field(repr=False)


class FairQueue:
    """Those who wait: by priority, then each session in turn, then in the order they came."""

    def __init__(self) -> None:
        self._lines: dict[Priority, OrderedDict[str, deque[Waiter]]] = {
            each: OrderedDict() for each in Priority
        }
        self._sessions: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._sessions.values())

    def of(self, session: str) -> int:
        """How many of this session wait, whatever their priority."""
        return self._sessions.get(session, 0)

    def waiting(self, priority: Priority) -> int:
        return sum(map(len, self._lines[priority].values()))

    def add(self, waiter: Waiter) -> None:
        self._lines[waiter.priority].setdefault(waiter.session, deque()).append(waiter)
        self._sessions[waiter.session] = self.of(waiter.session) + 1

    def next(self, *lines: Priority) -> Waiter | None:
        """Takes out whose turn it is among these priorities; their session goes to the end."""
        for priority in lines:
            if line := self._lines[priority]:
                session = next(iter(line))
                line.move_to_end(session)
                waiter = line[session][0]
                self.remove(waiter)
                return waiter
        return None

    def last_below(self, priority: Priority) -> Waiter | None:
        """The last in line of the lowest priority, if that is below this one."""
        for each in reversed(Priority):
            if each <= priority:
                return None
            if line := self._lines[each]:
                return next(reversed(line.values()))[-1]
        return None

    def remove(self, waiter: Waiter) -> None:
        """Takes out one that may be anywhere, or be gone already."""
        line = self._lines[waiter.priority]
        if waiter not in line.get(waiter.session, ()):
            return
        line[waiter.session].remove(waiter)
        if not line[waiter.session]:
            del line[waiter.session]
        if left := self.of(waiter.session) - 1:
            self._sessions[waiter.session] = left
        else:
            del self._sessions[waiter.session]
