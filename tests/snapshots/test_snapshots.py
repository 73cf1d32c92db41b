"""How the screens look, to the cell: a lived-in machine at a fixed time.

After a wanted change: ``pytest tests/snapshots --snapshot-update``, and look at the pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import PurePath

import pytest
from textual.app import App
from textual.pilot import Pilot

from arcanum_tui.app import ArcanumApp
from arcanum_tui.screens.agent import Agent
from engine.contract import media
from engine.contract.agent0 import ASK, TextAttachment
from engine.contract.errors import ModelFailed, NeedsApproval
from tests.fakes.fake_client import FakeEngine
from tests.fakes.fake_memories import remembering
from tests.fakes.fake_shelves import pixels
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
    app = ArcanumApp(
        engine.connect, theme=theme, animations=False, clock=lambda: NOW, stopwatch=lambda: 100.0
    )

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


# --- Agent-0 --------------------------------------------------------------------------------------

ANSWER = """\
## Finding large files

You can find the **ten largest** with `du` and *sort* them:

```sh
du -ah /srv/films | sort -rh | head -n 10
```

1. `-a` counts files, not only folders
2. `-h` prints sizes that people can read
   - 1.2G, 410M, 映画
   - see [the manual](https://man7.org/linux/man-pages/man1/du.1.html)

| Option | Meaning | Default |
|:-------|:--------|--------:|
| `-a` | every file | off |
| `-d N` | how deep it looks | ∞ |

> Nothing is deleted: this only ~~writes~~ *reads*.
"""


def _talk() -> World:
    """A conversation with a branch; Markdown in its last answer."""
    world = lived_in()
    world.talk.titles |= {"main": "A turquoise bike", "garden": "Peas in March"}
    first = world.add_turn("main", "Which are the largest films?", "I cannot know that.")
    world.add_turn("main", "Which films are the largest?", ANSWER, parent_id=first.parent_id)
    return world


async def _answer(it: Desk) -> None:
    await it.press("2")
    await it.sees("this only writes reads.", "◂ 2/2 ▸" if it.app.size.height > 24 else "∞")


async def _writing(it: Desk) -> None:
    await _answer(it)
    it.world.go_on = asyncio.Semaphore(30)
    it.world.pieces = [f"{word} " for word in ANSWER.split(" ")]
    await it.type("and by folder?")
    await it.answer("enter")
    await it.sees("head -n", "30 tok")
    await it.type("typed meanwhile")
    screen = it.app.screen
    assert isinstance(screen, Agent)
    screen.attach(TextAttachment(name="notes.txt", text="x" * 3_200))


async def _selected(it: Desk) -> None:
    await _answer(it)
    await it.press("ctrl+t")


async def _went_wrong(it: Desk) -> None:
    await _answer(it)
    it.engine.broken[ASK.name] = ModelFailed("The model crashed: SIGKILL.", "It is loaded anew.")
    await it.type("hello")
    await it.answer("enter")
    await it.sees("✗ failed")
    it.engine.broken[ASK.name] = NeedsApproval("x", "y", 4)
    await it.type("ask the other machine")
    await it.answer("enter")
    await it.sees("▲ nothing was sent yet")


async def _sessions(it: Desk) -> None:
    await _answer(it)
    await it.press("ctrl+o")
    await it.sees("Which conversation?", "Peas in March")


async def _models(it: Desk) -> None:
    await _answer(it)
    await it.press("ctrl+l")
    await it.sees("Which model?", "qwen3-8b")


async def _attaching(it: Desk) -> None:
    await _answer(it)
    await it.press("ctrl+g")
    await it.sees("Attach what?")
    await it.type("film-00001")
    await it.sees("film-000019.mkv")
    await it.loses("film-000000.mkv")  # It was among those of fewer letters.


@pytest.mark.parametrize(
    ("theme", "size"),
    [*LOOKS, ("dark", (200, 60))],
    ids=lambda v: v if isinstance(v, str) else f"{v[0]}x{v[1]}",
)
@pytest.mark.parametrize("scene", [_answer, _writing], ids=lambda s: s.__name__[1:])
def test_conversation(
    snap_compare: SnapCompare,
    scene: Callable[[Desk], Awaitable[None]],
    theme: str,
    size: tuple[int, int],
) -> None:
    assert _compare(snap_compare, _talk(), scene, theme, size)


@pytest.mark.parametrize(
    ("scene", "size"),
    [
        (_selected, (120, 36)), (_went_wrong, (80, 24)), (_sessions, (80, 24)),
        (_models, (120, 36)), (_attaching, (120, 36)),
    ],
    ids=lambda v: v.__name__[1:] if callable(v) else f"{v[0]}x{v[1]}",
)  # fmt: skip
def test_around_a_conversation(
    snap_compare: SnapCompare, scene: Callable[[Desk], Awaitable[None]], size: tuple[int, int]
) -> None:
    assert _compare(snap_compare, _talk(), scene, "dark", size)


# --- memory ---------------------------------------------------------------------------------------


async def _timeline(it: Desk) -> None:
    await it.press("5")
    await it.sees("MEMORIES  main  8 memories", "#2 · turn of main")


async def _found(it: Desk) -> None:
    await _timeline(it)
    it.world.memories.since = datetime(2026, 11, 1, tzinfo=UTC)
    it.world.memories.until = datetime(2026, 11, 15, tzinfo=UTC)
    it.world.memories.partial = "found by words alone: the model that tells meanings is loading"
    await it.press("slash")
    await it.type("turquoise bike")
    await it.sees("4 found", "understood: 1 Nov – 14 Nov 2026", "found by words alone")
    await it.press("down")


async def _sheet(it: Desk) -> None:
    await _found(it)
    await it.answer("enter")
    await it.sees("› 8 Nov", "We talked about the weather")


async def _nothing(it: Desk) -> None:
    await it.press("5")
    await it.sees("Nothing is remembered here yet.")


@pytest.mark.parametrize(
    ("theme", "size"),
    [("dark", (80, 24)), ("dark", (140, 40)), ("light", (140, 40))],
    ids=lambda v: v if isinstance(v, str) else f"{v[0]}x{v[1]}",
)
@pytest.mark.parametrize("scene", [_timeline, _found], ids=lambda s: s.__name__[1:])
def test_memory(
    snap_compare: SnapCompare,
    scene: Callable[[Desk], Awaitable[None]],
    theme: str,
    size: tuple[int, int],
) -> None:
    assert _compare(snap_compare, remembering(lived_in()), scene, theme, size)


def test_one_memory(snap_compare: SnapCompare) -> None:
    assert _compare(snap_compare, remembering(lived_in()), _sheet, "dark", (80, 24))


def test_no_memory(snap_compare: SnapCompare) -> None:
    assert _compare(snap_compare, World(), _nothing, "dark", (80, 24))


# --- media ----------------------------------------------------------------------------------------


def _shelved() -> World:
    """A library of pictures in folders, names that are long and odd, and duplicates."""
    world = lived_in()
    names = [
        f"{year}/{place}/IMG_{n:04d}.jpg"
        for year in (2024, 2025, 2026)
        for place in ("Alps", "Garden", "Lisbon")
        for n in range(120)
    ]
    names += [
        "2026/a very long name of a folder/that goes on/and on/with a name at its end.jpg",
        "2026/[bold]no markup[bold].jpg",
        "scan.pdf",
    ]
    world.shelves.names["films"] = sorted(name.encode() for name in names)
    world.set_library("films", len(names), 1_090 * 1_000_000_000)
    for n in range(12):
        world.shelves.add_group(
            40_000_000 - 3_100_000 * n, f"2024/Alps/IMG_{n:04d}.jpg", f"2026/copies/IMG_{n}.jpg"
        )
    for n in range(9):
        world.shelves.add_alike(f"2024/Alps/IMG_{n:04d}.jpg", *(f"web/{n}-{i}.webp" for i in "ab"))
    world.shelves.picture = pixels(36, 24)
    return world


async def _narrowed(it: Desk) -> None:
    await it.press("3")
    await it.sees("FILES  films", "IMG_0003.jpg")
    await it.press("f", "j", "space")
    await it.sees("■  image", "353", "damaged")
    await it.until(lambda: it.engine.requests(media.LIST)[-1].kind == ("image",))


async def _folders(it: Desk) -> None:
    await it.press("3")
    await it.sees("FILES  films", "IMG_0003.jpg")
    await it.press("tab", "t", "j", "j", "enter")
    await it.sees("films/2026  4 folders", "[bold]no markup[bold].jpg")


async def _closely(it: Desk) -> None:
    await it.press("3")
    await it.sees("FILES  films", "IMG_0003.jpg")
    await it.press("tab", "j", "j", "enter")
    await it.sees("HOLDS", "▀" * 12)


async def _copies(it: Desk) -> None:
    await it.press("3")
    await it.sees("FILES  films", "IMG_0003.jpg")
    await it.press("d")
    await it.sees("DUPLICATES  films  12 groups")


async def _alike(it: Desk) -> None:
    await _copies(it)
    await it.press("D")
    await it.sees("ALIKE  films  9 groups")


@pytest.mark.parametrize(
    ("theme", "size"),
    [("dark", (80, 24)), ("light", (120, 40))],
    ids=lambda v: v if isinstance(v, str) else f"{v[0]}x{v[1]}",
)
@pytest.mark.parametrize(
    "scene", [_narrowed, _folders, _closely, _copies, _alike], ids=lambda s: s.__name__[1:]
)
def test_media(
    snap_compare: SnapCompare,
    scene: Callable[[Desk], Awaitable[None]],
    theme: str,
    size: tuple[int, int],
) -> None:
    assert _compare(snap_compare, _shelved(), scene, theme, size)


async def _broad(it: Desk) -> None:
    await _narrowed(it)
    await it.sees("DETAILS", "HOLDS", "▀" * 12)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_wide_media(snap_compare: SnapCompare, theme: str) -> None:
    assert _compare(snap_compare, _shelved(), _broad, theme, (200, 60))
