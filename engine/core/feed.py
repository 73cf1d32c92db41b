"""Events for a face: durable ones replayed from the store, then live ones, without a gap."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from pydantic import ValidationError

from engine.bus import Bus
from engine.contract.events import Event, Resync, parse
from engine.store import Database

_PAGE = 500
_KEEP = 100_000


class Feed:
    """Opens one stream of events for each face that asks."""

    def __init__(self, state: Database, bus: Bus) -> None:
        self._state = state
        self._bus = bus

    async def start(self) -> None:
        """Learns the last sequence number, and forgets events that are too old to replay."""
        rows = await self._state.read("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
        self._bus.last_seq = rows[0]["seq"] if rows else 0
        oldest = self._bus.last_seq - _KEEP
        if oldest > 0:
            await self._state.write(
                lambda tx: tx.execute("DELETE FROM event WHERE seq <= ?", (oldest,))
            )

    @asynccontextmanager
    async def open(self, after: int | None) -> AsyncIterator[AsyncIterator[Event]]:
        """Events from now on; with ``after``, first every durable one behind that number.

        Where those are gone, or ``after`` lies in the future (another database), a Resync comes
        first.
        """
        with self._bus.subscribe() as live:
            upto = self._bus.last_seq

            async def events() -> AsyncGenerator[Event, None]:
                if after is not None:
                    async for event in self._replay(after, upto):
                        yield event
                async for event in live:
                    if event.seq is None or event.seq > upto:
                        yield event

            async with aclosing(events()) as items:
                yield items

    async def _replay(self, after: int, upto: int) -> AsyncIterator[Event]:
        rows = await self._state.read("SELECT min(seq) AS first FROM event")
        first = rows[0]["first"]
        if after > upto or (after < upto and (first is None or first > after + 1)):
            yield Resync(upto=upto)
            return
        while after < upto:
            rows = await self._state.read(
                "SELECT seq, data FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
                (after, upto, _PAGE),
            )
            if not rows:
                return
            for row in rows:
                try:
                    event = parse(json.loads(row["data"]) | {"seq": row["seq"]})
                except ValidationError:
                    # Written by a version that told this fact otherwise: a snapshot has it.
                    yield Resync(upto=upto)
                    return
                if event is not None:
                    yield event
            after = rows[-1]["seq"]
