"""A truth and an index over it, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.recall.index import vectors
from tests.unit.recall.index_house import IndexHouse, index_house


@pytest.fixture
def truth(tmp_path: Path) -> Iterator[IndexHouse]:
    with index_house(tmp_path / "truth") as house:
        yield house


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are, they have a graph; ``test_bare`` is of those that have none."""
    monkeypatch.setattr(vectors, "BARE", 1)
