from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.clients.local import LocalClient
from engine.core.engine import Engine
from engine.home import Home
from tests.fakes.house import opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of one, two and three bytes."""
    found = tmp_path / "films"
    found.mkdir()
    for size, name in enumerate(("a.mkv", "b.mkv", "c.mkv"), 1):
        (found / name).write_bytes(b"x" * size)
    return found


@pytest.fixture
async def engine(home: Home) -> AsyncIterator[Engine]:
    async with opened(home) as found:
        yield found


@pytest.fixture
def client(engine: Engine) -> LocalClient:
    return LocalClient(engine)
