"""How far a job is, in a line."""

from __future__ import annotations

import pytest

from arcanum_tui.cli.follow import progress_line
from engine.contract.base import now
from engine.contract.jobs import Job, JobState, Progress


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(), "films  0"),
        (Progress(done=7, unit="files"), "films  7 files"),
        (
            Progress(done=1204, total=3900, unit="files", rate=210.2, eta_s=12.0),
            "films  31 %  1,204 of 3,900 files  210 files/s  ETA 12 s",
        ),
        (
            Progress(done=34_000_000, total=98_000_000, unit="bytes", note="a.gguf"),
            "films  35 %  34 MB of 98 MB  a.gguf",
        ),
    ],
)
def test_a_count_names_its_unit_once(progress: Progress, line: str) -> None:
    job = Job(
        id=3, operation="media.scan", subject="films", state=JobState.RUNNING, machine="nas",
        started_at=now(), progress=progress,
    )  # fmt: skip
    assert progress_line(job) == line
