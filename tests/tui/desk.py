"""A control center at a fixed time over an engine in memory, and what a person sees and does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual.events import Key, Paste
from textual.pilot import Pilot

from arcanum_tui.app import ArcanumApp
from arcanum_tui.keys import ALONE_S, SETTLED_S
from arcanum_tui.modals.base import Dialog
from arcanum_tui.widgets.card import CardView
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_world import NOW, World
from tests.fakes.sample import lived_in
from tests.fakes.waiting import until


@dataclass
class Desk:
    """``engine`` is the fake behind the app; ``pilot`` presses keys."""

    app: ArcanumApp
    engine: FakeEngine
    pilot: Pilot[None]
    within_s: float = 30.0

    @property
    def world(self) -> World:
        return self.engine.world

    @property
    def screen_text(self) -> str:
        """The characters on the screen, line by line."""
        return "\n".join(s.text for s in self.app.screen._compositor.render_strips())

    async def sees(self, *texts: str) -> None:
        """Waits until all of these are on the screen."""
        try:
            await until(lambda: all(text in self.screen_text for text in texts), self.within_s)
        except TimeoutError:
            raise AssertionError(f"{texts} not all in:\n{self.screen_text}") from None

    async def loses(self, text: str) -> None:
        """Waits until this is no longer on the screen."""
        try:
            await until(lambda: text not in self.screen_text)
        except TimeoutError:
            raise AssertionError(f"{text!r} still in:\n{self.screen_text}") from None

    async def until(self, fact: Callable[[], object]) -> None:
        """Waits until ``fact`` holds."""
        await until(lambda: bool(fact()))

    async def press(self, *keys: str) -> None:
        """Presses keys as fast as they can be pressed."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Types a text."""
        await self.pilot.press(*text)

    async def answer(self, key: str) -> None:
        """Presses a key as a person does who has read: alone, a while after the last change."""
        began = time.monotonic()
        await until(lambda: time.monotonic() > max(began + ALONE_S, self._settled()))
        await self.pilot.press(key)

    def _settled(self) -> float:
        """From when on a key is an answer to what is on the screen."""
        keys, screen = self.app.keys, self.app.screen
        quiet = max(keys._cool_until, keys.last + ALONE_S)
        if isinstance(screen, Dialog):
            return max(quiet, screen._painted_at + screen.SETTLE_S)
        cards = [card.painted_at for card in screen.query(CardView) if card.painted_at is not None]
        return max(quiet, *(at + SETTLED_S for at in cards)) if cards else quiet

    async def paste_keys(self, text: str) -> None:
        """An unbracketed paste: keys as the driver reads them from one chunk, all at once."""
        names = {"\n": "enter", "/": "slash", "?": "question_mark", ":": "colon", " ": "space"}
        for char in text:
            self.app.post_message(Key(names.get(char, char), None if char == "\n" else char))
        await self.pilot.pause()

    async def paste(self, text: str) -> None:
        """A bracketed paste."""
        self.app.post_message(Paste(text))
        await self.pilot.pause()

    async def card(self, number: int) -> None:
        """Goes to the approvals and waits for this card, painted."""
        await self.press("a")
        await self.sees("APPROVALS")

        async def painted() -> bool:
            screen = self.app.screen
            if isinstance(screen, Dialog):  # A pasted Enter asked for it; it came late.
                screen.dismiss(None)  # A key might meet what lies below.
                await self.pilot.pause()
                return False
            if not screen.query(CardView):  # A pasted key led away.
                await self.press("a")
                return False
            card = screen.query_one(CardView)
            shown = getattr(screen, "approval", None)
            if shown is None or shown.id != number:
                screen.select(str(number))  # type: ignore[attr-defined]
                await self.pilot.pause()
            return (
                f"#{number} " in self.screen_text
                and shown is not None
                and shown.id == number
                and card.painted_at is not None
                and card.whole
            )

        await until(painted)


@asynccontextmanager
async def desk(
    world: World | None = None,
    *,
    size: tuple[int, int] = (120, 36),
    theme: str = "dark",
    engine: FakeEngine | None = None,
    live: bool = True,
) -> AsyncIterator[Desk]:
    """Opens the app; ``live`` waits until it has read the engine."""
    engine = engine or FakeEngine(world or lived_in())
    app = ArcanumApp(engine.connect, theme=theme, animations=False, clock=lambda: NOW)
    async with app.run_test(size=size, notifications=True) as pilot:
        it = Desk(app, engine, pilot)
        if live:
            await until(lambda: app.state.known)
            await it.sees("● live")
        yield it
        await asyncio.sleep(0)
