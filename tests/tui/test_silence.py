"""An engine that hangs: the screen says so, and keys that ask it for something say they wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from arcanum_tui import bridge
from engine.contract import media
from tests.fakes.fake_world import NOW
from tests.tui.desk import Desk, desk


@asynccontextmanager
async def silent(monkeypatch: pytest.MonkeyPatch, operation: str) -> AsyncIterator[Desk]:
    """A desk whose engine answers nothing any more, this operation included."""
    monkeypatch.setattr(bridge, "PING_S", 0.05)
    monkeypatch.setattr(bridge, "TURN_S", 0.05)
    monkeypatch.setattr(bridge, "SILENT_S", 0.3)
    async with desk() as it:
        await it.press("3")
        await it.sees("LIBRARIES", "FILES  films")
        it.engine.held = {"ping": asyncio.Event(), operation: asyncio.Event()}
        await it.sees("? not answering")
        yield it


async def test_the_header_says_for_how_long_it_does_not_answer_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with silent(monkeypatch, "nothing") as it:
        assert "● live" not in it.screen_text.splitlines()[0]
        it.app.clock = lambda: NOW + timedelta(seconds=12)
        await it.sees("? not answering for 12 s")
        it.engine.held.pop("ping").set()
        await it.sees("nas ● live")


async def test_a_key_that_asks_the_engine_says_that_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with silent(monkeypatch, media.SCAN.name) as it:
        await it.press("j")  # What stays on the screen waits for nothing.
        await it.press("k")
        assert not it.app._notifications
        await it.press("S")
        await it.sees("what it is asked waits")
        running = len(it.app.state.running)
        gates, it.engine.held = it.engine.held, {}
        for gate in gates.values():
            gate.set()
        await it.until(lambda: len(it.app.state.running) == running + 1)
