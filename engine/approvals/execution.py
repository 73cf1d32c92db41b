"""What an executing plan tells and asks of the engine."""

from __future__ import annotations

from engine.contract.approvals import ApprovalProgressed
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.ports import StoredPlan
from engine.ground import Ground


class Execution:
    """Implements the port ``Execution`` for one approved plan."""

    def __init__(self, plan: StoredPlan, call: Call, ground: Ground) -> None:
        self._number = plan.approval_id
        self._call = call
        self._ground = ground
        self._stopping = False

    @property
    def call(self) -> Call:
        return self._call

    def stop(self) -> None:
        """Asks it to finish the item in flight and start no other."""
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    async def progress(self, done: int, total: int, note: str = "") -> None:
        self._ground.bus.publish(
            ApprovalProgressed(
                id=self._number,
                done=done,
                total=total,
                note=visible(note),
                machine=self._ground.machine,
            )
        )
