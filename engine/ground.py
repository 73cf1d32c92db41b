"""The ground that every room stands on: stores, bus, door, and the ports other rooms provide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from engine.bus import Bus
from engine.config import Config
from engine.contract.backend import BackendCatalog
from engine.contract.errors import Unavailable
from engine.contract.ports import Door, Settings, StatusProbe
from engine.home import Home
from engine.metrics import Metrics
from engine.store import Database

P = TypeVar("P")


@dataclass(slots=True)
class Ground:
    """Handed to each room when it is made.

    ``state`` holds the truth (synchronous FULL); ``catalogue`` what can be rebuilt from the disks.
    ``lasting``: it is not there for one command, which would wait for jobs that nobody asked for.
    """

    home: Home
    config: Config
    machine: str
    state: Database
    catalogue: Database
    bus: Bus
    door: Door
    metrics: Metrics
    settings: Settings
    models: BackendCatalog
    lasting: bool = True
    probes: dict[str, StatusProbe] = field(default_factory=dict)
    queues: dict[str, Callable[[], tuple[int, int]]] = field(default_factory=dict)
    """Bounded queues by name: each tells (depth, bound)."""
    _ports: dict[Any, Any] = field(default_factory=dict)

    def provide(self, port: type[P], implementation: P) -> None:
        """Offers ``implementation`` to the rooms that use ``port``."""
        self._ports[port] = implementation

    def offers(self, port: type[Any]) -> bool:
        """True where the room behind ``port`` runs."""
        return port in self._ports

    def use(self, port: type[P]) -> P:
        """The room behind ``port``. Raises Unavailable where it is not running."""
        if port not in self._ports:
            raise Unavailable(
                f"{port.__name__} is not running.", "arcanum status names the reason."
            )
        return cast(P, self._ports[port])


class Room(Protocol):
    """One feature's package. Made with a ``Ground``, it binds its operations in ``start``.

    ``start`` raises ArcanumError where it cannot serve; ``stop`` ends what it started and saves.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
