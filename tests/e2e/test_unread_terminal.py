"""A terminal that nobody reads (a stalled connection) stops its picture, and nothing else. One that
is gone ends the program."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import psutil
import pytest

from bench.terminal import Terminal
from tests.fakes.tmux import ARCANUM

pytestmark = pytest.mark.slow

PAINTS = 45
"""Whole screens: more than the kernel and Textual keep for a reader that does not come."""


def status() -> dict[str, Any]:
    told = subprocess.run(
        [ARCANUM, "status", "--json"], capture_output=True, check=False, timeout=60, text=True
    )
    assert told.returncode == 0, told.stdout
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_the_engine_goes_on_and_the_picture_catches_up() -> None:
    with Terminal([str(ARCANUM)], env=dict(os.environ)) as terminal:
        terminal.wait_for("● live", within_s=30.0)
        terminal.settle()
        for number in range(PAINTS):
            terminal.type("31"[number % 2])
            assert status()["pid"] == terminal.pid
        since = terminal.text.end
        terminal.wait_for("▸3 media", "no library yet", since=since)
        terminal.settle()
        since = terminal.text.end
        terminal.type("1")
        terminal.wait_for("▸1 overview", "NEEDS YOU", since=since)


def test_a_terminal_that_is_gone_ends_the_program_whoever_leads_its_session() -> None:
    """As make does, the shell that leads it hears of that alone, and waits for its child."""
    command = ["sh", "-c", 'trap : HUP; "$0"; true', str(ARCANUM)]
    with Terminal(command, env=dict(os.environ)) as terminal:
        terminal.wait_for("● live", within_s=30.0)
        program = psutil.Process(status()["pid"])
        assert program.pid != terminal.pid
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, terminal._master)
        os.close(null)
        program.wait(20)
