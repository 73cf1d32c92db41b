"""Conversations with Agent-0: they go on while another screen is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from arcanum_tui.state import chat
from arcanum_tui.state.chat import Chat, Exchange
from engine.contract import agent0, memory
from engine.contract.agent0 import AnswerFinished, AnswerPiece, AnswerStarted
from engine.contract.errors import ArcanumError, NeedsApproval, NotFound

if TYPE_CHECKING:
    from arcanum_tui.bridge import Bridge

HZ = 14.0
"""An answer is painted at most so often in a second."""


class Conversation:
    """One session. Questions are asked in order, each when the one before it has ended.

    ``tell`` is called when ``chat`` changed. The bridge waits for the engine, so that a question
    can be sent off before there is one.
    """

    def __init__(self, session: str, bridge: Bridge, tell: Callable[[], None]) -> None:
        self.chat = Chat(session)
        self._bridge, self._tell = bridge, tell
        self._asking: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None

    def load(self) -> None:
        """Reads what was said before, once."""
        if not self.chat.loaded and self._loading is None:
            self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            await self._bridge.connected()
            request = memory.ShowTurns(session=self.chat.session)
            turns = await self._bridge.ask(memory.TURNS, request)
        except NotFound:
            # A conversation begins with its first question.
            self._put(chat.past(self.chat, ()))
        except ArcanumError as error:
            self._put(replace(self.chat, trouble=f"{error.message} {error.hint}".strip()))
        else:
            self._put(chat.past(self.chat, turns.turns))
        finally:
            self._loading = None

    def ask(self, question: str) -> None:
        """Asks, as soon as the engine answers and the answer before has ended."""
        self._put(chat.ask(self.chat, question))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())

    @property
    def busy(self) -> bool:
        return self._asking is not None

    def stop(self) -> bool:
        """Stops the answer, and asks nothing that still waits. False where nothing runs."""
        if self._asking is None:
            return False
        self._asking.cancel()
        return True

    async def close(self) -> None:
        """Ends everything that this conversation started."""
        tasks = [t for t in (self._asking, self._loading) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- asking ---------------------------------------------------------------------------------

    async def _ask_all(self) -> None:
        try:
            await self._bridge.connected()
            while (index := self.chat.next_queued) is not None:
                question = self.chat.exchanges[index].question
                await self._ask_one(question)
        finally:
            self._asking = None
            left = tuple(
                replace(e, status="stopped", note="not asked") if e.status == "queued" else e
                for e in self.chat.exchanges
            )
            self._put(replace(self.chat, exchanges=left))

    async def _ask_one(self, question: str) -> None:
        self._change(lambda e: replace(e, status="asked"), "queued")
        try:
            request = agent0.Ask(text=question, session=self.chat.session)
            async with self._bridge.stream(agent0.ASK, request) as items:
                await self._read(items)
        except asyncio.CancelledError:
            self._change(lambda e: replace(e, status="stopped"))
            raise
        except NeedsApproval as error:
            waits = f"#{error.approval_id} waits for your answer first: Esc, then a"
            self._change(lambda e: replace(e, status="stopped", note=waits))
        except ArcanumError as error:
            note = f"{error.title}: {error.message} {error.hint}".strip()
            self._change(lambda e: replace(e, status="failed", note=note))
        else:
            # A stream that ends without an end is an answer that nobody finished.
            self._change(lambda e: replace(e, status="interrupted"))

    async def _read(self, items: object) -> None:
        """Takes the answer in, and paints it at a steady pace however fast it comes."""
        text: list[str] = []
        painter: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()

        def paint() -> None:
            nonlocal painter
            painter = None
            said = "".join(text)
            text.clear()
            self._change(lambda e: replace(e, answer=e.answer + said))

        try:
            async for item in items:  # type: ignore[attr-defined]
                match item:
                    case AnswerStarted():
                        self._change(lambda e, i=item: chat.started(e, i))  # type: ignore[misc]
                    case AnswerPiece():
                        text.append(item.text)
                        if painter is None:
                            painter = loop.call_later(1.0 / HZ, paint)
                    case AnswerFinished():
                        text.clear()
                        self._change(lambda e, i=item: chat.finished(e, i))  # type: ignore[misc]
        finally:
            if painter is not None:
                painter.cancel()
            if text:
                paint()

    def _change(self, how: Callable[[Exchange], Exchange], status: str = "") -> None:
        """Changes the exchange that is being answered (or the first one of that status)."""
        wanted = {status} if status else {"asked", "writing"}
        for index, exchange in enumerate(self.chat.exchanges):
            if exchange.status in wanted:
                self._put(chat.change(self.chat, index, how(exchange)))
                return

    def _put(self, new: Chat) -> None:
        self.chat = new
        self._tell()
