"""``arcanum monitor``: this machine's gauges, the engine's own, and its metrics."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group, items
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.text import bar, clock, number, percent, size, span
from engine.contract import telemetry
from engine.contract.telemetry import Gauges, Metrics

_UNKNOWN = "?"


def show_gauges(found: Gauges, terminal: Terminal) -> None:
    load = "" if found.load is None else "  load " + " ".join(f"{v:.2f}" for v in found.load)
    terminal.line(f"{found.machine} · {clock(found.at)}", "title")
    terminal.fields(
        (
            ("cpu", f"{_percent(found.cpu)} of {found.cpu_count} cores{load}"),
            ("memory", _part(found.memory_used, found.memory_total)),
            ("swap", _size(found.swap_used)),
            ("network", f"↓ {_size(found.net_down)}/s  ↑ {_size(found.net_up)}/s"),
            ("up", _UNKNOWN if found.uptime_s is None else span(found.uptime_s)),
            ("engine", f"cpu {_percent(found.engine_cpu)}  lag {_lag(found.loop_lag_ms)}"),
            ("", f"memory {_size(found.engine_memory)}  model {found.model_state or _UNKNOWN}"),
        )
    )
    for disk in found.disks:
        full = percent(disk.used, disk.total)
        terminal.line(
            f"disk     {bar(full / 100, 20)} {full:3.0f} %  {size(disk.free)} free  {disk.mount}"
        )
    for queue in found.queues:
        terminal.line(f"queue    {queue.name}  {number(queue.depth)} of {number(queue.bound)}")
    for problem in found.problems:
        terminal.line(f"?        {problem}", "warn")


def show_sample(found: Gauges, terminal: Terminal) -> None:
    terminal.line(
        f"{found.at.astimezone():%H:%M:%S}  cpu {_percent(found.cpu):>5}"
        f"  memory {_part(found.memory_used, found.memory_total)}"
        f"  ↓ {_size(found.net_down):>8}/s  ↑ {_size(found.net_up):>8}/s"
        f"  engine {_percent(found.engine_cpu)}"
    )


def show_metrics(found: Metrics, terminal: Terminal) -> None:
    for text in found.text.splitlines():
        terminal.line(text)


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.0f} %"


def _size(value: float | None) -> str:
    return _UNKNOWN if value is None else size(value)


def _lag(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1f} ms"


def _part(used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return _UNKNOWN
    return f"{size(used)} of {size(total)}, {percent(used, total):.0f} %"


GROUP = Group(
    "monitor",
    (
        Command("now", telemetry.NOW, show_gauges, examples=("arcanum monitor",)),
        Command(
            "watch",
            telemetry.WATCH,
            show_sample,
            run=items,
            examples=("arcanum monitor watch --every-s 5 --json",),
        ),
        Command("metrics", telemetry.METRICS, show_metrics, examples=("arcanum monitor metrics",)),
    ),
    default="now",
)
