"""``arcanum audit``: who did what, and whether the log is whole."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import moment, plural
from engine.contract import audit
from engine.contract.audit import AuditPage, AuditVerdict
from engine.contract.base import now
from engine.contract.errors import EXIT_DEGRADED, EXIT_OK


def show_page(found: AuditPage, terminal: Terminal) -> None:
    if not found.entries:
        terminal.line("Nothing was done yet.")
        return
    present = now()
    terminal.table(
        ("ROW", "WHEN", "WHO", "OPERATION", "PHASE", "DETAILS"),
        (Column(right=True), Column(), Column(rank=1), Column(), Column(), Column(grow=True)),
        (
            (
                str(entry.seq),
                moment(entry.at, present),
                entry.actor,
                entry.operation,
                entry.outcome or entry.phase,
                " ".join(f"{name}={value}" for name, value in entry.details.items()),
            )
            for entry in found.entries
        ),
    )


def show_verdict(found: AuditVerdict, terminal: Terminal) -> None:
    rows = plural(found.entries, "row")
    if found.ok:
        terminal.line(f"✓ whole: {rows}, head {found.head}", "ok")
        return
    terminal.line(f"✗ not whole: row {found.bad_seq}: {found.problem}", "bad")
    terminal.line(f"  {rows} before it fit, up to {found.head}")


def verdict(found: AuditVerdict) -> int:
    return EXIT_OK if found.ok else EXIT_DEGRADED


GROUP = Group(
    "audit",
    (
        Command(
            "show",
            audit.SHOW,
            show_page,
            examples=(
                "arcanum audit show --limit 20",
                "arcanum audit show --operation quota.prune",
            ),
        ),
        Command(
            "verify",
            audit.VERIFY,
            show_verdict,
            verdict=verdict,
            examples=("arcanum audit verify",),
        ),
    ),
)
