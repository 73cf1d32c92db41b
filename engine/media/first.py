"""The first look at a library: a scan as any other, which nobody has to ask for."""

from __future__ import annotations

from engine.contract import media
from engine.contract.call import Actor, ActorKind, Call
from engine.contract.ports import Operations
from engine.ground import Ground
from engine.media.catalogue import Stored


class FirstLook:
    """Starts it, and keeps that it goes on: an engine that begins anew carries on with it."""

    def __init__(self, ground: Ground, library: Stored) -> None:
        self._ground, self._library = ground, library
        self._setting = f"media.first.{library.id}"
        self._goes_on: bool | None = None

    async def is_due(self, looked: bool) -> bool:
        """Whether it is still to be made, or to be ended. ``looked``: everything was met once. An
        engine that is there for one command looks quietly, for as long as that takes."""
        return self._ground.lasting and (not looked or await self._was_begun())

    async def start(self) -> None:
        """Starts the job. Raises ArcanumError."""
        await self._put(True)
        operations = self._ground.use(Operations)  # type: ignore[type-abstract]
        request = media.SCAN.request(library=self._library.name)
        await operations.call(media.SCAN, request, Call(Actor(ActorKind.SCHEDULE, "media")))

    async def end(self) -> None:
        """It came to its end, or was stopped for good."""
        if await self._was_begun():
            await self._put(False)

    async def _was_begun(self) -> bool:
        if self._goes_on is None:
            self._goes_on = bool(await self._ground.settings.get(self._setting))
        return self._goes_on

    async def _put(self, goes_on: bool) -> None:
        await self._ground.settings.put(self._setting, goes_on)
        self._goes_on = goes_on
