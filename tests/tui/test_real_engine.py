"""The screen over the real engine, in this process: media, quota, approvals, undo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from arcanum_tui.app import ArcanumApp
from arcanum_tui.wiring import connect
from engine.contract.client import EngineClient
from tests.fakes.waiting import until
from tests.tui.desk import Desk


async def _connect() -> EngineClient:
    return await connect(host="terminal", start_all=True)


@asynccontextmanager
async def _desk(size: tuple[int, int] = (120, 36)) -> AsyncIterator[Desk]:
    app = ArcanumApp(_connect, animations=False)
    async with app.run_test(size=size, notifications=True) as pilot:
        it = Desk(app, None, pilot, within_s=20)  # type: ignore[arg-type]
        await it.sees("● live")
        yield it


async def test_from_a_folder_to_the_trash_and_back(tmp_path: Path) -> None:
    library = tmp_path / "[b]films"
    library.mkdir()
    for index in range(5):
        (library / f"film {index}.mkv").write_bytes(bytes([index]) * 400_000)
    async with _desk() as it:
        await it.press("m")
        await it.sees("no library yet")
        await it.answer("n")
        await it.sees("Watch a folder")
        await it.press("home", "ctrl+k")
        await it.paste(str(library))
        await it.answer("enter")
        await it.sees("[b]films", "✓ ok", "5 files", "2.0 MB", "film 4.mkv")

        (library / "film 5.mkv").write_bytes(b"5" * 400_000)
        await it.sees("6 files", "2.4 MB", "film 5.mkv")

        await it.answer("b")
        await it.sees("Limit of [b]films")
        await it.type("1.5MB")
        await it.answer("enter")
        await it.sees("! 160 % of 1.5 MB")
        await it.answer("p")
        await it.sees("waits for you")
        await it.press("a")
        await it.sees("#1 PRUNE", "DO ", "y do", "▲ waits")
        assert len(list(library.glob("*.mkv"))) == 6

        await it.answer("y")
        await it.sees("✓ done", "u undo")
        gone = 6 - len(list(library.glob("*.mkv")))
        assert gone == 3

        await it.answer("u")
        await it.sees("was taken back", "3 files brought back")
        assert len(list(library.glob("*.mkv"))) == 6
        await it.press("o")
        await it.sees("! 1 over", "3 files brought back", "moved to the trash", "cpu")


@pytest.mark.model
async def test_agent_0_answers_from_a_real_model() -> None:
    async with _desk() as it:
        await it.press("c")
        await it.sees("AGENT-0")
        await it.type("What is the capital of France?")
        await it.answer("enter")
        # It may have ended before anybody could see that it was written.
        await until(lambda: "tok ·" in it.screen_text, 60)
        await it.sees("Paris")
        assert "SCRIPTED" not in it.screen_text


async def test_from_a_note_to_what_is_found_and_forgotten() -> None:
    async with _desk((80, 24)) as it:
        await it.press("5")
        await it.sees("Nothing is remembered under 'main'.")
        for note in ("The key of the shed hangs behind the door.", "The peas are sown in March."):
            await it.answer("n")
            await it.sees("A note for main")
            await it.type(note)
            await it.answer("enter")
            await it.sees(f"note  {note}")
        await it.press("slash")
        await it.type("where is the shed key")
        await it.sees("FOUND  main", "#1 · note of main", "SCORE")
        await it.press("down")
        await it.answer("p")
        await it.sees("★ pinned: seen from every namespace")
        await it.answer("x")
        await it.sees("#1 FORGET", "▲ waits")
        await it.answer("y")
        await it.sees("This cannot be undone")
        await it.type("1")
        await it.answer("y")
        await it.sees("✓ done")
        await it.press("5")
        await it.loses("hangs behind the door")
        await it.answer("escape")
        await it.sees("1 memory", "The peas are sown in March.")
