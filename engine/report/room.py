"""The report room: reports are made here of what the other rooms count."""

from __future__ import annotations

import logging

from engine.contract import quota, report
from engine.contract.base import Empty
from engine.contract.call import Call
from engine.contract.client import Pending
from engine.contract.errors import ArcanumError
from engine.contract.ports import MediaCounts, Operations
from engine.contract.quota import Gauge
from engine.contract.report import LimitShare, MediaReport, ReportMedia
from engine.ground import Ground
from engine.report.names import without_names

_log = logging.getLogger(__name__)


class ReportRoom:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._media = ground.use(MediaCounts)  # type: ignore[type-abstract]

    async def start(self) -> None:
        self._ground.door.unary(report.MEDIA, self._report)

    async def stop(self) -> None:
        """Nothing to end."""

    async def _report(self, request: ReportMedia, call: Call) -> MediaReport:
        counted = await self._media.count(request.libraries, request.most)
        whole = counted.model_copy(update={"limits": await self._limits(counted, call)})
        return without_names(whole) if request.no_paths else whole

    async def _limits(self, counted: MediaReport, call: Call) -> tuple[LimitShare, ...] | None:
        """None where the quota room cannot say."""
        try:
            operations = self._ground.use(Operations)  # type: ignore[type-abstract]
            answer = await operations.call(quota.SHOW, Empty(), call.child(call.actor))
        except ArcanumError as error:
            _log.warning("a report without limits: %s", error.message)
            return None
        if isinstance(answer, Pending):
            return None
        gauges = {gauge.library: gauge for gauge in answer.result.gauges}
        return tuple(
            _limit(gauge, gauge.limit, library.bytes)
            for library in counted.libraries
            if (gauge := gauges.get(library.library)) is not None and gauge.limit is not None
        )


def _limit(gauge: Gauge, limit: int, used: int) -> LimitShare:
    """``used`` is the report's own number: it must add up, though the gauge is a moment younger."""
    over = max(0, used - limit)
    return LimitShare(
        library=gauge.library,
        used=used,
        limit=limit,
        over=over,
        in_trash=gauge.in_trash,
        state="unknown" if gauge.state == "unknown" else "over" if over else "ok",
    )
