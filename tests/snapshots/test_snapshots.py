"""How the screens look, to the cell: a lived-in machine at a fixed time.

After a wanted change: ``pytest tests/snapshots --snapshot-update``, and look at the pictures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import PurePath

import pytest
from textual.app import App
from textual.pilot import Pilot

from arcanum_tui.app import ArcanumApp
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_world import NOW, World
from tests.fakes.sample import lived_in
from tests.tui.desk import Desk

SnapCompare = Callable[..., bool]

LOOKS = [("dark", (80, 24)), ("dark", (120, 36)), ("light", (120, 36))]


async def _overview(it: Desk) -> None:
    await it.sees("NEEDS YOU", "12 %", "#2 prune denied")


async def _agent(it: Desk) -> None:
    await it.press("2")
    await it.sees("You told me so this morning.")


async def _media(it: Desk) -> None:
    await it.press("3")
    await it.sees("film-000003.mkv")


async def _approvals(it: Desk) -> None:
    await it.press("a")
    await it.sees("#4 PURGE", "IMG_0000.raw")


async def _card(it: Desk) -> None:
    await it.card(3)
    await it.sees("#3 PRUNE", "film-000.mkv")


async def _help(it: Desk) -> None:
    await _approvals(it)
    await it.press("question_mark")
    await it.sees("Keys: approvals")


SCENES = [_overview, _agent, _media, _approvals, _card, _help]


def _compare(
    snap_compare: SnapCompare,
    world: World,
    scene: Callable[[Desk], Awaitable[None]],
    theme: str,
    size: tuple[int, int],
) -> bool:
    engine = FakeEngine(world)
    app = ArcanumApp(engine.connect, theme=theme, animations=False, clock=lambda: NOW)

    async def before(pilot: Pilot[None]) -> None:
        it = Desk(app, engine, pilot)
        await it.sees("● live")
        await scene(it)
        await pilot.pause()

    subject: App[None] | PurePath = app
    return snap_compare(subject, run_before=before, terminal_size=size)


@pytest.mark.parametrize(
    ("theme", "size"), LOOKS, ids=lambda v: v if isinstance(v, str) else f"{v[0]}x{v[1]}"
)
@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__[1:])
def test_screen(
    snap_compare: SnapCompare,
    scene: Callable[[Desk], Awaitable[None]],
    theme: str,
    size: tuple[int, int],
) -> None:
    assert _compare(snap_compare, lived_in(), scene, theme, size)


async def _empty(it: Desk) -> None:
    await it.sees("No library yet")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=lambda v: f"{v[0]}x{v[1]}")
def test_empty_overview(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    assert _compare(snap_compare, World(), _empty, "dark", size)


def test_huge_overview(snap_compare: SnapCompare) -> None:
    async def huge(it: Desk) -> None:
        await _overview(it)
        await it.sees("#4 PURGE · nas · photos")

    assert _compare(snap_compare, lived_in(), huge, "dark", (200, 60))
