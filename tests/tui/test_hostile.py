"""Text from files, models and people is data: nothing in it is obeyed, and all of it is seen."""

from __future__ import annotations

import pytest

from engine.contract import jobs
from engine.contract.approvals import Card, CardItem, CardRow
from engine.contract.base import ErrorInfo, PathRef, visible
from engine.contract.engine import ConcernLine
from tests.fakes.fake_world import MACHINE, World
from tests.tui.desk import desk

NASTY = {
    "markup": b"[bold]fat[/bold] [@click=app.exit]x[/]",
    "escape": b"\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "newline": b"two\nlines\r\ttab",
    "bytes": b"caf\xe9 \xff\xfe",
    "right to left": "abc\u202egpj.exe\u2066".encode(),
    "wide": "映画 フィルム 영화 🎬".encode(),
    "dashes": b"-rf --no-preserve-root",
}


def _world(raw: bytes) -> World:
    """Every place where a name from outside can stand. Rooms make names visible, models and
    careless rooms do not: both kinds must be harmless."""
    text = raw.decode("utf-8", "surrogateescape")
    # What is not UTF-8 cannot travel as it is: the rooms have made it visible.
    sent = visible(text) if b"\xff" in raw else text
    world = World()
    world.set_library("films", 3, 10, note=sent, path=PathRef.of(raw), state="unreadable")
    card = Card(
        verb="prune",
        subject=sent,
        headline=sent,
        rows=(CardRow(label="DO", text=sent), CardRow(label="WHY", text=sent)),
        items=(CardItem(key="a", text=sent, size=1, note=sent),),
        keepable=True,
    )
    world.add_approval(card)
    world.start_job(
        "media.scan",
        sent,
        state=jobs.JobState.FAILED,
        ended_at=world.now,
        error=ErrorInfo(title=sent, message=sent, code="failed"),
    )
    world.concerns.append(
        ConcernLine(severity="broken", subject=sent, text=sent, machine=MACHINE, link=sent)
    )
    world.add_turn("main", sent, sent, note=sent, status="failed")
    world.model = world.model.model_copy(update={"model": sent})
    return world


@pytest.mark.parametrize("name", NASTY)
async def test_hostile_names_are_shown_and_nothing_more(name: str) -> None:
    raw = NASTY[name]
    shown = visible(raw.decode("utf-8", "surrogateescape").split("\n")[0])[:12]
    async with desk(_world(raw), size=(80, 24)) as it:
        for key, mark in (
            ("1", "NEEDS YOU"),
            ("3", "LIBRARIES"),
            ("a", "DO "),
            ("enter", "1 item"),
            ("escape", "APPROVALS"),
            ("w", "Asked by"),
            ("escape", "DO "),
            ("f2", "AGENT-0"),
        ):
            await it.press(key)
            await it.sees(mark)
            text = it.screen_text
            assert all(c.isprintable() or c == "\n" for c in text), name
            assert len(text.split("\n")) == 24
        await it.sees(shown)
        assert it.app.is_running


async def test_markup_in_a_name_is_written_out() -> None:
    async with desk(_world(NASTY["markup"])) as it:
        await it.sees("[bold]fat[/bold] [@click=app.exit]x[/]")
        await it.press("a")
        await it.sees("DO      [bold]fat[/bold] [@click=app.exit]x[/]")


async def test_markup_in_an_error_is_written_out() -> None:
    from engine.contract.errors import Failed

    async with desk(_world(b"x")) as it:
        it.engine.broken["media.scan"] = Failed("[red]no[/red] \x1b[2J", "[link=x]y[/link]")
        await it.press("3")
        await it.sees("LIBRARIES")
        await it.answer("S")
        await it.sees("[red]no[/red] \\x1b[2J", "[link=x]y[/link]")
