"""The engine, the facade: it makes the ground, starts the services, and opens the gate."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from engine.bus import Bus
from engine.config import Config
from engine.contract import engine as words
from engine.contract.backend import BackendCatalog
from engine.contract.base import Empty, machine_name, now, visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError
from engine.contract.ports import (
    ApprovalDesk,
    Concern,
    HighRiskOperations,
    Operations,
    Severity,
)
from engine.core.audit import AuditLog
from engine.core.feed import Feed
from engine.core.gate import Gate, Jobs
from engine.core.lifecycle import Lifecycle, ServiceSpec
from engine.ground import Ground
from engine.home import Home
from engine.metrics import Metrics
from engine.store import Database, Reserve, StoredSettings
from engine.worker.failures import said

_log = logging.getLogger("arcanum.engine")
_PROBE_WITHIN_S = 2.0
_CONTRIBUTING = ("approvals", "quota", "models")
"""The services that a status waits for, because something may need a person there."""

SERVICES = (
    ServiceSpec("audit", "engine.core.audit:AuditRoom", ("audit",)),
    ServiceSpec("engine", "engine.core.engine:StatusRoom", ("engine",)),
    ServiceSpec("jobs", "engine.jobs.room:JobsRoom", ("jobs",)),
    ServiceSpec("approvals", "engine.approvals.room:ApprovalsRoom", ("approvals",)),
    ServiceSpec("memory", "engine.memory.room:MemoryRoom", ("memory",)),
    ServiceSpec("models", "engine.models.room:ModelsRoom", ("model",)),
    ServiceSpec("recall", "engine.recall.room:RecallRoom", ("recall",), ("memory",)),
    ServiceSpec(
        "agent0", "engine.agent0.room:Agent0Room", ("agent0",), ("memory", "recall", "models")
    ),
    ServiceSpec("media", "engine.media.room:MediaRoom", ("media",), ("jobs",)),
    ServiceSpec("quota", "engine.quota.room:QuotaRoom", ("quota",), ("media",)),
    ServiceSpec("remotes", "engine.remotes.room:RemotesRoom", ("remotes",)),
    ServiceSpec("report", "engine.report.room:ReportRoom", ("report",), ("media",)),
    ServiceSpec("telemetry", "engine.telemetry.room:TelemetryRoom", ("telemetry",)),
    ServiceSpec("discovery", "engine.discovery.room:DiscoveryRoom", ("discovery",), ("media",)),
)
"""In the order of their start."""


def installed_version() -> str:
    """The version of the package that runs, as the status tells it."""
    try:
        return version("arcanum")
    except PackageNotFoundError:
        return "0+unknown"


class Engine:
    """One per data folder; whoever makes it holds the folder's lock.

    ``host`` says what kind of process this is: terminal, serve or command.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        models: BackendCatalog,
        host: str,
        services: Sequence[ServiceSpec] | None = None,
    ) -> None:
        self.home = home
        self.host = host
        self.started_at = now()
        self.bus = Bus()
        self.machine = config.machine.name or machine_name()
        self._reserve = reserve = Reserve(home.data / "reserve")
        state = Database(
            home.state_file, "state", durable=True, publish=self.bus.publish, reserve=reserve
        )
        catalogue = Database(home.catalogue_file, "catalogue", durable=False, reserve=reserve)
        metrics = Metrics()
        audit = AuditLog(state, self.machine, home.data / "audit.head")
        self.lifecycle = Lifecycle(SERVICES if services is None else services, lambda: self.ground)
        self.gate = Gate(
            self.machine,
            audit,
            metrics,
            ensure=self.lifecycle.ensure,
            desk=lambda: self.ground.use(ApprovalDesk),  # type: ignore[type-abstract]
            jobs=lambda: self.ground.use(Jobs),  # type: ignore[type-abstract]
        )
        self.ground = Ground(
            home=home,
            config=config,
            machine=self.machine,
            state=state,
            catalogue=catalogue,
            bus=self.bus,
            door=self.gate,
            metrics=metrics,
            settings=StoredSettings(state),
            models=models,
            lasting=host != "command",
        )
        self.ground.provide(AuditLog, audit)
        self.ground.provide(Engine, self)
        self.ground.provide(Operations, self.gate)  # type: ignore[type-abstract]
        self.ground.provide(HighRiskOperations, self.gate)  # type: ignore[type-abstract]
        self.ground.queues |= {
            "store": lambda: (state.depth, state.bound),
            "catalogue": lambda: (catalogue.depth, catalogue.bound),
        }
        self.feed = Feed(state, self.bus)

    async def open(self) -> None:
        """Opens what every room needs. The catalogue is opened by the first that does: where it
        cannot be, all others run. Raises StoreFailed; then nothing was started."""
        await self.ground.state.open()
        try:
            await self.feed.start()
        except BaseException:
            await self._close_stores()
            raise

    async def start(self, services: Sequence[str] | None = None) -> None:
        """Starts these services (all). What fails is named in the status and contained."""
        await self.lifecycle.start(services)

    async def idle(self) -> None:
        """Waits until no job runs."""
        if self.ground.offers(Jobs):
            await self.ground.use(Jobs).idle()  # type: ignore[type-abstract]

    async def stop(self) -> None:
        """Interrupts the jobs, stops the services in reverse order, then closes the stores."""
        try:
            if self.ground.offers(Jobs):
                # Before the rooms that they work for: it is the engine that ends, not a person
                # who cancels.
                await self.ground.use(Jobs).stop()  # type: ignore[type-abstract]
            await self.lifecycle.stop()
        finally:
            self.bus.close()
            await self._close_stores()

    async def _close_stores(self) -> None:
        try:
            await self.ground.catalogue.close()
        finally:
            await self.ground.state.close()

    async def status(self) -> words.Status:
        """What needs a person, what is broken, what is unknown."""
        services = tuple(self.lifecycle.services())
        concerns = [
            Concern(Severity.BROKEN, service.name, f"does not run: {service.reason}")
            for service in services
            if service.state == "failed"
        ]
        concerns += [
            Concern(Severity.UNKNOWN, service.name, "is still starting")
            for service in services
            if service.state == "starting" and service.name in _CONTRIBUTING
        ]
        if await asyncio.to_thread(self._reserve.is_missed):
            concerns.append(Concern(Severity.BROKEN, str(self.home.data), "the disk is full"))
        for found in await asyncio.gather(*map(self._probe, list(self.ground.probes))):
            concerns += found
        lines = tuple(self._line(concern) for concern in concerns)

        def count(severity: Severity) -> int:
            return sum(line.severity == severity for line in lines)

        return words.Status(
            machine=self.machine,
            version=installed_version(),
            pid=os.getpid(),
            host=self.host,
            started_at=self.started_at,
            home=str(self.home.data),
            needs_you=count(Severity.NEEDS_YOU),
            broken=count(Severity.BROKEN),
            unknown=count(Severity.UNKNOWN),
            concerns=lines,
            services=services,
        )

    async def _probe(self, name: str) -> Sequence[Concern]:
        """What a room contributes; a probe that fails or hangs is itself unknown."""
        try:
            async with asyncio.timeout(_PROBE_WITHIN_S):
                return await self.ground.probes[name]()
        except TimeoutError:
            reason = f"no answer within {_PROBE_WITHIN_S:g} s"
        except ArcanumError as error:
            reason = error.message
        except Exception as error:  # noqa: BLE001 - a defect of one room is not the status's
            _log.exception("the probe of %s failed", name)
            reason = visible(said(error))
        return [Concern(Severity.UNKNOWN, name, reason)]

    def _line(self, concern: Concern) -> words.ConcernLine:
        since: datetime | None = concern.since
        return words.ConcernLine(
            severity=concern.severity.value,
            subject=concern.subject,
            text=concern.text,
            machine=self.machine,
            since=since,
            link=concern.link,
        )


class StatusRoom:
    """Binds ``engine.status``. The rooms that contribute to it are started by its first call."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._engine = ground.use(Engine)

    async def start(self) -> None:
        self._ground.door.unary(words.STATUS, self._status)

    async def _status(self, _request: Empty, _call: Call) -> words.Status:
        # What fails or is slow to start is named in the status itself.
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_WITHIN_S):
                await asyncio.gather(
                    *map(self._engine.lifecycle.ensure, _CONTRIBUTING),
                    return_exceptions=True,
                )
        return await self._engine.status()

    async def stop(self) -> None:
        """Nothing to end."""
