"""Conversations with Agent-0: they go on while another screen is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from arcanum_tui.state import chat
from arcanum_tui.state.chat import Chat, Exchange, Status, Wish
from arcanum_tui.state.model import State
from arcanum_tui.state.text import clock
from engine.contract import agent0, memory
from engine.contract.agent0 import AnswerFinished, AnswerItem, AnswerPiece, AnswerStarted
from engine.contract.errors import ArcanumError, NeedsApproval, NotFound

if TYPE_CHECKING:
    from arcanum_tui.bridge import Bridge
    from engine.contract.agent0 import Attachment

HZ = 14.0
"""An answer is painted at most so often in a second."""

PAGE = 100
"""Turns that are read at a time."""

CREATIVE = 0.8
"""The temperature of a question that is asked again: another answer is wanted."""


class Conversation:
    """One session. Questions are asked in order, each when the one before it has ended.

    ``tell`` is called when ``chat`` changed. The bridge waits for the engine, so that a question
    can be sent off before there is one. What the engine holds is read again whenever somebody else
    changed it, and when the engine comes back. ``clock`` is the present; ``stopwatch`` counts
    seconds.
    """

    def __init__(
        self,
        session: str,
        bridge: Bridge,
        tell: Callable[[], None],
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
    ) -> None:
        self.chat = Chat(session)
        self._bridge, self._tell = bridge, tell
        self._clock, self._now = clock, stopwatch
        self._asking: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._stale = False
        self._heard = self._hears(bridge.state)

    # --- what the engine holds ------------------------------------------------------------------

    def load(self) -> None:
        """Reads what was said before, once."""
        if not self.chat.loaded:
            self.reload()

    def reload(self) -> None:
        """Reads the branch again; while an answer is asked for, as soon as that has ended."""
        if self._asking is not None or self._loading is not None:
            self._stale = True
            return
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        self._stale = False
        try:
            await self._bridge.connected()
            limit = min(500, max(PAGE, len(self.chat.exchanges)))
            request = memory.ShowTurns(session=self.chat.session, limit=limit)
            turns = await self._bridge.ask(memory.TURNS, request)
        except NotFound:
            # A conversation begins with its first question.
            self._put(chat.past(self.chat, ()))
        except ArcanumError as error:
            if not self.chat.loaded:
                self._put(replace(self.chat, trouble=f"{error.message} {error.hint}".strip()))
        else:
            more = len(turns.turns) == limit
            self._put(chat.past(self.chat, turns.turns, more=more))
        finally:
            self._loading = None
            self._catch_up()

    def _catch_up(self) -> None:
        if self._stale and self._asking is None:
            self.reload()

    def earlier(self) -> None:
        """Reads the turns before those that are here."""
        first = next((e.turn_id for e in self.chat.exchanges if e.turn_id is not None), None)
        if self.chat.more and first is not None and self._loading is None:
            self._loading = asyncio.create_task(self._earlier(first))

    async def _earlier(self, first: int) -> None:
        request = memory.ShowTurns(session=self.chat.session, limit=PAGE, before=first)
        try:
            # What cannot be read now is read when it is reached again.
            with suppress(ArcanumError):
                turns = await self._bridge.ask(memory.TURNS, request)
                more = len(turns.turns) == PAGE
                self._put(chat.before(self.chat, turns.turns, more=more))
        finally:
            self._loading = None
            self._catch_up()

    def heed(self, state: State) -> None:
        """The state moved on: somebody else's turns, approvals, an engine that came back."""
        heard = self._hears(state)
        if heard != self._heard:
            self._heard = heard
            if heard[0]:
                self.reload()
        settled = chat.answered(self.chat, {a.id: str(a.state) for a in state.approvals})
        if settled is not self.chat:
            self._put(settled)

    def _hears(self, state: State) -> tuple[bool, int | None]:
        """Whether the engine answers, and the latest event in this conversation."""
        return state.link.state == "live", state.talk.get(self.chat.session)

    def rename(self, name: str) -> None:
        """The conversation is called otherwise now."""
        self._put(replace(self.chat, session=name))

    async def switch(self, turn_id: int) -> None:
        """Goes on with the branch of that turn. Raises ArcanumError."""
        request = memory.SwitchBranch(session=self.chat.session, turn_id=turn_id)
        turns = await self._bridge.ask(memory.SWITCH, request)
        # What no branch holds is left behind with the one where it was asked.
        held = tuple(e for e in self.chat.exchanges if e.turn_id is not None)
        self._put(chat.past(replace(self.chat, exchanges=held), turns.turns, more=self.chat.more))

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, question: str, wish: Wish | None = None) -> None:
        """Asks, as soon as the engine answers and the answer before has ended."""
        self._put(chat.ask(self.chat, question, wish, clock(self._clock())))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())

    def again(self, index: int) -> None:
        """Asks the question at ``index`` again, in the place where it stands."""
        exchange = self.chat.exchanges[index]
        wish = replace(exchange.wish or Wish(), attachments=chat.attachments_of(exchange))
        if exchange.turn_id is not None:
            wish = replace(wish, after=exchange.again, temperature=CREATIVE)
        self._put(chat.again(self.chat, index))
        self.ask(exchange.question, wish)

    def instead(
        self, exchange: Exchange, question: str, attachments: tuple[Attachment, ...]
    ) -> None:
        """Asks another question in the place of one that was asked."""
        if exchange.turn_id is None and exchange in self.chat.exchanges:
            self._put(chat.again(self.chat, self.chat.exchanges.index(exchange)))
        self.ask(question, Wish(attachments, exchange.again))

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
        """Ends everything that this conversation started; nobody is told any more."""
        self._tell = lambda: None
        tasks = [t for t in (self._asking, self._loading) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_all(self) -> None:
        try:
            await self._bridge.connected()
            while (index := self.chat.next_queued) is not None:
                self._put(chat.change(self.chat, index, self._sent_off(index)))
                await self._ask_one(self.chat.exchanges[index])
        finally:
            self._asking = None
            left = tuple(
                chat.ended(e, "unasked") if e.status == "queued" else e for e in self.chat.exchanges
            )
            self._put(replace(self.chat, exchanges=left))
            self._catch_up()

    def _sent_off(self, index: int) -> Exchange:
        return chat.asked(self.chat.exchanges[index], self._now())

    async def _ask_one(self, exchange: Exchange) -> None:
        wish = exchange.wish or Wish()
        request = agent0.Ask(
            text=exchange.question,
            session=self.chat.session,
            after=wish.after,
            temperature=wish.temperature,
            attachments=wish.attachments,
        )
        try:
            async with self._bridge.stream(agent0.ASK, request) as items:
                await self._read(items)
        except asyncio.CancelledError:
            self._end("stopped")
            raise
        except NeedsApproval as error:
            needed = error.approval_id
            self._change(lambda e: replace(chat.ended(e, "needs"), approval_id=needed))
        except ArcanumError as error:
            self._end("failed", f"{error.message} {error.hint}".strip())
        else:
            # A stream that ends without an end is an answer that nobody finished.
            self._end("interrupted")

    async def _read(self, items: AsyncIterator[AnswerItem]) -> None:
        """Takes the answer in, and paints it at a steady pace however fast it comes."""
        text: list[str] = []
        painter: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()

        def paint() -> None:
            nonlocal painter
            painter = None
            said, count = "".join(text), len(text)
            text.clear()
            self._change(lambda e: chat.came(e, said, count, self._now()))

        try:
            async for item in items:
                match item:
                    case AnswerStarted():
                        self._change(lambda e, i=item: chat.started(e, i, self._now()))  # type: ignore[misc]
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

    def _end(self, status: Status, note: str = "") -> None:
        self._change(lambda e: chat.ended(e, status, note))

    def _change(self, how: Callable[[Exchange], Exchange]) -> None:
        """Changes the exchange that is being answered."""
        for index, exchange in enumerate(self.chat.exchanges):
            if exchange.status in chat.RUNNING:
                self._put(chat.change(self.chat, index, how(exchange)))
                return

    def _put(self, new: Chat) -> None:
        self.chat = new
        self._tell()
