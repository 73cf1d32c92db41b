"""What ends when the engine does: a scan says that it was interrupted, and is no cancelled one."""

from __future__ import annotations

from pathlib import Path

import pytest

from arcanum_tui.wiring import connect
from engine.contract import assets, jobs, media
from engine.contract.base import PathRef
from engine.contract.jobs import JobState
from tests.fakes.house import done

pytestmark = pytest.mark.usefixtures("home")


async def test_a_scan_that_the_end_of_the_engine_cuts_short_is_interrupted(tmp_path: Path) -> None:
    root = tmp_path / "films"
    root.mkdir()
    with (root / "long.mkv").open("wb") as file:
        file.truncate(16 * 1024**3)  # Seconds to read, nothing to store.
    client = await connect(host="terminal")
    await client.call(media.ADD, assets.AddLibrary(path=PathRef.of(root), name="films"))
    number = (await done(client, media.SCAN, assets.ScanLibrary(library="films"))).job_id
    async with client.stream(jobs.FOLLOW, jobs.JobId(id=number)) as states:
        assert (await anext(states)).state is JobState.RUNNING
    await client.close()

    client = await connect(host="command")
    try:
        job = await done(client, jobs.SHOW, jobs.JobId(id=number))
    finally:
        await client.close()
    assert job.state is JobState.INTERRUPTED
    assert job.ended_at is not None
