"""Idle: what an overview that is looked at costs, without a model, all processes together."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from bench.house import environment, hello, move_in
from bench.table import Aim, Plan, Row, versus
from bench.terminal import Terminal, cpu_seconds, descendants
from bench.tree import plant

_FILES = 5_000
_SETTLE_S = 10.0
"""The libraries are read once after a start, and the worker that did so ends."""
_SLICE_S = 0.05
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Use:
    """What a program and its children used: CPU seconds so far, bytes now."""

    cpu: float
    memory: int
    processes: int


def use(pid: int) -> Use:
    """Memory is the proportional share (PSS) where the system tells it, else the resident size."""
    cpu, memory, processes = 0.0, 0, 0
    for process in [psutil.Process(pid), *descendants(pid)]:
        try:
            times = process.cpu_times()
            # What its children used that have ended: a worker that goes must not lower the sum.
            cpu += cpu_seconds(process.pid) + times.children_user + times.children_system
            info = process.memory_full_info()
            memory += getattr(info, "pss", 0) or info.rss
            processes += 1
        except (psutil.Error, OSError):
            continue  # It ended while we looked.
    return Use(cpu, memory, processes)


def measure(plan: Plan) -> list[Row]:
    house = move_in(plan.scratch / "idle")
    with house.engine():  # A library that is watched belongs to an ordinary day.
        tree = plant(plan.scratch / "idle-tree", _FILES)
        house.run("media", "add", str(tree), "--name", "films")
        house.run("media", "scan", "films", "--json")
    cpu: dict[str, list[float]] = {"ours": [], "peer": []}
    memory: dict[str, list[float]] = {"ours": [], "peer": []}
    window = 5.0 if plan.quick else 20.0
    processes = 0
    # Both at the same time: what else runs on this machine meets both.
    with house.screen() as ours, Terminal(hello(), env=environment()) as peer:
        peer.wait_for("Hello, world!")
        _watch(ours, peer, _SETTLE_S)
        for _ in range(1 if plan.quick else max(1, plan.rounds // 3)):
            before = {"ours": use(ours.pid), "peer": use(peer.pid)}
            began = time.perf_counter()
            _watch(ours, peer, window)
            seconds = time.perf_counter() - began
            for name, terminal in (("ours", ours), ("peer", peer)):
                now = use(terminal.pid)
                cpu[name].append((now.cpu - before[name].cpu) / seconds * 100)
                memory[name].append(now.memory / _MB)
                if name == "ours":
                    processes = now.processes
    note = f"{processes} process" + ("es" if processes != 1 else "")
    return [
        versus(
            "idle, overview visible, CPU",
            "% of a core",
            cpu["ours"],
            cpu["peer"],
            peer_name="hello world",
            aim=Aim(2),
        ),
        versus(
            "idle, memory",
            "MB",
            memory["ours"],
            memory["peer"],
            peer_name="hello world",
            aim=Aim(90),
            note=note,
        ),
    ]


def _watch(ours: Terminal, peer: Terminal, seconds: float) -> None:
    """Keeps both terminals read."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        ours.watch(_SLICE_S)
        peer.watch(_SLICE_S)
