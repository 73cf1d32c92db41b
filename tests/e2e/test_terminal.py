"""The whole line through a real terminal: open, ask, watch, plan, say yes, take it back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from tests.fakes.tmux import ARCANUM, Terminal

pytestmark = [pytest.mark.system("tmux"), pytest.mark.slow]

MB = 1_000_000


def command(*words: str, code: int = 0) -> Any:
    """A shell command's JSON."""
    done = subprocess.run(
        [ARCANUM, *words, "--json"], capture_output=True, check=False, timeout=60, text=True
    )
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture
def films(home: Home, tmp_path: Path) -> Path:
    """A library of six files, 3 MB each, the first the oldest; the limit is 10 MB."""
    root = tmp_path / "films"
    root.mkdir()
    for number in range(6):
        file = root / f"film{number}.mkv"
        file.write_bytes(os.urandom(3 * MB))
        age = time.time() - (10 - number) * 86_400 * 30
        os.utime(file, (age, age))
    command("media", "add", str(root), "--name", "films")
    command("media", "scan", "films")
    command("quota", "set", "films", "--max-bytes", "10MB")
    return root


@pytest.fixture
def terminal(home: Home) -> Iterator[Terminal]:
    home_dir, runtime = os.environ["ARCANUM_HOME"], os.environ["XDG_RUNTIME_DIR"]
    with Terminal(f"ARCANUM_HOME={home_dir} XDG_RUNTIME_DIR={runtime} {ARCANUM}") as opened:
        yield opened


def answered() -> int:
    """Turns of the conversation that have their whole answer."""
    if not command("memory", "sessions")["sessions"]:
        return 0
    return sum(turn["status"] == "done" for turn in command("memory", "turns", "main")["turns"])


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_file()}


async def press_until(terminal: Terminal, key: str, wanted: str) -> None:
    """As a person does: a key that came before the card was painted is pressed again."""
    for _ in range(10):
        terminal.press(key)
        with suppress(AssertionError):
            await terminal.see(wanted, within_s=2)
            return
    raise AssertionError(f"{key} led to no {wanted!r}:\n{terminal.screen()}")


async def open_overview(terminal: Terminal) -> None:
    await terminal.see("live")


@pytest.mark.model
async def test_agent0_answers_and_escape_stops_it(terminal: Terminal) -> None:
    await open_overview(terminal)
    terminal.press("c")
    await terminal.see("4 approvals")
    terminal.type("My bike is turquoise.")
    await terminal.see("My bike is turquoise.")
    terminal.press("Enter")
    await terminal.see(lambda _screen: answered() == 1)
    terminal.type("What colour is my bike?")
    terminal.press("Enter")
    await terminal.see(lambda _screen: answered() == 2)
    await terminal.see(lambda screen: "turquoise" in screen.partition("What colour")[2].lower())
    terminal.type("Tell me a long story about a lighthouse and the sea.")
    terminal.press("Enter")
    await terminal.see("Esc stops")
    terminal.press("Escape")
    await terminal.see("stopped by you")
    turns = command("memory", "turns", "main")["turns"]
    assert [(turn["question"], turn["status"]) for turn in turns] == [
        ("My bike is turquoise.", "done"),
        ("What colour is my bike?", "done"),
        ("Tell me a long story about a lighthouse and the sea.", "stopped"),
    ]


async def test_prune_with_y_and_undo_with_u(terminal: Terminal, films: Path) -> None:
    before = names(films)
    await open_overview(terminal)
    await terminal.see("films")
    terminal.press("m")
    await terminal.see("film0.mkv")
    terminal.press("p")
    await terminal.see("#1")
    assert names(films) == before
    terminal.press("a")
    await terminal.see("move 3 files")
    terminal.press("Enter")  # reads every item; is no yes
    await terminal.see("Esc back")
    terminal.press("Escape")
    await terminal.see("y do")
    assert command("approvals", "show", "1")["state"] == "pending"
    assert names(films) == before
    await press_until(terminal, "y", "moved to the trash")
    assert names(films) == before - {"film0.mkv", "film1.mkv", "film2.mkv"}
    terminal.press("u")
    await terminal.see(lambda _screen: names(films) == before)
    await terminal.see("was taken back")


@pytest.mark.parametrize("bracketed", [True, False])
async def test_two_hundred_pasted_lines_of_y_approve_nothing(
    terminal: Terminal, films: Path, *, bracketed: bool
) -> None:
    before = names(films)
    command("quota", "prune", "films")
    await open_overview(terminal)
    terminal.press("a")
    await terminal.see("move 3 files")
    terminal.paste("y\n" * 200, bracketed=bracketed)
    # The terminal still answers: all of the paste has been read by then.
    terminal.press("Escape")
    terminal.press("Escape")
    terminal.press("o")
    await terminal.see("NEEDS YOU")
    assert command("approvals", "show", "1")["state"] == "pending"
    assert names(films) == before


async def test_keys_typed_before_the_card_was_painted_are_no_answer(
    terminal: Terminal, films: Path
) -> None:
    command("quota", "prune", "films")
    await open_overview(terminal)
    terminal.press("a", "y", "y", "y", "y")
    await terminal.see("move 3 files")
    terminal.press("Escape")
    await terminal.see("NEEDS YOU")
    assert command("approvals", "show", "1")["state"] == "pending"


async def test_a_shell_approves_while_the_terminal_is_open(terminal: Terminal, films: Path) -> None:
    before = names(films)
    await open_overview(terminal)
    command("quota", "prune", "films")
    await terminal.see("#1")
    terminal.press("a")
    await terminal.see("move 3 files")
    done = command("approvals", "approve", "1")
    assert done["state"] == "done"
    await terminal.see("moved to the trash")
    assert len(names(films)) == 3
    refused = command("approvals", "approve", "1", code=3)
    assert refused["error"]["code"] == "already_answered"
    assert command("quota", "undo", done["outcome"]["result"]["plan_id"])["restored"] == 3
    assert names(films) == before
    await terminal.see("was taken back")


async def test_a_library_moves_as_files_arrive(terminal: Terminal, films: Path) -> None:
    await open_overview(terminal)
    terminal.press("m")
    await terminal.see("film0.mkv")
    (films / "arrived.mkv").write_bytes(os.urandom(MB))
    await terminal.see("arrived.mkv")


async def test_leaving_the_terminal_ends_the_engine_and_keeps_everything(
    terminal: Terminal, films: Path
) -> None:
    await open_overview(terminal)
    terminal.press("q")
    await terminal.see(lambda _screen: not terminal.alive())
    assert command("media", "libraries")["libraries"][0]["files"] == 6
