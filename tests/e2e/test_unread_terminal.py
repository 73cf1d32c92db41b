"""A terminal that nobody reads (a stalled connection) stops its picture, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

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
