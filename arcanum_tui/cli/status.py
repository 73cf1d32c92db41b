"""``arcanum status``: what needs you, what is broken, what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcanum_tui.cli.command import Command, Group, Invocation, call, value
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.text import ago, moment
from engine.contract import engine
from engine.contract.base import Empty, now
from engine.contract.engine import Status
from engine.contract.errors import EXIT_DEGRADED, EXIT_NO, EXIT_OK

if TYPE_CHECKING:
    from arcanum_tui.cli.arguments import Parser
    from arcanum_tui.state.grid import Tone

_MARKS: dict[str, tuple[str, Tone]] = {
    "needs_you": ("▲", "warn"),
    "broken": ("✗", "bad"),
    "unknown": ("?", "warn"),
}


def show(found: Status, terminal: Terminal) -> None:
    present = now()
    terminal.line(f"{found.machine} · {line(found)}", "title")
    for concern in found.concerns:
        mark, tone = _MARKS[concern.severity]
        since = f"  ({ago(concern.since, present)})" if concern.since else ""
        terminal.line(f"  {mark} {concern.subject}  {concern.text}{since}", tone)
    if not found.concerns:
        terminal.line("  Nothing needs you, nothing is broken.", "ok")
    terminal.note(
        f"{found.host} {found.pid} since {moment(found.started_at, present)}"
        f" · version {found.version} · {found.home}"
    )


def line(found: Status) -> str:
    """Short enough for a prompt or for tmux."""
    return f"▲{found.needs_you} ✗{found.broken} ?{found.unknown}"


def verdict(found: Status) -> int:
    """What waits for an answer is an ordinary day: only the unknown and the broken are not."""
    return EXIT_DEGRADED if found.broken else EXIT_NO if found.unknown else EXIT_OK


async def run_status(run: Invocation) -> int:
    if not run.options.line or run.terminal.json:
        return await call(run)
    async with run.client() as client:
        found = value(await client.call(engine.STATUS, Empty()))
        run.terminal.line(line(found))
        return verdict(found)


def _add(parser: Parser) -> None:
    parser.add_argument("--line", action="store_true", help="one short line: ▲1 ✗0 ?0")


GROUP = Group(
    "status",
    (
        Command(
            "",
            engine.STATUS,
            show,
            run=run_status,
            verdict=verdict,
            add=_add,
            examples=("arcanum status", "arcanum status --line"),
        ),
    ),
)
