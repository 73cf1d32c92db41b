"""``python -m bench``: measures, prints the table, stores the figures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import psutil

from bench.house import CannotMeasure, compile_all, scratch
from bench.table import Plan, Row, missing, render
from bench.terminal import ProgramEnded
from engine.contract.errors import ArcanumError

GROUPS = {
    "paint": "first paint, against hello world in Textual",
    "keys": "key to screen: idle, while an answer streams, while files are scanned",
    "scan": "scan and hash, against b3sum and rclone",
    "catalogue": "walk, rescan, rows, against rclone and find; many files (LARGE=1: a million)",
    "lists": "first pages of a million files, narrowed and ordered in hundreds of ways",
    "duplicates": "files with the same bytes, against jdupes; pages of them",
    "metadata": "what files hold, against exiftool",
    "idle": "CPU and memory of all processes with the overview visible",
    "status": "arcanum status --json against an engine that runs",
    "lag": "the engine's event loop while files are scanned",
    "model": "load, read, write, first token, against the bare binding",
    "parallel": "ten conversations at once, beside the binding's own server",
    "boundary": "what an answer costs besides the model",
    "recall": "what is recalled of real conversations, beside FTS5 alone and vectors alone",
    "scale": "memories by the ten thousand: adding, indexing, searching, starting",
    "intake": "memories taken in from a file, against bare SQLite",
    "door": "a call through the front door, against a bare socket",
}
"""What can be measured; the module beside this one has the same name."""

RESULTS = Path(__file__).with_name("results")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where an aim is missed, 2 where a row could not be measured."""
    options = _parser().parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    _say("compiling")
    compile_all()
    started, load = datetime.now(UTC), os.getloadavg()
    rows: list[Row] = []
    with scratch() as folder:
        plan = Plan(2 if options.quick else options.rounds, options.quick, folder)
        for group in options.only or GROUPS:
            _say(f"{group}: {GROUPS[group]}")
            began = time.monotonic()
            rows += _measure(group, plan)
            _say(f"  {time.monotonic() - began:.0f} s")
    print(render(rows))
    path = options.json or RESULTS / f"{started:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "at": started.isoformat().replace("+00:00", "Z"),
        "rounds": plan.rounds,
        "quick": plan.quick,
        "machine": machine() | {"load_before": load, "load_after": os.getloadavg()},
        "rows": [row.to_json() for row in rows],
    }
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _say(f"stored in {path}")
    verdicts = {row.verdict for row in rows}
    return 1 if "missed" in verdicts else 2 if "unknown" in verdicts else 0


def _measure(group: str, plan: Plan) -> list[Row]:
    """A group that cannot be measured costs its own rows alone."""
    try:
        module = import_module(f"bench.{group}")
        rows: list[Row] = module.measure(plan)
    except (ArcanumError, CannotMeasure, ProgramEnded, ImportError, OSError) as error:
        # TimeoutError is an OSError: the program was too slow, or never did it.
        return [missing(group, "", f"{type(error).__name__}: {error}")]
    return rows


def machine() -> dict[str, object]:
    """What the figures were measured on, without its name."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    groups = "\n".join(f"  {name:<12}{what}" for name, what in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures ours and the peers in turns, in one run; medians.",
        epilog=f"what can be measured:\n{groups}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", choices=GROUPS, metavar="NAME", help="only this; can be repeated"
    )
    parser.add_argument("--rounds", type=int, default=7, help="turns of ours and peer (7)")
    parser.add_argument("--quick", action="store_true", help="a rough look: two turns, less load")
    parser.add_argument("--json", type=Path, help="where the figures go (bench/results/)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
