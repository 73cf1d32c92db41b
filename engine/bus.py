"""The bus: events from rooms to whoever listens, never waiting for a listener.

Each subscription is bounded. Of transient events with the same key only the latest waits. A
subscriber that falls behind loses what waited and is told to resync.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Self

from engine.contract.events import Event, Resync

_BOUND = 2000


class Subscription:
    """An iterator over events from now on. Close it, or leave ``Bus.subscribe``'s context."""

    def __init__(self, bus: Bus, bound: int) -> None:
        self._bus = bus
        self._bound = bound
        self._waiting: OrderedDict[str, Event] = OrderedDict()
        self._ready = asyncio.Event()
        self._closed = False
        self._behind = False

    def offer(self, event: Event) -> None:
        if self._behind:
            return
        key = event.key if event.seq is None else f"#{event.seq}"
        # A newer one takes the place of the older in the queue, not a new place at its end: a
        # gauge that changes all the time must not overtake itself for ever.
        self._waiting[key] = event
        if len(self._waiting) > self._bound:
            self._waiting.clear()
            self._behind = True
        self._ready.set()

    def close(self) -> None:
        self._closed = True
        self._bus.drop(self)
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._behind:
                self._behind = False
                return Resync(upto=self._bus.last_seq)
            if self._waiting:
                return self._waiting.popitem(last=False)[1]
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Bus:
    """Publishing is synchronous and costs microseconds."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self.last_seq = 0
        """The durable sequence number published last; set from the store at start."""

    def publish(self, event: Event) -> None:
        if event.seq is not None:
            self.last_seq = event.seq
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    def subscribe(self, bound: int = _BOUND) -> Subscription:
        subscription = Subscription(self, bound)
        self._subscriptions.add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def close(self) -> None:
        """Ends every subscription; what waits is still delivered."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
