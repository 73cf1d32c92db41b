"""Asking Agent-0. The question is durable before the model sees it, the answer before it is done.

An answer that is stopped, or that a dying model leaves behind, is kept as far as it came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from engine.agent0.prompt import choose, fit
from engine.agent0.remote import RemoteAsk
from engine.contract import agent0
from engine.contract.agent0 import AnswerFinished, AnswerPiece, AnswerStarted, Ask
from engine.contract.backend import Generation, Message
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError
from engine.contract.memory import RecallHit, Turn, TurnStatus
from engine.contract.operation import Risk
from engine.contract.ports import Models, TurnLog
from engine.ground import Ground

_RECENT = 6
_RECALLED = 3


class Agent0Room:
    """Serves ``agent0`` and ``model``."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._turns = ground.use(TurnLog)  # type: ignore[type-abstract]
        self._model = ground.use(Models)  # type: ignore[type-abstract]

    async def start(self) -> None:
        self._ground.door.stream(
            agent0.ASK,
            self._ask,
            risk=lambda _request, _call: Risk.WRITE if self._model.info().local else Risk.HIGH,
            high=RemoteAsk(self._ground, self._model, self.prompt, self.answer),
        )

    async def stop(self) -> None:
        """Nothing to end: an answer ends with the stream that asked for it."""

    @asynccontextmanager
    async def _ask(self, request: Ask, call: Call) -> AsyncIterator[AsyncIterator[Any]]:
        turn = await self._turns.open(request.session, request.text, call)
        answer = Answer(self, turn, self.bound(request))
        try:
            async with aclosing(answer.items()) as items:
                yield items
        finally:
            # Also when the person stops it, or the face goes away.
            await asyncio.shield(answer.keep("stopped", "stopped"))

    def bound(self, request: Ask) -> int:
        """New tokens at most: the configured bound is a hard one."""
        limit = self._ground.config.model.max_new_tokens
        return limit if request.max_tokens is None else min(request.max_tokens, limit)

    async def prompt(
        self, session: str, question: str, max_tokens: int, turn_id: int | None = None
    ) -> tuple[tuple[Message, ...], list[RecallHit]]:
        """The prompt for a question, and what of it memory recalled."""
        recent = await self._turns.recent(session, _RECENT)
        itself = () if turn_id is None else (turn_id,)
        recalled = await self._turns.recall(session, question, _RECALLED, itself)
        async with self._model.lease() as backend:
            # Its size and context decide what goes into the prompt.
            recent, facts = choose(recent, recalled, backend.info().size)
            return await fit(backend, question, recent, facts, max_tokens)

    async def answer(self, session: str, question: str, prompt: Generation, call: Call) -> Turn:
        """Asks with this prompt and no other; returns the closed turn. Raises ArcanumError."""
        turn = await self._turns.open(session, question, call)
        answer = Answer(self, turn, prompt.max_tokens, prompt)
        async for _item in answer.items():
            pass
        return answer.turn

    @property
    def turns(self) -> TurnLog:
        return self._turns

    @property
    def model(self) -> Models:
        return self._model

    @property
    def ground(self) -> Ground:
        return self._ground


class Answer:
    """One answer on its way. ``keep`` writes it down, once."""

    def __init__(
        self, room: Agent0Room, turn: Turn, max_tokens: int, prompt: Generation | None = None
    ) -> None:
        self._room = room
        self.turn = turn
        self._max_tokens = max_tokens
        self._prompt = prompt
        self._text: list[str] = []
        self._model = ""

    async def items(self) -> AsyncGenerator[Any, None]:
        """Started, pieces, finished. Where the model fails, what came is kept and it raises."""
        started = time.perf_counter()
        first: float | None = None
        finish = "stop"
        room = self._room
        try:
            prompt, recalled = await self._prepare()
            info = room.model.info()
            self._model = info.model
            yield AnswerStarted(
                turn_id=self.turn.id,
                session=self.turn.session,
                backend=info.backend,
                model=info.model,
                simulated=info.simulated,
                recalled=tuple(recalled),
            )
            async with room.model.lease() as backend, backend.stream(prompt) as pieces:
                room.model.tell()
                async for piece in pieces:
                    if piece.text:
                        if first is None:
                            first = time.perf_counter() - started
                            self._count_first(first)
                        self._text.append(visible(piece.text, keep="\n\t"))
                        yield AnswerPiece(text=self._text[-1])
                    finish = piece.finish or finish
        except ArcanumError as error:
            room.model.tell()
            await asyncio.shield(self.keep("failed", error.message))
            raise
        await asyncio.shield(self.keep("done", ""))
        room.ground.metrics.tokens.labels(self._model).inc(len(self._text))
        yield AnswerFinished(
            turn=self.turn,
            finish=finish,
            tokens=len(self._text),
            first_token_s=first,
            seconds=time.perf_counter() - started,
        )

    async def _prepare(self) -> tuple[Generation, list[RecallHit]]:
        if self._prompt is not None:
            return self._prompt, []
        prompt, recalled = await self._room.prompt(
            self.turn.session, self.turn.question, self._max_tokens, self.turn.id
        )
        return Generation(prompt, self._max_tokens), recalled

    def _count_first(self, seconds: float) -> None:
        self._room.ground.metrics.first_token_seconds.labels(self._model).observe(seconds)

    async def keep(self, status: TurnStatus, note: str) -> None:
        """Closes the turn with what came so far; the first call counts."""
        if self.turn.status == "open":
            text = "".join(self._text)
            self.turn = self.turn.model_copy(update={"status": status})
            self.turn = await self._room.turns.close(self.turn, status, text, note, self._model)
