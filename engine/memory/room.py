"""The memory room: the conversations and their turns."""

from __future__ import annotations

from engine.contract import memory
from engine.contract.ports import TurnLog
from engine.ground import Ground
from engine.memory.deletion import DeleteActs
from engine.memory.sessions import Sessions
from engine.memory.turns import Turns


class MemoryRoom:
    """Owns the tables ``session``, ``turn``, ``branch`` and ``attachment``; provides the port
    ``TurnLog``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._turns = Turns(ground)
        self._sessions = Sessions(ground, self._turns)
        self._deletion = DeleteActs(ground, self._sessions, self._turns)

    async def start(self) -> None:
        await self._turns.settle()
        door = self._ground.door
        door.unary(memory.SESSIONS, self._sessions.summaries)
        door.unary(memory.TURNS, self._sessions.turns)
        door.unary(memory.RENAME, self._sessions.rename)
        door.unary(memory.RESTORE, self._sessions.restore)
        door.unary(memory.SWITCH, self._sessions.switch)
        door.stream(memory.EXPORT, self._sessions.export)
        door.high(memory.DELETE, self._deletion)
        self._ground.provide(TurnLog, self._turns)  # type: ignore[type-abstract]

    async def stop(self) -> None:
        await self._turns.stop()
