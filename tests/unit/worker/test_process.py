"""A child process, and what is left of it when it has ended."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from engine.worker.process import Worker, WorkerFailed
from tests.fakes.waiting import until

_TALKS = """
import sys, time
sys.stdout.write("x" * 1_000_000)
sys.stdout.flush()
time.sleep(100)
"""


@pytest.fixture
def talker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that says more than anybody reads."""
    (tmp_path / "talker.py").write_text(_TALKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return "talker"


def open_files() -> int:
    return psutil.Process().num_fds()


async def test_of_a_child_that_is_killed_in_its_words_nothing_stays_open(talker: str) -> None:
    before = open_files()
    worker = await Worker.start(talker)
    await until(lambda: worker._child.stdout._paused, 10)  # type: ignore[union-attr]
    await worker.kill()
    assert not worker.alive
    await asyncio.sleep(0)
    assert open_files() == before


async def test_the_last_words_of_a_child_that_dies_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaks.py").write_text("raise RuntimeError('so it ended')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    before = open_files()
    worker = await Worker.start("breaks")
    with pytest.raises(WorkerFailed, match="so it ended"):
        await worker.receive()
    await asyncio.sleep(0)
    assert open_files() == before
