"""Serves ``agent0``. The question is durable before the model sees it, the answer before it is
done.

An answer that is stopped, or that a dying model leaves behind, is kept as far as it came. Where
the model has no room for another question now, the turn says so: who asks again branches there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

from engine.agent0 import attachments
from engine.agent0.answer import Answer, Desk, Manner, Prepare, answering, to_its_end
from engine.agent0.asking import Prompt, Prompts, priority_of
from engine.agent0.prompt import PLAIN
from engine.agent0.remote import Check, RemoteAsk, RemoteStructure, only_here
from engine.agent0.structure import ATTEMPTS, Wanted, structured
from engine.agent0.titles import Titles
from engine.contract import agent0
from engine.contract.agent0 import Ask, Structure, Structured
from engine.contract.backend import Backend, Message
from engine.contract.base import now
from engine.contract.call import Call
from engine.contract.events import Resync
from engine.contract.memory import Turn
from engine.contract.operation import Risk
from engine.contract.ports import Attached, Models, Recall, TurnLog
from engine.contract.recall import MemoryChanged
from engine.ground import Ground


class Agent0Room:
    """Asks the model in use. One that is elsewhere is asked only what a person has approved."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._turns = ground.use(TurnLog)  # type: ignore[type-abstract]
        self._models = ground.use(Models)  # type: ignore[type-abstract]
        recall = ground.use(Recall)  # type: ignore[type-abstract]
        self._desk = Desk(self._turns, self._models, recall, ground.metrics)
        self._prompts = Prompts(self._turns, recall)
        self._titles = Titles(self._turns, self._models)
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._models.opens_with((Message("system", PLAIN),))
        door = self._ground.door
        ask, structure = RemoteAsk(self._models, self), RemoteStructure(self._models, self)
        door.stream(agent0.ASK, self._ask, risk=self._risk, high=ask)
        door.unary(agent0.STRUCTURE, self._structure, risk=self._risk, high=structure)
        self._listening = asyncio.create_task(self._listen(), name="agent0:forgotten")

    async def stop(self) -> None:
        """An answer ends with the stream that asked for it."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        await self._titles.stop()

    async def _listen(self) -> None:
        """What was forgotten stands in no prompt again, also where an answer made with it stays."""
        with self._ground.bus.subscribe() as events:
            async for event in events:
                if isinstance(event, Resync) or (
                    isinstance(event, MemoryChanged) and event.change == "forgotten"
                ):
                    self._prompts.forget()

    def _risk(self, _request: Any, _call: Call) -> Risk:
        return Risk.WRITE if self._models.info().local else Risk.HIGH

    def _bound(self, asked_for: int | None, backend: Backend | None = None) -> int:
        """New tokens at most: the bound of the configuration, or of the model, is a hard one."""
        size = 0 if backend is None else backend.info().size
        limit = self._ground.config.model.most_new_tokens(size)
        return limit if asked_for is None else min(asked_for, limit)

    # --- asking ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _ask(self, request: Ask, call: Call) -> AsyncIterator[AsyncIterator[Any]]:
        attached = await attachments.read(self._ground, request.attachments, request.session)

        async def prepare(backend: Backend, turn: Turn) -> Prompt:
            only_here(backend)
            most = self._bound(request.max_tokens, backend)
            return await self._prompts.prompt(backend, turn, attached, most)

        async with (
            self._answering(request, attached, prepare, call) as answer,
            aclosing(answer.items()) as items,
        ):
            yield items
            if answer.turn.status == "done":
                self._titles.after(answer.turn)

    def _answering(
        self, request: Ask, attached: Sequence[Attached], prepare: Prepare, call: Call
    ) -> AbstractAsyncContextManager[Answer]:
        opening = self._turns.open(
            request.session, request.text, call, after=request.after, attached=attached
        )
        manner = Manner(request.temperature or 0.0, priority_of(call))
        return answering(self._desk, opening, prepare, manner, call)

    async def foresee(self, request: Ask) -> tuple[Ask, tuple[Attached, ...], Prompt]:
        """The request with its defaults, what is attached, and the prompt; nothing is written."""
        attached = await attachments.read(self._ground, request.attachments, request.session)
        turn = Turn(
            id=0,
            session=request.session,
            question=request.text,
            status="open",
            asked_at=now(),
            parent_id=await self._turns.parent(request.session, request.after),
        )
        async with self._models.lease() as backend:
            most = self._bound(request.max_tokens, backend)
            prompt = await self._prompts.prompt(backend, turn, attached, most)
        settled = {"max_tokens": prompt.most, "after": turn.parent_id or 0}
        return request.model_copy(update=settled), attached, prompt

    async def answer(
        self, request: Ask, attached: Sequence[Attached], prompt: Prompt, call: Call, check: Check
    ) -> Turn:
        """Asks with this prompt and no other; the closed turn. Raises ArcanumError."""

        async def prepare(backend: Backend, _turn: Turn) -> Prompt:
            check(backend)
            return prompt

        async with self._answering(request, attached, prepare, call) as answer:
            return await to_its_end(answer)

    # --- structured answers ---------------------------------------------------------------------

    async def _structure(self, request: Structure, call: Call) -> Structured:
        return await self.structure(self.wanted(request), call, only_here, ATTEMPTS)

    def wanted(self, request: Structure) -> Wanted:
        """Raises Invalid where the schema is not one that can be checked."""
        return Wanted.of(request.text, request.json_schema, self._bound(request.max_tokens))

    async def structure(
        self, wanted: Wanted, call: Call, check: Check, attempts: int
    ) -> Structured:
        """The answer, once it fits. Raises ModelFailed where none of so many does."""
        return await structured(self._models, wanted, priority_of(call), check, attempts)
