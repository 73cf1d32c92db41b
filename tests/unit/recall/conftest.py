"""What the tests of recall stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.home import Home
from tests.unit.recall.life import Life, opened
from tests.unit.recall.rooms import Rooms, rooms_at


@pytest.fixture
async def life(home: Home) -> AsyncIterator[Life]:
    async with opened(home) as found:
        yield found


@pytest.fixture
def other(tmp_path: Path) -> Home:
    """Another home, empty."""
    return Home(tmp_path / "other.toml", tmp_path / "other", tmp_path / "run")


@pytest.fixture
async def rooms(home: Home) -> AsyncIterator[Rooms]:
    async with rooms_at(home) as opened:
        yield opened
