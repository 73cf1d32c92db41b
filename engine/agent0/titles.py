"""What a conversation is about, in a few words, made by the model when nobody waits for it.

Only by a model that is large enough to say it well, and never by one that is elsewhere. Until
then, or for good, the conversation is called by its first words.
"""

from __future__ import annotations

import asyncio
import logging

from engine.agent0.prompt import is_small
from engine.agent0.remote import only_here
from engine.agent0.structure import Wanted, structured
from engine.contract.backend import Backend, Priority
from engine.contract.base import Json
from engine.contract.errors import ArcanumError, Busy
from engine.contract.memory import Turn
from engine.contract.ports import Models, TurnLog

_log = logging.getLogger("arcanum.agent0")
_AT_ONCE = 4
_MOST_TOKENS = 64
_MOST_SHOWN = 1_000
_SCHEMA: Json = {
    "type": "object",
    "properties": {"title": {"type": "string", "minLength": 3, "maxLength": 60}},
    "required": ["title"],
}


class Titles:
    """``after`` an answer a title is made in the background, once for a conversation."""

    def __init__(self, turns: TurnLog, models: Models) -> None:
        self._turns = turns
        self._models = models
        self._making: dict[str, asyncio.Task[None]] = {}

    def after(self, turn: Turn) -> None:
        info = self._models.info()
        able = info.local and not info.simulated and info.size and not is_small(info.size)
        if able and turn.session not in self._making and len(self._making) < _AT_ONCE:
            task = asyncio.create_task(self._make(turn.session), name="agent0:title")
            self._making[turn.session] = task

    async def _make(self, session: str) -> None:
        try:
            if (first := await self._turns.untitled(session)) is None:
                return
            text = f"{first.question[:_MOST_SHOWN]}\n\n{first.answer[:_MOST_SHOWN]}"
            wanted = Wanted.of(
                f"Give this conversation a title of a few words:\n\n{text}", _SCHEMA, _MOST_TOKENS
            )
            found = await structured(self._models, wanted, Priority.BACKGROUND, _able)
            await self._turns.entitle(session, found.value["title"])
        except ArcanumError as error:  # The next answer is another occasion.
            _log.info("no title for a conversation: %s", error.message)
        finally:
            del self._making[session]

    async def stop(self) -> None:
        """What is not made yet is not waited for."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)


def _able(backend: Backend) -> None:
    only_here(backend)
    info = backend.info()
    if info.simulated or is_small(info.size):
        raise Busy("Another model is in use by now.")
