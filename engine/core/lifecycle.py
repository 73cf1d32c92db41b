"""Services: started in order and only when needed, stopped in reverse; a failure is contained.

A service that cannot start is named with its reason, its operations answer Unavailable, and the
others run. It is tried again at its next use.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module

from engine.contract.base import visible
from engine.contract.engine import Service, ServiceChanged, ServiceState
from engine.contract.errors import ArcanumError, Internal, Unavailable
from engine.ground import Ground, Room
from engine.worker.failures import said

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
    starting: asyncio.Task[Unavailable | None] | None = None
    waits_for: _Slot | None = None
    failed_at: float = 0.0

    def is_running(self) -> bool:
        return self.state == "running"


_launching: ContextVar[_Slot | None] = ContextVar("launching", default=None)
"""The service whose start this task is part of."""


@contextmanager
def _waiting_for(slot: _Slot) -> Iterator[None]:
    """Names a circle of services that wait for each other, which would wait for ever."""
    waiter = _launching.get()
    if waiter is None or waiter.starting is None:
        yield
        return
    step: _Slot | None = slot
    while step is not None:
        if step is waiter:
            raise Internal(f"{waiter.spec.name} and {slot.spec.name} wait for each other to start.")
        step = step.waits_for
    waiter.waits_for = slot
    try:
        yield
    finally:
        waiter.waits_for = None


def _stopping() -> Unavailable:
    return Unavailable("The engine is stopping.", "Start it again.")


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
        """Waits until it runs. Who is cancelled meanwhile leaves alone: the start goes on."""
        if slot.is_running():
            return
        if slot.starting is None:
            if self._stopping:
                raise _stopping()
            if slot.state == "failed" and time.monotonic() - slot.failed_at < _RETRY_AFTER_S:
                raise Unavailable(f"{slot.spec.name} does not run: {slot.reason}")
            slot.starting = asyncio.create_task(self._launch(slot), name=f"start:{slot.spec.name}")
        with _waiting_for(slot):
            outcome = await asyncio.shield(slot.starting)
        if outcome is not None:
            raise outcome

    async def _launch(self, slot: _Slot) -> Unavailable | None:
        """Starts it, once for all who wait; what went wrong is returned, for each of them."""
        _launching.set(slot)
        self._set(slot, "starting")
        try:
            for need in slot.spec.needs:
                await self._start(self._slots[need])
            module, _, attribute = slot.spec.load.partition(":")
            loaded = await asyncio.to_thread(import_module, module)
            slot.room = getattr(loaded, attribute)(self._ground())
            await slot.room.start()
        except asyncio.CancelledError:
            await self._end(slot)
            self._set(slot, "stopped")
            return _stopping()
        except Exception as error:  # noqa: BLE001 - it costs that room alone, and is reported
            if not isinstance(error, ArcanumError):
                _log.exception("%s could not start", slot.spec.name)
            await self._end(slot)
            reason = visible(error.message if isinstance(error, ArcanumError) else said(error))
            slot.failed_at = time.monotonic()
            self._set(slot, "failed", reason)
            hint = error.hint if isinstance(error, ArcanumError) else "The log has the details."
            return Unavailable(f"{slot.spec.name} does not run: {reason}", hint)
        else:
            self._started.append(slot)
            self._set(slot, "running")
            return None
        finally:
            slot.starting = None

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
        if starting := [slot.starting for slot in self._slots.values() if slot.starting]:
            for task in starting:
                task.cancel()
            await asyncio.wait(starting, timeout=_STOP_WITHIN_S)
        while self._started:
            slot = self._started.pop()
            await self._end(slot)
            self._set(slot, "stopped")

    async def _end(self, slot: _Slot) -> None:
        room, slot.room = slot.room, None
        if room is None:
            return
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await room.stop()
        except Exception:  # noqa: BLE001 - the others must still be stopped
            _log.exception("%s did not stop in order", slot.spec.name)
