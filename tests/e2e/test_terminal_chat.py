"""A whole conversation through a real terminal and the real model: stop, branch, edit, copy, and
another model; a shell is asked what became of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from tests.e2e.shell import arcanum
from tests.e2e.test_terminal import command
from tests.fakes.llama_server import bundled
from tests.fakes.tmux import ARCANUM, Terminal

pytestmark = [pytest.mark.system("tmux"), pytest.mark.slow, pytest.mark.model]

BIKE = "My bike is turquoise."
STORY = "Tell me a long story about a lighthouse and the sea."


@pytest.fixture
def terminal(home: Home, tmp_path: Path) -> Iterator[Terminal]:
    """The control center, where a second model can be chosen."""
    copy = tmp_path / "second.gguf"
    copy.symlink_to(bundled())
    command("model", "add", str(copy), "--name", "second")
    home_dir, runtime = os.environ["ARCANUM_HOME"], os.environ["XDG_RUNTIME_DIR"]
    with Terminal(f"ARCANUM_HOME={home_dir} XDG_RUNTIME_DIR={runtime} {ARCANUM}") as opened:
        yield opened


def turns() -> list[dict[str, Any]]:
    """The current branch."""
    if not command("memory", "sessions")["sessions"]:
        return []
    found: list[dict[str, Any]] = command("memory", "turns", "main")["turns"]
    return found


def said() -> list[tuple[str, str]]:
    return [(turn["question"], turn["status"]) for turn in turns()]


async def ask(terminal: Terminal, text: str) -> None:
    terminal.type(text)
    await terminal.see(text)
    terminal.press("Enter")


async def test_a_person_chats_stops_branches_copies_and_switches_the_model(
    terminal: Terminal,
) -> None:
    await terminal.see("live")
    terminal.press("c")
    # Nobody has asked yet: it is loaded while the first question is thought of.
    await terminal.see("● ready in")

    await ask(terminal, BIKE)
    await terminal.see(lambda _screen: said() == [(BIKE, "done")])
    await terminal.see("✓")
    first = turns()[0]["answer"]
    # The same question, in words and as JSON from a shell: the answer is that of the screen.
    shown = " ".join(terminal.screen().split())
    plain = arcanum("chat", "--session", "plain", BIKE)
    streamed = arcanum("chat", "--session", "json", "--json", BIKE)
    pieces = [json.loads(line) for line in streamed.out.splitlines()]
    assert plain.out.strip() == first.strip()
    assert "".join(each["text"] for each in pieces if each["kind"] == "piece") == first
    assert " ".join(first.split()) in shown

    await ask(terminal, STORY)
    await terminal.see("● writing")
    terminal.type("typed while it is written")
    await terminal.see("typed while it is written")
    terminal.press("C-x")
    await terminal.see("stopped by you")
    assert said() == [(BIKE, "done"), (STORY, "stopped")]
    terminal.press("C-u")

    terminal.press("C-r")
    await terminal.see("◂ 2/2 ▸")
    # Asked freely it may be a short one, and over by now: this key does no harm then.
    terminal.press("C-x")
    await terminal.see(lambda _screen: len(turns()[1]["siblings"]) == 2)
    await terminal.see(lambda _screen: turns()[1]["status"] != "open")
    story = turns()[1]
    assert story["parent_id"] == turns()[0]["id"]
    terminal.press("C-t")
    await terminal.see("i write")  # Before that letters are still written.
    terminal.press("h")
    await terminal.see("◂ 1/2 ▸")
    assert turns()[1]["id"] == min(story["siblings"])

    terminal.press("g")
    terminal.press("e")
    await terminal.see("another wording")
    terminal.type(" What colour is it?")
    terminal.press("Enter")
    await terminal.see(lambda screen: "◂ 2/2 ▸" in screen and "lighthouse" not in screen)
    other = "My bike is turquoise. What colour is it?"
    await terminal.see(lambda _screen: said() == [(other, "done")])

    terminal.press("C-t")
    await terminal.see("i write")  # Before that letters are still written.
    terminal.press("h")
    await terminal.see(lambda screen: STORY in screen)
    terminal.press("g")
    terminal.press("y")
    await terminal.see("The answer is copied")
    await terminal.see(lambda _screen: terminal.buffer() == first)

    terminal.press("C-l")
    await terminal.see("Which model?")
    await terminal.see("second")
    terminal.type("second")
    terminal.press("Enter")
    await terminal.see(lambda screen: "Which model?" not in screen and "● ready in" in screen)
    terminal.press("i")
    await ask(terminal, "Who are you?")
    await terminal.see(lambda _screen: said()[-1] == ("Who are you?", "done"))
    assert turns()[-1]["model"] == "second"
    assert command("model", "info")["name"] == "second"
