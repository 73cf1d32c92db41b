"""A row of very many files says whether a person would have waited, and what it took."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import many
from bench.table import Row
from tests.e2e.shell import eventually

HOLD = "held = b'x' * (64 << 20); input()"


def verdicts(rows: list[Row]) -> dict[str, str]:
    return {row.name.partition(": ")[2]: row.verdict for row in rows}


def test_a_conversation_is_judged_by_its_slowest_answers() -> None:
    calm = [(5.0, 20.0)] * 100
    slow = [(5.0, 20.0)] * 90 + [(90.0, 900.0)] * 10
    assert verdicts(many._conversation("n", slow, calm)) == {
        "first token while it is scanned, p50": "",
        "first token while it is scanned, p95": "missed",
        "each further token while it is scanned, p50": "",
        "each further token while it is scanned, p95": "missed",
    }
    assert set(verdicts(many._conversation("n", calm, calm)).values()) == {"", "met"}


def test_what_a_child_takes_for_a_while_counts() -> None:
    with many._memory(os.getpid()) as taken:
        eventually(lambda: len(taken) > 0)
        child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE)
        eventually(lambda: max(taken) - taken[0] >= 64)
        child.communicate(b"\n")
        seen = len(taken)
        eventually(lambda: len(taken) > seen)
    assert max(taken) - taken[-1] >= 60
