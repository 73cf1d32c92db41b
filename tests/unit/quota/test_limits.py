"""Limits, gauges, and what they tell the overview."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract import quota
from engine.contract.approvals import ApprovalState
from engine.contract.errors import NotFound, Refused
from tests.unit.quota.house import House, opened, put, tree


async def test_check_is_no_while_over_and_while_unknown(house: House) -> None:
    assert not (await house.call(quota.CHECK)).ok
    await house.limit("films", 500)
    assert (await house.call(quota.CHECK)).ok
    del house.catalogue.files["films"]
    found = await house.call(quota.CHECK)
    assert not found.ok
    assert found.gauges[0].note == "never scanned to the end"
    await house.limit("films", 0)
    assert (await house.call(quota.CHECK)).ok


async def test_only_what_was_not_seen_may_not_be_counted(house: House) -> None:
    """The size of a file that cannot be read is known."""
    house.catalogue.unreadable = {"unreadable": 2, "pending": 2, "unread": 2}
    assert (await house.gauge("films")).note == ""
    house.catalogue.unreadable = {"unreadable": 3, "pending": 2, "unread": 2}
    note = "1 file could not be read and may not be counted"
    assert (await house.gauge("films")).note == note


async def test_limits_outlive_the_engine_and_are_told(films: Path, tmp_path: Path) -> None:
    async with opened(tmp_path / "home", films=films) as house:
        assert (await house.gauge("films")).state == "none"
        gauge = await house.limit("films", 400)
        assert (gauge.used, gauge.limit, gauge.over, gauge.state) == (500, 400, 100, "over")
        with pytest.raises(NotFound):
            await house.limit("shows", 400)
    async with opened(tmp_path / "home", films=films) as house:
        assert (await house.gauge("films")).limit == 400
        assert await house.kinds() == ["quota.limit_set"]


async def test_over_needs_you_until_you_are_asked(house: House, films: Path) -> None:
    async def concerns() -> list[tuple[str, str, str]]:
        status = await house.engine.status()
        return [(line.severity, line.text, line.link) for line in status.concerns]

    assert ("needs_you", "250 B over its limit of 250 B", "media/films") in await concerns()
    number = await house.prune("films")
    assert [link for _severity, _text, link in await concerns()] == [f"approvals/{number}"]
    await house.approve(number)
    assert await concerns() == []
    shutil.rmtree(films)
    assert [severity for severity, _text, _link in await concerns()] == ["unknown"]


@pytest.fixture
def mounted(films: Path) -> Iterator[Path]:
    """Another file system inside the library."""
    inside = films / "mounted"
    inside.mkdir()
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root and mount(8)")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inside], check=True)
    yield inside
    subprocess.run(["umount", inside], check=True)


@pytest.mark.system("mount")
async def test_another_mount_inside_is_left_alone(
    films: Path, mounted: Path, tmp_path: Path
) -> None:
    put(mounted, "old.mkv", 100, 0)
    async with opened(tmp_path / "home", films=films) as house:
        await house.limit("films", 50)
        plan = await house.plan("films")
        assert "mounted/old.mkv" not in [item.path.display for item in plan.items]
        assert plan.shortfall == 50
        assert (await house.approve(await house.prune("films"))).state is ApprovalState.DONE
        assert list(tree(films)) == [b"mounted/old.mkv"]


@pytest.mark.system("mount")
async def test_a_read_only_library_is_one_clear_error(mounted: Path, tmp_path: Path) -> None:
    put(mounted, "old.mkv", 100, 0)
    async with opened(tmp_path / "home", films=mounted) as house:
        await house.limit("films", 50)
        asked = await house.prune("films")
        subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
        with pytest.raises(Refused, match="it is on a read-only file system"):
            await house.prune("films")
        done = await house.approve(asked)
        assert done.state is ApprovalState.FAILED
        assert done.outcome is not None
        assert "Read-only file system. Nothing was moved." in done.outcome.summary
        assert list(tree(mounted)) == [b"old.mkv"]
        subprocess.run(["mount", "-o", "remount,rw", mounted], check=True)
        assert (await house.approve(await house.prune("films"))).state is ApprovalState.DONE
