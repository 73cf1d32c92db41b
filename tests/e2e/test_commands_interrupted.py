"""Ctrl-C at any moment, and conversations on a terminal: nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from engine.home import Home
from tests.e2e.shell import (
    Typist,
    ended,
    eventually,
    finished,
    serving,
    started,
    told,
)


@pytest.mark.parametrize("elsewhere", [True, False], ids=["attached", "alone"])
def test_ctrl_c_cancels_a_scan_and_keeps_what_was_read(
    home: Home, tmp_path: Path, elsewhere: bool
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(4):
        with (folder / f"{number}.mkv").open("wb") as file:
            file.truncate(3_000_000_000)
    told("media", "add", str(folder), "--name", "films")
    with (
        serving(home) if elsewhere else nullcontext(),
        started("media", "scan", "films", "--json") as scan,
    ):
        eventually(home.socket.exists)
        eventually(lambda: [j for j in told("jobs", "list")["jobs"] if j["state"] == "running"])
        scan.send_signal(signal.SIGINT)
        ran = ended(scan)
    assert ran.code == 3
    assert ran.err == ""
    assert json.loads(ran.out)["error"]["code"] == "cancelled"
    assert told("jobs", "list")["jobs"][0]["state"] == "cancelled"
    assert told("audit", "verify")["ok"] is True
    assert len(list(folder.iterdir())) == 4


@pytest.mark.model
def test_ctrl_c_stops_an_answer_and_keeps_what_came() -> None:
    with started("chat", "--session", "a", "--max-tokens", "2000", "Write a long story.") as chat:
        assert chat.stdout is not None
        first = os.read(chat.stdout.fileno(), 100)
        chat.send_signal(signal.SIGINT)
        ran = ended(chat)
    assert ran.code == 3
    assert ran.err == "Cancelled: The answer was stopped by Ctrl-C.\n  What came is saved.\n"
    turn = told("memory", "turns", "a")["turns"][0]
    assert turn["status"] == "stopped"
    assert (first.decode() + ran.out).strip() == turn["answer"].strip()


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_at_any_moment_is_one_line(delay_s: float) -> None:
    """The moment is what varies here: it is no fact to wait for."""
    with started("status") as process:
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    if b" arcanum_tui.cli\n" in err:  # Before that, it is Python's own start that is interrupted.
        ran = finished(process.returncode, b"", err)
        assert ran.code in {0, 3}
        assert ran.err.count("\n") <= 1
    assert told("status")["broken"] == 0


@pytest.mark.model
def test_a_conversation_on_a_terminal() -> None:
    person = Typist("chat", "--session", "a", "--max-tokens", "1000")
    person.sees("> ")
    person.types("Say hello.\n")
    person.sees("Say hello.\r\n")
    assert person.sees("> ").strip()
    person.types("Write a long story about a dragon.\n")
    person.sees("dragon.\r\n")
    person.sees(" the ")
    person.process.send_signal(signal.SIGINT)
    assert "stopped by Ctrl-C" in person.sees("> ")
    person.types("\x04")
    assert person.leaves() == 0
    statuses = [turn["status"] for turn in told("memory", "turns", "a")["turns"]]
    assert statuses == ["done", "stopped"]


def test_progress_on_a_terminal_and_a_result_at_the_end(films: Path) -> None:
    told("media", "add", str(films), "--name", "films")
    person = Typist("media", "scan", "films")
    assert "\x1b[K" in person.sees("5 files, 30 MB")
    assert person.leaves() == 0
