"""``arcanum jobs``: long work, running and past."""

from __future__ import annotations

from arcanum_tui.cli.command import Command, Group
from arcanum_tui.cli.follow import follow, progress_line
from arcanum_tui.cli.terminal import Terminal
from arcanum_tui.state.grid import Column
from arcanum_tui.state.text import moment, span
from engine.contract import jobs
from engine.contract.base import now
from engine.contract.jobs import ENDED, Job, JobList


def show_list(found: JobList, terminal: Terminal) -> None:
    if not found.jobs:
        terminal.line("No job was started yet.")
        return
    present = now()
    terminal.table(
        ("ID", "STATE", "OPERATION", "SUBJECT", "STARTED", "TOOK", "PROGRESS"),
        (
            Column(right=True),
            Column(),
            Column(),
            Column(most=30),
            Column(),
            Column(right=True),
            Column(grow=True),
        ),
        (
            (
                str(job.id),
                job.state,
                job.operation,
                job.subject,
                moment(job.started_at, present),
                span(((job.ended_at or present) - job.started_at).total_seconds()),
                job.error.message if job.error else "" if job.state in ENDED else _progress(job),
            )
            for job in found.jobs
        ),
    )


def show_job(found: Job, terminal: Terminal) -> None:
    present = now()
    result = found.result or {}
    terminal.fields(
        (
            ("job", f"{found.id} · {found.operation} · {found.subject}"),
            ("state", found.state),
            ("progress", "" if found.state in ENDED else _progress(found)),
            ("started", moment(found.started_at, present)),
            ("ended", moment(found.ended_at, present) if found.ended_at else ""),
            ("error", found.error.message if found.error else ""),
            ("result", " ".join(f"{name}={value}" for name, value in result.items())),
        )
    )


def _progress(job: Job) -> str:
    return progress_line(job).removeprefix(f"{job.subject}  ")


GROUP = Group(
    "jobs",
    (
        Command("list", jobs.LIST, show_list, examples=("arcanum jobs list",)),
        Command("show", jobs.SHOW, show_job, examples=("arcanum jobs show 3",)),
        Command(
            "follow",
            jobs.FOLLOW,
            show_job,
            run=follow,
            examples=("arcanum jobs follow 3", "arcanum jobs follow 3 --json"),
        ),
        Command("pause", jobs.PAUSE, show_job, examples=("arcanum jobs pause 3",)),
        Command("resume", jobs.RESUME, show_job, examples=("arcanum jobs resume 3",)),
        Command("cancel", jobs.CANCEL, show_job, examples=("arcanum jobs cancel 3",)),
    ),
)
