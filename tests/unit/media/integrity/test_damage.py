"""Disks that fail: what cannot be read is told from what must not be, and from a disk that dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.contract.errors import Failed
from engine.contract.media import DamageFound
from tests.unit.media.house import House, write
from tests.unit.media.integrity.asking import damaged, told, verify

_FAILING = """
import errno, os
real = os.open
def failing(path, flags, *args, **more):
    if isinstance(path, bytes) and b"bad" in path:
        code = errno.EACCES if b"closed" in path else errno.EIO
        raise OSError(code, os.strerror(code))
    return real(path, flags, *args, **more)
os.open = failing
"""


@contextmanager
def failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers to whom every file with "bad" in its name is one that the disk cannot read."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_FAILING)
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(wrapper))
        yield


async def test_a_file_that_cannot_be_read(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films / "bad", b"bytes")
    write(films / "bad, closed", b"others")
    write(films / "good", b"bytes")
    os.utime(films / "good")
    await house.add(films)
    await house.scan()
    await house.room._workers.close()
    with failing_disk(tmp_path, monkeypatch):
        result = await verify(house)
        assert (result.unreadable, result.refused, result.intact) == (1, 1, 1)
        [found] = result.damaged
        assert (found.damage, found.reason) == ("unreadable", "Input/output error")
        assert [copy.path.data for copy in found.copies] == [b"good"]
        [trouble] = result.troubles
        assert (trouble.kind, trouble.why) == ("refused", "Permission denied")
        [event] = await house.events(DamageFound)
        assert (event.damage, event.paths[0].data) == ("unreadable", b"bad")
        await house.room._workers.close()
    result = await verify(house)
    assert (result.mended, await damaged(house)) == (1, [])
    assert await told(house, b"bad") == [("unreadable", b"bad"), ("mended", b"bad")]


async def test_a_disk_that_dies_marks_no_file(
    house: House, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        write(films / f"bad {number}", b"%d" % number * 50_000)
    await house.add(films)
    await house.scan()
    await house.room._workers.close()
    with failing_disk(tmp_path, monkeypatch):
        with pytest.raises(Failed, match="50 files in a row cannot be read"):
            await verify(house)
        await house.room._workers.close()
    assert await damaged(house) == []
    assert await house.events(DamageFound) == []
