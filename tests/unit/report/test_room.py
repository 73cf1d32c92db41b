"""``report.media`` through the front door: what the rooms know, in one result."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.contract import assets, media, quota, report
from engine.contract.assets import ScanLibrary
from engine.contract.base import Empty, PathRef
from engine.contract.client import EngineClient
from engine.contract.errors import NotFound
from engine.contract.report import MediaReport, ReportMedia
from engine.home import Home
from tests.fakes.house import done
from tests.fakes.models import engine_with
from tests.fakes.rehearsed import RehearsedBackend
from tests.fakes.waiting import until

SECRET = "grandma's <b>birthday"


@pytest.fixture
async def client(home: Home, tmp_path: Path) -> AsyncIterator[EngineClient]:
    """An engine with a library of three names, two of them of one file, over its limit."""
    folder = tmp_path / "hidden folder"
    folder.mkdir()
    (folder / SECRET).write_bytes(b"x" * 3000)
    (folder / "copy").write_bytes(b"x" * 3000)
    os.link(folder / "copy", folder / "copy, linked")
    async with engine_with(home, {"one": RehearsedBackend()}) as client:
        await done(client, media.ADD, assets.AddLibrary(path=PathRef.of(folder), name="family"))
        await client.call(media.SCAN, ScanLibrary(library="family"))
        await until(lambda: _is_read(client), 20)
        limit = quota.SetLimit.model_validate({"library": "family", "max_bytes": 4000})
        await done(client, quota.SET, limit)
        yield client


async def _is_read(client: EngineClient) -> bool:
    [library] = (await done(client, media.LIBRARIES, Empty())).libraries
    return bool(library.files == 3 and library.pending == 0 and library.last_scan_at)


async def test_it_tells_what_is_there(client: EngineClient) -> None:
    found: MediaReport = await done(client, report.MEDIA, ReportMedia())
    assert (found.total.files, found.total.bytes, found.total.bytes_once) == (3, 6000, 6000)
    assert found.duplicates.totals.model_dump() == {"groups": 1, "copies": 2, "frees": 3000}
    [limit] = found.limits or ()
    assert (limit.used, limit.limit, limit.over, limit.state) == (6000, 4000, 2000, "over")
    [integrity] = found.integrity
    assert (integrity.verdict, integrity.month.files) == ("sound", 3)
    assert SECRET in found.model_dump_json()
    assert found.machine


async def test_without_names_the_numbers_stay(client: EngineClient) -> None:
    whole: MediaReport = await done(client, report.MEDIA, ReportMedia())
    found: MediaReport = await done(client, report.MEDIA, ReportMedia(no_paths=True))
    text = found.model_dump_json()
    for name in (SECRET, "copy", "hidden folder", "family", whole.machine):
        assert name not in text
    assert [one.library for one in found.libraries] == ["library 1"]
    assert (found.total, found.duplicates.totals) == (whole.total, whole.duplicates.totals)
    assert [file.size for file in found.largest] == [file.size for file in whole.largest]
    assert found.growth.series == ("library 1",)
    assert [limit.library for limit in found.limits or ()] == ["library 1"]


async def test_a_library_that_is_not_there(client: EngineClient) -> None:
    with pytest.raises(NotFound, match="There is no library nope"):
        await client.call(report.MEDIA, ReportMedia(libraries=("family", "nope")))
