"""By whose yes files went to the trash, and came back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine.contract.errors import ArcanumError
from engine.contract.holding import TrashJournal
from engine.contract.integrity import Happening
from engine.ground import Ground

_MOVED = frozenset({"gone", "returned"})


class Deeds:
    """Starts the quota room only where something went, or came back."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def named(self, happenings: Sequence[Happening]) -> tuple[Happening, ...]:
        """The same, with their approvals."""
        if not any(one.what in _MOVED for one in happenings):
            return tuple(happenings)
        try:
            await self._ground.door.ensure("quota")
            journal = self._ground.use(TrashJournal)  # type: ignore[type-abstract]
            return tuple([await _named(journal, one) for one in happenings])
        except ArcanumError:  # Without it, all else is as true.
            return tuple(happenings)


async def _named(journal: TrashJournal, one: Happening) -> Happening:
    if one.what not in _MOVED:
        return one
    for trashing in await journal.trashed(one.library, one.path.data, one.size):
        if _is(one.what, one.at, trashing.at, trashing.back_at):
            return one.model_copy(update={"approval": trashing.approval_id})
    return one


def _is(what: str, at: datetime, went: datetime, back: datetime | None) -> bool:
    """Whether it happened while the file was in the trash, or since it came back from there."""
    if what == "gone":
        return went <= at and (back is None or at < back)
    return back is not None and back <= at
