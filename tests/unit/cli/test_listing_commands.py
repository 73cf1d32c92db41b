"""``arcanum media export``: to a file, or to stdout."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.contract.base import PathRef, now
from engine.contract.jobs import Job, JobStarted, JobState
from engine.contract.listing import ExportAssets, Exported
from tests.unit.cli.answers import Answers
from tests.unit.cli.conftest import Ran

LIST = '{"path": "d\u00fcne"}\r\n' * 3


def _write(file: Path) -> None:
    with file.open("x", encoding="utf-8", newline="") as opened:
        opened.write(LIST)


class Writing(Answers):
    """Writes the list, as an engine on this machine does."""

    @asynccontextmanager
    async def stream(self, operation: Any, request: Any, call: Any = None) -> AsyncIterator[Any]:
        asked = ExportAssets.model_validate(self.requests[0][1])
        _write(Path(asked.path.display))
        async with super().stream(operation, request, call) as items:
            yield items


def answers(kind: type[Answers] = Writing, **changes: Any) -> Answers:
    values = {"path": PathRef.of("/x"), "format": "csv", "files": 3, "gone": 0, "size": 9}
    result = Exported.model_validate({**values, "seconds": 0.1, **changes})
    ended = Job(
        id=7,
        operation="media.export",
        subject="films",
        state=JobState.DONE,
        machine="here",
        started_at=now(),
        result=result.model_dump(mode="json"),
    )
    return kind({"media.export": JobStarted(job_id=7), "jobs.follow": [ended]})


def test_a_dash_is_stdout_and_leaves_no_file(
    arcanum: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = answers(gone=2)
    ran = arcanum("media", "export", "--library", "films", "--format", "jsonl", "-", answers=engine)
    assert (ran.code, ran.out) == (0, LIST), ran.err
    assert "2 files left the catalogue" in ran.err
    assert list(tmp_path.iterdir()) == []
    written = Path(ExportAssets.model_validate(engine.requests[0][1]).path.display)
    assert not written.parent.exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("-",), "--format"),
        (("-", "--format", "md", "--json"), "--json"),
        (("-", "--format", "md", "--detach"), "--detach"),
    ],
)
def test_what_a_dash_needs(arcanum: Callable[..., Ran], typed: tuple[str, ...], words: str) -> None:
    ran = arcanum("media", "export", *typed)
    assert ran.code == 64
    assert words in ran.err + ran.out


def test_of_an_engine_elsewhere_nothing_can_be_handed_on(arcanum: Callable[..., Ran]) -> None:
    ran = arcanum("media", "export", "-", "--format", "md", answers=answers(Answers))
    assert ran.code == 3
    assert "machine of the engine" in ran.err


@pytest.mark.parametrize("typed", ["list.csv", "./-"])
def test_any_other_name_is_a_file_from_where_one_stands(
    arcanum: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert arcanum("media", "export", typed, answers=answers()).code == 0
    assert (tmp_path / typed).exists()
