from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.quota.house import House, opened, put


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Five files of 100 bytes each; the oldest is a.mkv."""
    root = tmp_path / "films"
    for day, name in enumerate(["a.mkv", "b/b.mkv", "c.mkv", "d.mkv", "e.mkv"], 1):
        put(root, name, 100, day)
    return root


@pytest.fixture
async def house(tmp_path: Path, films: Path) -> AsyncIterator[House]:
    """Films may hold 250 bytes: 250 too many."""
    async with opened(tmp_path / "home", films=films) as found:
        await found.limit("films", 250)
        yield found
