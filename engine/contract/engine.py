"""The engine itself: its services, and what needs a person."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from engine.contract.base import Empty, Wire
from engine.contract.events import Event
from engine.contract.operation import Operation

ServiceState = Literal["stopped", "starting", "running", "failed"]


class Service(Wire):
    name: str
    state: ServiceState
    reason: str = ""


class ConcernLine(Wire):
    """One line of the overview. ``link`` names a screen and a thing there: ``approvals/43``."""

    severity: Literal["needs_you", "broken", "unknown"]
    subject: str
    text: str
    machine: str
    since: datetime | None = None
    link: str = ""


class Status(Wire):
    """What needs a person, what is broken, what is unknown, with the services' states.

    ``host``: terminal, serve or command: what kind of process holds the engine.
    """

    machine: str
    version: str
    pid: int
    host: str
    started_at: datetime
    home: str
    needs_you: int
    broken: int
    unknown: int
    concerns: tuple[ConcernLine, ...]
    services: tuple[Service, ...]


class ServiceChanged(Event):
    durable: ClassVar[bool] = False
    kind: Literal["engine.service_changed"] = "engine.service_changed"
    service: Service

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.service.name}"


STATUS = Operation(
    "engine.status", "What needs you, what is broken, what is unknown", Empty, Status
)
