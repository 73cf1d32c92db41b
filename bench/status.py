"""``arcanum status --json`` against an engine that runs: what a prompt or tmux pays each time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from bench.house import CannotMeasure, House, environment, move_in
from bench.table import Aim, Plan, Row, versus

BARE = (sys.executable, "-c", "import json")


def once(command: Sequence[str], env: Mapping[str, str]) -> tuple[float, float]:
    """Runs a command to its end: CPU milliseconds of it alone, and wall milliseconds."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, state, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(state)
    if process.returncode not in {0, 1, 2}:
        raise CannotMeasure(f"{command[0]}: exit code {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1000, wall * 1000


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "status")
    with house.engine():
        return _rows(house, plan)


def _rows(house: House, plan: Plan) -> list[Row]:
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    env = environment()
    for turn in range(plan.rounds * 2 + 1):
        pair = once(house.command("status", "--json"), house.env), once(BARE, env)
        if turn:  # The first turn only warmed the page cache.
            ours.append(pair[0])
            bare.append(pair[1])
    name = "python -c 'import json'"
    return [
        versus(
            "status --json, CPU",
            "ms",
            [cpu for cpu, _ in ours],
            [cpu for cpu, _ in bare],
            peer_name=name,
            aim=Aim(150),
        ),
        versus(
            "status --json",
            "ms",
            [wall for _, wall in ours],
            [wall for _, wall in bare],
            peer_name=name,
        ),
    ]
