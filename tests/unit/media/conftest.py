"""The room on real databases, real folders and real worker processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.home import Home
from engine.media.timing import Timing
from tests.unit.media.house import House, housed

SOON = Timing(rescan=3600, poll=0.3, missing=0.3, retry=0.3, first=0, quiet=0.3, still=0)
NEVER = Timing(rescan=3600, poll=3600, missing=3600, retry=3600, first=3600, still=0)


@pytest.fixture
async def house(home: Home) -> AsyncIterator[House]:
    """A room that does nothing by itself: no watching, no looks of its own."""
    async with housed(home, NEVER) as opened:
        yield opened


@pytest.fixture
async def lively(home: Home) -> AsyncIterator[House]:
    """A room that watches, at once."""
    async with housed(home, SOON) as opened:
        yield opened


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """An empty folder to make a library of."""
    folder = tmp_path / "films"
    folder.mkdir()
    return folder
