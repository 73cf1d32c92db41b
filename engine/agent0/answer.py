"""One answer on its way: started, pieces, finished; and what is kept of it however it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.agent0.asking import Prompt
from engine.contract.agent0 import AnswerFinished, AnswerPiece, AnswerStarted
from engine.contract.backend import Backend, Generation, Priority, Usage
from engine.contract.base import visible
from engine.contract.call import Call
from engine.contract.errors import ArcanumError, StoreFailed
from engine.contract.memory import Turn, TurnStatus
from engine.contract.ports import Models, Recall, TurnLog
from engine.metrics import Metrics
from engine.worker.failures import told

_log = logging.getLogger("arcanum.agent0")
_SAVE_EVERY_S = 1.0
"""So much of an answer is lost at most where the engine dies."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a question is to be answered."""

    temperature: float
    priority: Priority


@dataclass(frozen=True, slots=True)
class Desk:
    """What every answer needs."""

    turns: TurnLog
    models: Models
    recall: Recall
    metrics: Metrics


Prepare = Callable[[Backend, Turn], Awaitable[Prompt]]
"""Makes the prompt for the model that was lent. Raises ArcanumError where it may not be asked."""


@asynccontextmanager
async def answering(
    desk: Desk, opening: Awaitable[Turn], prepare: Prepare, manner: Manner, call: Call
) -> AsyncIterator[Answer]:
    """The answer to the turn that ``opening`` writes down; leaving stops it and keeps what came."""
    started = time.perf_counter()
    answer = Answer(desk, await _opened(desk, opening), prepare, manner, started)
    try:
        yield answer
    finally:
        # Also when the person stops it, or the face goes away.
        late = (left := call.remaining()) is not None and left <= 0
        note = "it did not end in time" if late else ""
        await asyncio.shield(answer.keep("failed" if late else "stopped", note))


async def _opened(desk: Desk, opening: Awaitable[Turn]) -> Turn:
    """The turn. Who leaves while it is written down leaves no open turn behind."""
    written = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(written)
    except asyncio.CancelledError:
        await asyncio.shield(_close_unasked(desk, written))
        raise


async def _close_unasked(desk: Desk, written: asyncio.Future[Turn]) -> None:
    await asyncio.wait({written})
    if not written.cancelled() and written.exception() is None:
        await desk.turns.close(written.result(), "stopped", "", "", "")


class Answer:
    """``turn`` is open until ``keep`` writes it down, once."""

    def __init__(
        self, desk: Desk, turn: Turn, prepare: Prepare, manner: Manner, started: float
    ) -> None:
        self._desk = desk
        self.turn = turn
        self._prepare = prepare
        self._manner = manner
        self._started = started
        self._first: float | None = None
        self._text: list[str] = []
        self._model = self._lacking = ""
        self._finish = "stop"
        self._usage: Usage | None = None
        self._saving: asyncio.Task[None] | None = None
        self._saved_at = started
        self._kept = False

    async def items(self) -> AsyncGenerator[Any]:
        """Started, pieces, finished. Where the model fails, what came is kept and it raises."""
        try:
            async with self._desk.models.lease() as backend:
                prompt = await self._prepare(backend, self.turn)
                yield self._begin(backend, prompt)
                async with backend.stream(self._generation(prompt)) as pieces:
                    self._desk.models.tell()
                    async for piece in pieces:
                        if piece.text:
                            text = visible(piece.text, keep="\n\t")
                            self._note(text)
                            yield AnswerPiece(text=text)
                        self._finish = piece.finish or self._finish
                        self._usage = piece.usage or self._usage
        except ArcanumError as error:
            self._desk.models.tell()
            await asyncio.shield(self.keep("failed", error.message))
            raise
        except Exception as error:
            # A defect, which the gate names; the turn says that it was no person who stopped it.
            await asyncio.shield(self.keep("failed", f"a defect: {told(error)}"))
            raise
        await asyncio.shield(self.keep("done", ""))
        await self._credit(prompt)
        yield self._end(prompt)

    async def _credit(self, prompt: Prompt) -> None:
        """What was of use is remembered as that; an answer does not fail for it."""
        try:
            await self._desk.recall.used([one.id for one in prompt.recalled or ()])
        except ArcanumError as error:
            _log.warning("that memories were used is not written down: %s", error.message)

    def _generation(self, prompt: Prompt) -> Generation:
        return Generation(
            prompt.messages,
            prompt.most,
            temperature=self._manner.temperature,
            session=prompt.session,
            priority=self._manner.priority,
        )

    def _begin(self, backend: Backend, prompt: Prompt) -> AnswerStarted:
        info = backend.info()
        self._model = visible(info.model)
        self._lacking = prompt.lacking
        self.turn = self.turn.model_copy(update={"recalled": prompt.recalled})
        return AnswerStarted(
            turn_id=self.turn.id,
            session=self.turn.session,
            backend=info.backend,
            model=self._model,
            simulated=info.simulated,
            recalled=prompt.hits,
            lacking=prompt.lacking,
            prompt_tokens=prompt.tokens,
            context=prompt.context,
        )

    def _note(self, text: str) -> None:
        self._text.append(text)
        if self._first is None:
            self._first = time.perf_counter() - self._started
            metrics = self._desk.metrics
            metrics.first_token_seconds.labels(metrics.model(self._model)).observe(self._first)
        if time.perf_counter() - self._saved_at > _SAVE_EVERY_S and self._saving is None:
            # Beside the answer, which never waits for the disk.
            self._saving = asyncio.create_task(self._save("".join(self._text)))

    async def _save(self, text: str) -> None:
        try:
            await self._desk.turns.save(self.turn, text, self._model)
        except StoreFailed as error:  # Told when the turn is closed, if it is still so.
            _log.warning("an answer is not saved on its way: %s", error.message)
        self._saved_at, self._saving = time.perf_counter(), None

    def _end(self, prompt: Prompt) -> AnswerFinished:
        usage = self._usage or Usage(prompt.tokens, len(self._text))
        metrics = self._desk.metrics
        metrics.tokens.labels(metrics.model(self._model)).inc(usage.new_tokens)
        return AnswerFinished(
            turn=self.turn,
            finish=self._finish,
            tokens=usage.new_tokens,
            first_token_s=self._first,
            seconds=time.perf_counter() - self._started,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            context=prompt.context,
        )

    async def keep(self, status: TurnStatus, note: str) -> None:
        """Closes the turn with what came so far; the first call counts."""
        if not self._kept:
            self._kept = True
            if self._saving is not None:
                await asyncio.wait({self._saving})
            text, note = "".join(self._text), note or self._lacking
            self.turn = await self._desk.turns.close(self.turn, status, text, note, self._model)


async def to_its_end(answer: Answer) -> Turn:
    """The closed turn of an answer that nobody reads along. Raises ArcanumError."""
    async with aclosing(answer.items()) as items:
        async for _item in items:
            pass
    return answer.turn
