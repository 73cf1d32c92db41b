"""What is planted is what the rows say of it."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.tree import LARGER, LAST_YEAR, SOURCE, TYPE, name_of, plant, vary
from engine.media.source import attributes
from engine.media.survey import kinds

COUNT = 2_000


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_files_lie_in_folders_of_500_or_all_in_one(tmp_path: Path) -> None:
    some = Counter(file.parent for file in files(plant(tmp_path / "some", 1_001)))
    assert sorted(some.values()) == [1, 500, 500]
    flat = files(plant(tmp_path / "flat", 1_001, per_folder=1_001))
    assert len({file.parent for file in flat}) == 1
    assert len({file.read_bytes() for file in flat}) == len(flat) == 1_001


def test_what_lists_are_narrowed_by_is_there(tmp_path: Path) -> None:
    found = files(vary(plant(tmp_path / "tree", COUNT), COUNT))

    years = [datetime.fromtimestamp(file.stat().st_mtime, UTC).year for file in found]
    assert years == sorted(years)  # The year that is asked for lies at the far end of the paths.
    assert Counter(years)[LAST_YEAR] == COUNT // 10
    assert sum(kinds.sort(file.read_bytes()).type == TYPE for file in found) == COUNT // 10
    assert sum(file.stat().st_size >= LARGER for file in found) == COUNT // 10
    assert sum(name_of(1_800) in str(file) for file in found) == 1
    assert len({file.read_bytes() for file in found}) == COUNT


def test_one_file_in_fifty_has_a_source(tmp_path: Path) -> None:
    found = files(vary(plant(tmp_path / "tree", 100), 100))
    told = []
    for file in found:
        with file.open("rb") as opened:
            told += attributes.read(opened.fileno())
    if not hasattr(os, "setxattr") or not told:
        pytest.skip("no extended attributes here")
    assert [row["kind"] for row in told] == [SOURCE, SOURCE]
