"""``arcanum quota``: limits, plans that would meet them, the trash, and undo."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import day, number, percent, plural, size
from engine.contract import quota
from engine.contract.errors import EXIT_NO, EXIT_OK
from engine.contract.quota import CheckResult, Gauge, GaugeList, Plan, Trash, UndoResult

_STAY_SHOWN = 10
_GLYPH = {"ok": "✓", "over": "!", "none": "·", "unknown": "?"}


def show_gauges(found: GaugeList | CheckResult, terminal: Terminal) -> None:
    if not found.gauges:
        terminal.line("No library yet: arcanum media add PATH")
        return
    terminal.table(
        ("", "LIBRARY", "USED", "LIMIT", "", "OVER", "IN TRASH", "NOTE"),
        (
            Column(),
            Column(),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(right=True, rank=1),
            Column(grow=True),
        ),
        (
            (
                _GLYPH[gauge.state],
                gauge.library,
                size(gauge.used),
                "none" if gauge.limit is None else size(gauge.limit),
                f"{percent(gauge.used, gauge.limit):.0f} %" if gauge.limit else "",
                size(gauge.over) if gauge.over else "",
                size(gauge.in_trash) if gauge.in_trash else "",
                gauge.note or ("" if gauge.state == "ok" else gauge.state),
            )
            for gauge in found.gauges
        ),
    )


def show_check(found: CheckResult, terminal: Terminal) -> None:
    show_gauges(found, terminal)
    over = [gauge.library for gauge in found.gauges if gauge.state == "over"]
    if over:
        terminal.note(f"To see what would go: arcanum quota plan {over[0]}")


def show_gauge(found: Gauge, terminal: Terminal) -> None:
    show_gauges(GaugeList(gauges=(found,)), terminal)


def show_plan(found: Plan, terminal: Terminal) -> None:
    terminal.line(f"plan {found.id} · {found.library} · {found.state}", "title")
    terminal.fields(
        (
            ("over", f"{size(found.used)} of {size(found.limit)}: {size(found.target)} to go"),
            ("moves", f"{plural(len(found.items), 'file')}, {size(found.moves)}, to the trash"),
            ("frees", f"{size(found.frees_now)} now, {size(found.frees_on_purge)} on purge"),
            ("short", f"{size(found.shortfall)} that no file covers" if found.shortfall else ""),
            ("stay", _staying(found)),
            ("copies", found.copies.text if found.copies else ""),
            ("not known", "; ".join(found.unknown)),
        )
    )
    if not found.items:
        return
    terminal.table(
        ("KEY", "SIZE", "FREES", "MODIFIED", "FILE", "WHY"),
        (
            Column(),
            Column(right=True),
            Column(right=True),
            Column(),
            Column(grow=True, least=16),
            Column(rank=1, most=30),
        ),
        (
            (
                item.key,
                size(item.size),
                size(item.frees),
                f"{item.modified_at.astimezone():%Y-%m-%d}",
                item.path.display,
                item.reason,
            )
            for item in found.items
        ),
    )
    if found.stay:
        terminal.table(
            ("SIZE", "STAYS", "WHY"),
            (Column(right=True), Column(grow=True, least=16), Column(rank=1, most=40)),
            (
                (size(file.size), file.path.display, file.reason)
                for file in found.stay[:_STAY_SHOWN]
            ),
        )
        if found.stay_files > _STAY_SHOWN:
            terminal.note(f"and {number(found.stay_files - _STAY_SHOWN)} more that stay")
    terminal.note(f"Nothing was touched. arcanum quota prune {found.library} asks for your yes.")


def _staying(found: Plan) -> str:
    """What is as old as that which goes, and is left all the same."""
    if not found.stay:
        return ""
    reasons = "; ".join(dict.fromkeys(file.reason for file in found.stay))
    return f"{plural(found.stay_files, 'file')} as old, {size(found.stay_bytes)}: {reasons}"


def show_trash(found: Trash, terminal: Terminal) -> None:
    if not found.plans:
        terminal.line("The trash is empty.")
        return
    terminal.table(
        ("PLAN", "LIBRARY", "FILES", "SIZE", "FREES ON PURGE", "SINCE"),
        (
            Column(),
            Column(grow=True),
            Column(right=True),
            Column(right=True),
            Column(right=True),
            Column(),
        ),
        (
            (
                plan.plan_id,
                plan.library,
                str(plan.files),
                size(plan.bytes),
                size(plan.frees_on_purge),
                day(plan.trashed_at),
            )
            for plan in found.plans
        ),
    )
    terminal.note(f"To bring one back: arcanum quota undo {found.plans[0].plan_id}")


def show_undone(found: UndoResult, terminal: Terminal) -> None:
    terminal.line(f"✓ {plural(found.restored, 'file')} back, {size(found.bytes)}", "ok")
    for path in found.conflicts:
        terminal.line(f"! still in the trash: {path.display} exists", "warn")


def within(found: CheckResult) -> int:
    return EXIT_OK if found.ok else EXIT_NO


def undone(found: UndoResult) -> int:
    return EXIT_NO if found.conflicts else EXIT_OK


GROUP = Group(
    "quota",
    (
        Command("show", quota.SHOW, show_gauges, examples=("arcanum quota show",)),
        Command(
            "set",
            quota.SET,
            show_gauge,
            examples=(
                "arcanum quota set films --max-bytes 2TB",
                "arcanum quota set films --max-bytes 0",
            ),
        ),
        Command(
            "check",
            quota.CHECK,
            show_check,
            verdict=within,
            examples=("arcanum quota check || echo over",),
        ),
        Command("plan", quota.PLAN, show_plan, examples=("arcanum quota plan films",)),
        Command(
            "prune",
            quota.PRUNE,
            examples=("arcanum quota prune films", "arcanum quota prune films --plan-id 7f3a"),
        ),
        Command("trash", quota.TRASH, show_trash, examples=("arcanum quota trash",)),
        Command(
            "undo",
            quota.UNDO,
            show_undone,
            verdict=undone,
            examples=("arcanum quota undo 7f3a",),
        ),
        Command("purge", quota.PURGE, examples=("arcanum quota purge 7f3a",)),
    ),
)
