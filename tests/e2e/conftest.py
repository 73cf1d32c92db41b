"""Films that a library can be made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.shell import (
    film,
)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Five films, 30 MB in all; the older, the lower the number."""
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(5):
        film(folder, f"film-{number}.mkv", 6_000_000, 500 - 100 * number)
    return folder
