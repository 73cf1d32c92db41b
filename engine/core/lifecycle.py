"""Services: started in order and only when needed, stopped in reverse; a failure is contained.

A service that cannot start is named with its reason, its operations answer Unavailable, and the
others run. It is tried again at its next use.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from engine.contract.base import visible
from engine.contract.engine import Service, ServiceChanged, ServiceState
from engine.contract.errors import ArcanumError, Unavailable
from engine.ground import Ground, Room

_log = logging.getLogger("arcanum.lifecycle")
_STOP_WITHIN_S = 20.0
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """``rooms`` are the first parts of the operation names that it serves.

    ``load`` is where its class is, as ``module:Class``; the module is imported at its start.
    """

    name: str
    load: str
    rooms: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class _Slot:
    spec: ServiceSpec
    state: ServiceState = "stopped"
    reason: str = ""
    room: Room | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed_at: float = 0.0

    def is_running(self) -> bool:
        return self.state == "running"


class Lifecycle:
    """``ground`` is asked for when the first service starts."""

    def __init__(self, specs: Sequence[ServiceSpec], ground: Callable[[], Ground]) -> None:
        self._slots = {spec.name: _Slot(spec) for spec in specs}
        self._by_room = {room: spec.name for spec in specs for room in spec.rooms}
        self._ground = ground
        self._started: list[_Slot] = []
        self._stopping = False

    def services(self) -> list[Service]:
        return [
            Service(name=slot.spec.name, state=slot.state, reason=slot.reason)
            for slot in self._slots.values()
        ]

    async def ensure(self, room: str) -> None:
        """Starts the service that serves ``room``. Raises Unavailable, naming the reason."""
        name = self._by_room.get(room)
        if name is None:
            raise Unavailable(f"Nothing serves {room}.", "arcanum status names the services.")
        await self._start(self._slots[name])

    async def start(self, names: Sequence[str] | None = None) -> None:
        """Starts these services (all), one after another; a failed one does not stop the rest."""
        for name in self._slots if names is None else names:
            try:
                await self.ensure(name) if name in self._by_room else await self._start(
                    self._slots[name]
                )
            except ArcanumError as error:
                _log.warning("%s: %s", name, error)

    async def _start(self, slot: _Slot) -> None:
        if slot.is_running():
            return
        async with slot.lock:
            if slot.is_running():
                return
            name = slot.spec.name
            if self._stopping:
                raise Unavailable("The engine is stopping.", "Start it again.")
            if slot.state == "failed" and time.monotonic() - slot.failed_at < _RETRY_AFTER_S:
                raise Unavailable(f"{name} does not run: {slot.reason}")
            self._set(slot, "starting")
            try:
                for need in slot.spec.needs:
                    await self._start(self._slots[need])
                module, _, attribute = slot.spec.load.partition(":")
                room: Room = getattr(await asyncio.to_thread(import_module, module), attribute)(
                    self._ground()
                )
                await room.start()
            except Exception as error:
                # Whatever a room does wrong at its start costs that room alone.
                if not isinstance(error, ArcanumError):
                    _log.exception("%s could not start", name)
                reason = visible(str(error)) or type(error).__name__
                slot.failed_at = time.monotonic()
                self._set(slot, "failed", reason)
                hint = error.hint if isinstance(error, ArcanumError) else "The log has the details."
                raise Unavailable(f"{name} does not run: {reason}", hint) from error
            slot.room = room
            self._started.append(slot)
            self._set(slot, "running")

    def _set(self, slot: _Slot, state: ServiceState, reason: str = "") -> None:
        slot.state, slot.reason = state, reason
        ground = self._ground()
        ground.metrics.services.labels(slot.spec.name).set(state == "running")
        ground.bus.publish(
            ServiceChanged(
                service=Service(name=slot.spec.name, state=state, reason=reason),
                machine=ground.machine,
            )
        )

    async def stop(self) -> None:
        """Stops in reverse order of the start. One that hangs or fails does not hold the rest."""
        self._stopping = True
        while self._started:
            slot = self._started.pop()
            assert slot.room is not None
            try:
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await slot.room.stop()
            except Exception:  # noqa: BLE001 - the others must still be stopped
                _log.exception("%s did not stop in order", slot.spec.name)
            slot.room = None
            self._set(slot, "stopped")
